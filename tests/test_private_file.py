from __future__ import annotations

import errno
import os
import resource
import stat
from pathlib import Path

import pytest

from gateway.private_file import NotPrivateError, create_privately, read_privately, write_privately


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_what_is_written_is_for_this_user_and_replaces_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o644)
    with file.open() as still_open:
        write_privately(file, "new")
        assert still_open.read() == "old"
    assert (file.read_text(), mode(file)) == ("new", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_draft_that_was_left_behind_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / ".file.new").symlink_to(tmp_path / "victim")
    write_privately(tmp_path / "file", "new")
    assert not (tmp_path / "victim").exists()


def test_of_two_who_create_it_the_first_one_does(tmp_path: Path) -> None:
    file = tmp_path / "file"
    assert create_privately(file, "first")
    assert not create_privately(file, "second")
    assert (file.read_text(), mode(file)) == ("first", 0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_what_was_there_and_no_draft(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_privately(file, "old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as problem:
            write_privately(file, "x" * 100)
        with pytest.raises(OSError, match="File too large"):
            create_privately(tmp_path / "other", "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert problem.value.errno == errno.EFBIG
    assert file.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("bits", [0o604, 0o602, 0o601, 0o620, 0o777])
def test_what_others_have_a_part_in_is_not_read(tmp_path: Path, bits: int) -> None:
    file = tmp_path / "file"
    file.touch()
    file.chmod(bits)
    with pytest.raises(NotPrivateError, match=f"mode {bits:04o}"):
        read_privately(file, 10)


def test_only_files_up_to_a_length_are_read_and_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_privately(file, "0123456789")
    assert read_privately(file, 10) == b"0123456789"
    with pytest.raises(NotPrivateError, match="longer than 9 bytes"):
        read_privately(file, 9)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(NotPrivateError, match="no regular file"):
        read_privately(tmp_path / "pipe", 9)
    with pytest.raises(FileNotFoundError):
        read_privately(tmp_path / "nothing", 9)

import errno
import os
import resource
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.lock import exclusive_lock


def test_one_holds_it_and_the_next_is_told_who(tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / "lock", "a.setting"):
        with pytest.raises(StartError) as refused, exclusive_lock(tmp_path / "lock", "a.setting"):
            pytest.fail("held twice")
        assert str(refused.value) == (
            f"a.setting: {tmp_path}: in use by another gateway (pid {os.getpid()}, lock): stop that one, or choose another"
        )
    with exclusive_lock(tmp_path / "lock", "a.setting"):
        pass


def test_a_process_that_died_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1234567\n")
    with exclusive_lock(tmp_path / "lock", "a.setting"):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_a_full_disk_keeps_nobody_from_holding_it(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        with (
            exclusive_lock(tmp_path / "lock", "a.setting"),
            pytest.raises(StartError, match=r"pid unknown"),
            exclusive_lock(tmp_path / "lock", "a.setting"),
        ):
            pytest.fail("held twice")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_system_that_has_become_read_only_keeps_nobody_from_holding_what_was_held_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lock").write_text("12\n")
    really_open = os.open

    def read_only(path: Path, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_RDWR | os.O_WRONLY | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return really_open(path, flags, mode)

    monkeypatch.setattr(os, "open", read_only)
    with exclusive_lock(tmp_path / "lock", "a.setting"):
        with pytest.raises(StartError, match=r"in use by another gateway"), exclusive_lock(tmp_path / "lock", "a.setting"):
            pytest.fail("held twice")
        assert (tmp_path / "lock").read_text() == "12\n"


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(StartError, match=r"a\.setting: cannot open .*: No such file or directory"),
        exclusive_lock(tmp_path / "none" / "lock", "a.setting"),
    ):
        pytest.fail("held without a file")

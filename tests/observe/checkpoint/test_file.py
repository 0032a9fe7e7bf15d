"""The file of a checkpoint on a real disk: whole or not there, and checked to the last bit."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.checkpoint import file, layout
from gateway.observe.checkpoint.file import Contents, RejectedError

DATA = bytes(range(256)) * 20


def saying(data: bytes) -> Callable[[BinaryIO], None]:
    def dump(target: BinaryIO) -> None:
        target.write(data)

    return dump


def full(target: BinaryIO) -> None:
    """As a disk is in the middle of it."""
    target.write(DATA)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("valid")
    file.write(folder, saying(DATA), written_at=5, continues=False)
    return (folder / file.NAME).read_bytes()


def put(folder: Path, data: bytes) -> None:
    (folder / file.NAME).write_bytes(data)


@pytest.mark.parametrize("continues", [True, False])
def test_what_was_written_is_read(tmp_path: Path, *, continues: bool) -> None:
    file.write(tmp_path, saying(DATA), written_at=1_700_000_000_123_456_789, continues=continues)
    assert file.read(tmp_path) == Contents(1_700_000_000_123_456_789, continues, DATA)


def test_only_its_owner_may_read_it_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for number in range(3):
        file.write(tmp_path, saying(DATA), written_at=number, continues=False)
    assert [path.name for path in tmp_path.iterdir()] == [file.NAME]
    assert (tmp_path / file.NAME).stat().st_mode & 0o777 == 0o600


def test_where_there_is_none_there_is_nothing(tmp_path: Path) -> None:
    assert file.read(tmp_path) is None


def test_a_full_disk_leaves_the_one_before(tmp_path: Path) -> None:
    file.write(tmp_path, saying(DATA), written_at=1, continues=False)
    with pytest.raises(OSError, match="No space left"):
        file.write(tmp_path, full, written_at=2, continues=False)
    assert [path.name for path in tmp_path.iterdir()] == [file.NAME]
    assert file.read(tmp_path) == Contents(1, continues=False, data=DATA)


def test_what_a_process_that_was_killed_left_is_in_nobodys_way(tmp_path: Path) -> None:
    with (tmp_path / f"{file.NAME}.new").open("wb") as left:
        file.write(tmp_path, saying(b"short"), written_at=1, continues=False)
        left.write(DATA * 10)
    assert file.read(tmp_path) == Contents(1, continues=False, data=b"short")


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / f"{file.NAME}.new").symlink_to(tmp_path / "other")
    file.write(tmp_path, saying(DATA), written_at=1, continues=False)
    assert not (tmp_path / file.NAME).is_symlink()
    assert not (tmp_path / "other").exists()


@given(data=st.data())
def test_no_bit_can_change_unnoticed(data: st.DataObject, valid: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    position = data.draw(st.integers(0, len(valid) - 1))
    changed = bytearray(valid)
    changed[position] ^= 1 << data.draw(st.integers(0, 7))
    folder = tmp_path_factory.mktemp("changed")
    put(folder, bytes(changed))
    if position == file._CONTINUES_AT:
        # It may be taken back without writing all anew.
        assert file.read(folder) == Contents(5, continues=True, data=DATA)
        return
    with pytest.raises(RejectedError):
        file.read(folder)


@given(length=st.integers(0, 5206))
def test_a_file_that_is_cut_off_is_noticed(length: int, valid: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("cut")
    put(folder, valid[: min(length, len(valid) - 1)])
    with pytest.raises(RejectedError):
        file.read(folder)


def test_what_is_too_much_is_noticed(tmp_path: Path, valid: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, valid + b"x")
    with pytest.raises(RejectedError, match="instead of"):
        file.read(tmp_path)
    monkeypatch.setattr(file, "_LARGEST_BYTES", 100)
    with pytest.raises(RejectedError, match="more than any checkpoint"):
        file.read(tmp_path)


@pytest.mark.parametrize(("version", "why"), [(2, "a newer release"), (0, "another release")])
def test_other_versions_are_named_as_such(tmp_path: Path, valid: bytes, version: int, why: str) -> None:
    put(tmp_path, valid[:16] + version.to_bytes(2, "little") + valid[18:])
    with pytest.raises(RejectedError, match=why):
        file.read(tmp_path)


def test_another_layout_is_noticed(tmp_path: Path, valid: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, valid)
    monkeypatch.setattr(layout, "fingerprint", lambda: bytes(32))
    with pytest.raises(RejectedError, match="whose state looks different"):
        file.read(tmp_path)


def test_its_epoch_goes_on_once(tmp_path: Path) -> None:
    file.write(tmp_path, saying(DATA), written_at=1, continues=True)
    assert file.claim(tmp_path)
    assert file.read(tmp_path) == Contents(1, continues=False, data=DATA)


def test_what_cannot_be_claimed_is_not(tmp_path: Path) -> None:
    assert not file.claim(tmp_path)

"""Files of lines."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.serve.drains import file as module
from gateway.serve.drains.file import LineFile


def test_lines_stand_one_behind_the_other_and_are_nobody_elses_to_read(tmp_path: Path) -> None:
    file = LineFile(tmp_path / "state" / "audit.log")
    file.append(b"one\n")
    file.append(b"two\n")
    assert file.path.read_bytes() == b"one\ntwo\n"
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert file.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_full_file_is_put_away_and_the_oldest_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 8)
    file = LineFile(tmp_path / "audit.log")
    for number in range(20):
        file.append(b"%03d\n" % number)
    kept = sorted(tmp_path.iterdir())
    assert [path.name for path in kept] == [f"audit.log.{number}" for number in range(1, module.FILES + 1)]
    assert (tmp_path / "audit.log.1").read_bytes() == b"018\n019\n"
    assert (tmp_path / "audit.log.5").read_bytes() == b"010\n011\n"
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


def test_several_may_append_and_put_away_and_no_line_is_lost_or_torn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FILE_BYTES", 2_000)
    monkeypatch.setattr(module, "FILES", 100)
    lines = [b"line %04d %s\n" % (number, b"x" * 40) for number in range(400)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda line: LineFile(tmp_path / "audit.log").append(line), lines))
    assert sorted(line for path in tmp_path.iterdir() for line in path.read_bytes().splitlines(keepends=True)) == lines


def test_what_is_not_written_whole_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LineFile(tmp_path / "audit.log")
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:2]))
    with pytest.raises(OSError, match="No space left") as error:
        file.append(b"one\n")
    assert error.value.errno == errno.ENOSPC


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"other\n")
    (tmp_path / "audit.log").symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        LineFile(tmp_path / "audit.log").append(b"one\n")
    assert (tmp_path / "other").read_bytes() == b"other\n"

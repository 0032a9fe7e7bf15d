from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.observe.recording.files import PARTS_MAX, RecordingFiles, parts
from gateway.tap import recording as tap_recording
from tests.observe.recording.played import STREAMS, written


def test_parts_are_named_as_the_tap_names_them(tmp_path: Path) -> None:
    assert PARTS_MAX >= tap_recording.PARTS - 1
    for number in (0, 2, 1):
        tap_recording.part(tmp_path / "file", number).write_bytes(b"")
    found = parts(tmp_path / "file")
    assert found == tap_recording.parts(tmp_path / "file")
    assert [each.name for each in found] == ["file.2", "file.1", "file"]


def test_all_parts_are_read_oldest_first(tmp_path: Path) -> None:
    written(tmp_path, STREAMS[1], "file.1")
    file = written(tmp_path, STREAMS[0], "file")
    files = RecordingFiles(file, "--replay")
    assert list(files.records()) == [*STREAMS[1], *STREAMS[0]]
    assert files.damage == []


def test_of_a_damaged_part_everything_before_is_read(tmp_path: Path) -> None:
    file = written(tmp_path, STREAMS[0])
    data = file.read_bytes()
    file.write_bytes(data[:-3])
    files = RecordingFiles(file, "--replay")
    assert list(files.records()) == STREAMS[0][:-1]
    (damage,) = files.damage
    assert damage.why == "the last record is cut off"
    assert str(damage).startswith(f"{file}: the last record is cut off at byte {damage.position}:")
    file.write_bytes(data + b"\x05\xff\xff\xff\xff\xff")
    assert list(files.records()) == STREAMS[0]
    assert (files.damage[-1].why, files.damage[-1].position) == ("this is no record", len(data))
    file.write_bytes(data + b"\xff" * 10)
    assert list(files.records()) == STREAMS[0]
    assert files.damage[-1].position == len(data)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"{}", b"\x00" * 100, b"\x02\x08\x01"])
def test_what_is_no_recording_is_an_error_that_names_the_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(StartError, match=r"--replay .*/file: not a recording of nativelink-gateway"):
        RecordingFiles(tmp_path / "file", "--replay")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: No such file"):
        RecordingFiles(tmp_path / "none", "--replay")
    with pytest.raises(StartError, match="cannot be read: Is a directory"):
        RecordingFiles(tmp_path, "--replay")

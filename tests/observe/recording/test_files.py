from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.errors import StartError
from gateway.observe.recording.files import PARTS_MAX, RecordingFiles, parts
from gateway.pb import tap_pb2
from gateway.tap import recording as tap_recording
from tests.fuzz.corpus import record_streams
from tests.observe.recording.played import STREAMS, played, written


def test_parts_are_named_as_the_tap_names_them(tmp_path: Path) -> None:
    assert PARTS_MAX >= tap_recording.PARTS
    for number in (0, 2, 1):
        tap_recording.part(tmp_path / "file", number).write_bytes(b"")
    found = parts(tmp_path / "file")
    assert found == tap_recording.parts(tmp_path / "file")
    assert [each.name for each in found] == ["file.2", "file.1", "file"]


def test_all_parts_are_read_oldest_first(tmp_path: Path) -> None:
    before = [tap_pb2.TapRecord.FromString(record.SerializeToString()) for record in STREAMS[1]]
    before[0].run_started.run = "before"
    written(tmp_path, before, "file.1")
    file = written(tmp_path, STREAMS[0], "file")
    files = RecordingFiles(file, "--replay")
    assert list(files.records()) == [*before, *STREAMS[0]]
    assert files.damage == []
    assert list(RecordingFiles(tmp_path / "file.1", "--replay").records()) == before


def _recorded(folder: Path, stream: Sequence[bytes], part_bytes: int) -> Path:
    """As the tap's recorder cuts it."""
    folder.mkdir()
    recording = tap_recording.Recording(folder / "file", part_bytes * tap_recording._SHARES, tell=pytest.fail)
    recording._limit_bytes = 2**30
    recording.write(stream)
    recording.close()
    return folder / "file"


@pytest.mark.parametrize("number", range(len(STREAMS)))
def test_what_parts_repeat_is_not_read_again_and_a_part_alone_plays_on(tmp_path: Path, number: int) -> None:
    raw = record_streams()[number]
    file = _recorded(tmp_path / "recorded", raw, sum(map(len, raw)) // 5)
    found = parts(file)
    assert len(found) >= 4
    assert list(RecordingFiles(file, "--replay").records()) == STREAMS[number]
    for each in found:
        alone = list(RecordingFiles(each if each != file else each.rename(tmp_path / "alone"), "--replay").records())
        assert alone[0] == STREAMS[number][0]
        assert played(alone).records_missed == 0


def test_what_no_part_has_is_a_gap_that_heals(tmp_path: Path) -> None:
    raw = record_streams()[0]
    file = _recorded(tmp_path / "recorded", raw, sum(map(len, raw)) // 5)
    lost = parts(file)[1]
    kept = {record.sequence for each in parts(file) if each != lost for record in RecordingFiles(each, "--replay").records()}
    last = max(record.sequence for record in RecordingFiles(parts(file)[0], "--replay").records())
    lost.unlink()
    records = list(RecordingFiles(file, "--replay").records())
    (gap,) = [record for record in records if record.HasField("gap")]
    assert gap.gap.first == last + 1
    assert records[records.index(gap) + 1].HasField("state_begin")
    assert gap.gap.last in kept, "the state stands for it"
    assert gap.gap.last + 1 == records[[record.HasField("state_end") for record in records].index(True) + 1].sequence
    assert played(records).records_missed == gap.gap.last - last


def test_a_recorder_that_was_started_again_repeats_and_nothing_is_read_twice(tmp_path: Path) -> None:
    gap = tap_pb2.TapRecord(sequence=5, gap=tap_pb2.Gap(first=2, last=5))
    begin, end = tap_pb2.TapRecord(sequence=5, state_begin=tap_pb2.StateBegin()), tap_pb2.TapRecord(sequence=5)
    end.state_end.SetInParent()
    written(tmp_path, STREAMS[0][:9], "file.1")
    file = written(tmp_path, [STREAMS[0][0], gap, begin, end, *STREAMS[0][5:]])
    file = file.rename(tmp_path / "file")
    assert list(RecordingFiles(file, "--replay").records()) == STREAMS[0]
    # Alone it is what a reader that comes late is told.
    later = file.rename(tmp_path / "later")
    assert list(RecordingFiles(later, "--replay").records()) == [STREAMS[0][0], gap, begin, end, *STREAMS[0][5:]]


def test_a_recording_that_grows_while_it_is_read_is_read_as_far_as_it_is_then(tmp_path: Path) -> None:
    files = RecordingFiles(written(tmp_path, STREAMS[0][:-1]), "--replay")
    reading = files.records()
    first = next(reading)
    written(tmp_path, STREAMS[0])
    assert [first, *reading] == STREAMS[0]
    assert files.damage == []


def test_a_part_that_was_only_just_made_is_none_yet(tmp_path: Path) -> None:
    written(tmp_path, STREAMS[0], "file.1")
    (tmp_path / "file").write_bytes(b"")
    assert list(RecordingFiles(tmp_path / "file", "--replay").records()) == STREAMS[0]


def test_a_disk_that_fails_is_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = RecordingFiles(written(tmp_path, STREAMS[0]), "--replay")
    files.files[0].unlink()
    assert list(files.records()) == []
    assert [each.why for each in files.damage] == ["it cannot be read (No such file or directory)"]


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


@pytest.mark.parametrize("data", [b"PK\x03\x04", b"{}", b"\x00" * 100, b"\x02\x08\x01", b"\xff" * 100, b"\x7f"])
def test_what_is_no_recording_is_an_error_that_names_the_file(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(StartError, match=r"--replay .*/file: not a recording of nativelink-gateway"):
        RecordingFiles(tmp_path / "file", "--replay")
    written(tmp_path, STREAMS[0], "recording")
    (tmp_path / "recording.3").write_bytes(data)
    with pytest.raises(StartError, match=r"--replay .*/recording\.3: not a recording of nativelink-gateway"):
        RecordingFiles(tmp_path / "recording", "--replay")


def test_an_empty_file_is_no_recording(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartError, match=r"inspect .*/file: empty: no recording of nativelink-gateway"):
        RecordingFiles(tmp_path / "file", "inspect")


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="cannot be read: No such file"):
        RecordingFiles(tmp_path / "none", "--replay")
    with pytest.raises(StartError, match="cannot be read: Is a directory"):
        RecordingFiles(tmp_path, "--replay")

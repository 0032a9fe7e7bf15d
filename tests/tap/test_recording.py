from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from gateway.pb import tap_pb2
from gateway.tap import recording as module
from gateway.tap import records
from gateway.tap.recording import PARTS, Recording, is_recording, part, parts, record_link
from gateway.tap.state import OpenState
from tests.command import PATIENCE_S
from tests.fuzz.corpus import record_streams
from tests.tap.reading import split

SHARES = module._SHARES
#: Records of the shared recordings.
STREAMS = record_streams()


def read(file: Path) -> list[tap_pb2.TapRecord]:
    found, rest = split(file.read_bytes())
    assert rest == b""
    return found


def nobody_is_told(sentence: str) -> None:
    raise AssertionError(sentence)


def recorder(file: Path, limit_bytes: int = 2**30) -> Recording:
    return Recording(file, limit_bytes, tell=nobody_is_told)


def recorded(folder: Path, records: Sequence[bytes], limit_bytes: int = 2**30) -> Path:
    file = folder / "recording"
    recording = recorder(file, limit_bytes)
    recording.write(records)
    recording.close()
    return file


def test_a_recording_is_the_bytes_of_the_record_link_for_this_user_only(tmp_path: Path) -> None:
    file = recorded(tmp_path, STREAMS[0])
    assert file.read_bytes() == b"".join(STREAMS[0])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert parts(file) == [file]


@pytest.mark.parametrize("stream", STREAMS, ids=range(len(STREAMS)))
def test_every_part_begins_with_the_run_and_what_is_open(tmp_path: Path, stream: Sequence[bytes]) -> None:
    size = sum(map(len, stream))
    file = recorded(tmp_path, stream, size * SHARES // 3)
    found = parts(file)
    assert len(found) > 1
    whole = [record for each in found for record in read(each)]
    said = [record for record in whole if record.WhichOneof("record") not in {"state_begin", "open_stream", "state_end"}]
    started = said[0]
    assert [record.SerializeToString() for record in [started, *(each for each in said if each != started)]] == [
        record.SerializeToString() for record in split(b"".join(stream))[0]
    ]
    open_now: set[tuple[int, int]] = set()
    for number, each in enumerate(found):
        records = read(each)
        assert records[0] == started
        if number:
            end = next(index for index, record in enumerate(records) if record.HasField("state_end"))
            assert records[1].HasField("state_begin")
            assert {(record.connection, record.stream) for record in records[2:end]} == open_now
            assert all(record.HasField("open_stream") for record in records[2:end])
            records = records[end + 1 :]
        for record in records:
            _follow(open_now, record)


def _follow(open_now: set[tuple[int, int]], record: tap_pb2.TapRecord) -> None:
    place = (record.connection, record.stream)
    match record.WhichOneof("record"):
        case "connection_opened" | "stream_opened":
            open_now.add(place)
        case "stream_closed":
            open_now.remove(place)
        case "connection_closed":
            open_now -= {each for each in open_now if each[0] == record.connection}
        case _:
            pass


def test_the_oldest_parts_go_so_that_all_are_within_the_bound(tmp_path: Path) -> None:
    stream = [STREAMS[0][0], *(records.encode(number, number, 0, 0, records.TICK, b"") for number in range(2, 2_000))]
    limit_bytes = sum(map(len, stream)) // 2
    file = recorded(tmp_path, stream, limit_bytes)
    found = parts(file)
    assert found == [part(file, number) for number in range(len(found) - 1, -1, -1)]
    assert len(found) in {SHARES - 1, SHARES}
    # What every part repeats counts for the older ones only.
    assert sum(each.stat().st_size for each in found) <= limit_bytes + 300
    assert [record.sequence for each in found for record in read(each) if record.HasField("tick")][-1] == 1_999


def test_however_often_a_tap_starts_parts_do_not_get_too_many(tmp_path: Path) -> None:
    for _ in range(PARTS + 5):
        file = recorded(tmp_path, STREAMS[0][:5])
    assert len(parts(file)) == PARTS
    assert len(list(tmp_path.iterdir())) == PARTS


def test_a_number_that_is_free_is_filled_and_nothing_behind_it_moves(tmp_path: Path) -> None:
    for number, first in ((0, 0), (2, 1)):
        part(tmp_path / "recording", number).write_bytes(STREAMS[first][0])
    file = recorded(tmp_path, STREAMS[2])
    assert [each.read_bytes() for each in parts(file)] == [STREAMS[1][0], STREAMS[0][0], b"".join(STREAMS[2])]


def test_what_is_there_already_becomes_older(tmp_path: Path) -> None:
    recorded(tmp_path, STREAMS[0])
    file = recorded(tmp_path, STREAMS[1])
    assert [each.read_bytes() for each in parts(file)] == [b"".join(STREAMS[0]), b"".join(STREAMS[1])]


def test_a_part_that_begins_with_a_state_leads_to_the_same_state_as_the_whole(tmp_path: Path) -> None:
    for number, stream in enumerate(STREAMS):
        folder = tmp_path / str(number)
        folder.mkdir()
        whole = recorder(folder / "whole")
        whole.write(stream)
        expected = _bodies(whole._state.snapshot())
        whole.close()
        recorded(folder, stream, sum(map(len, stream)) * SHARES // 2)
        again = recorder(folder / "again")
        again.write(_framed(folder / "recording"))
        assert _bodies(again._state.snapshot()) == expected
        again.close()


def _framed(file: Path) -> list[bytes]:
    """The records of a file, each with its length."""
    data = file.read_bytes()
    found, used, _ = module.whole(data)
    assert used == len(data)
    return found


def _bodies(state: Iterable[bytes]) -> list[tuple[int, int, tap_pb2.OpenStream]]:
    records = [split(each)[0][0] for each in state]
    return [(each.connection, each.stream, each.open_stream) for each in records if each.HasField("open_stream")]


def _serve(path: Path, pieces: Iterable[bytes]) -> threading.Thread:
    """A tap's record link, for one reader."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as reader:
            assert reader.recv(10) == b"\x00"
            for piece in pieces:
                reader.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


def test_the_link_is_read_to_its_end_however_its_bytes_are_cut(tmp_path: Path) -> None:
    data = b"".join(STREAMS[0])
    thread = _serve(tmp_path / "tap.sock", [data[start : start + 7] for start in range(0, len(data), 7)])
    recording = recorder(tmp_path / "file")
    record_link(tmp_path / "tap.sock", recording)
    recording.close()
    thread.join()
    assert (tmp_path / "file").read_bytes() == data


def test_a_record_in_many_pieces_is_not_looked_at_before_it_can_be_whole() -> None:
    record = records.encode(1, 2, 0, 0, records.RUN_STARTED, bytes(1000))
    for size in range(len(record)):
        found, used, need = module.whole(record + record[:size])
        assert (found, used) == ([record], len(record))
        assert size < need <= len(record)
    assert module.whole(record)[2] == 1


def test_the_process_ends_with_the_link_and_not_when_its_group_is_told_to(tmp_path: Path) -> None:
    more = threading.Event()

    def pieces() -> Iterator[bytes]:
        yield STREAMS[0][0]
        more.wait(PATIENCE_S)
        yield from STREAMS[0][1:]

    thread = _serve(tmp_path / "tap.sock", pieces())
    file = tmp_path / "file"
    command = [sys.executable, "-P", "-m", "gateway.tap.recording", str(tmp_path / "tap.sock")]
    process = subprocess.Popen([*command, str(file), "1000000"], stderr=subprocess.PIPE)  # noqa: S603
    wait_until(lambda: file.exists() and file.stat().st_size == len(STREAMS[0][0]))
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGINT)
    more.set()
    assert process.communicate(timeout=PATIENCE_S)[1] == b""
    assert process.returncode == 0
    thread.join()
    assert file.read_bytes() == b"".join(STREAMS[0])


def test_without_a_record_link_there_is_no_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.1)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert module.main([str(tmp_path / "tap.sock"), str(tmp_path / "file"), "1000000"]) == 1
    assert capsys.readouterr().err == f"{tmp_path}/file ends here: the record link broke: No such file or directory\n"


class Disk:
    """Is full until somebody has waited often enough."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, waits: int) -> None:
        self.told: list[str] = []
        self.is_full = False
        self._waits = waits
        self._patch = monkeypatch
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.is_full:
            # What still fits is written before.
            if len(data) > 10:
                return self._write(descriptor, data[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._write(descriptor, data)

    def sleep(self, _: float) -> None:
        self._waits -= 1
        self.is_full = self._waits > 0


def test_while_the_disk_is_full_nothing_is_lost_and_no_record_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, waits=3)
    file = tmp_path / "file"
    seen: list[int] = []

    def sleep(seconds: float) -> None:
        seen.append(len(read(file)))
        disk.sleep(seconds)

    recording = Recording(file, 2**30, tell=disk.told.append, sleep=sleep)
    recording.write(STREAMS[0][:10])
    disk.is_full = True
    recording.write(STREAMS[0][10:])
    recording.close()
    assert file.read_bytes() == b"".join(STREAMS[0])
    assert seen == [10, 10, 10]
    assert disk.told == [
        f"{file} cannot be written: No space left on device: it goes on when it can be",
        f"{file} can be written again: it goes on",
    ]


def test_a_folder_that_is_away_for_a_while_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    told: list[str] = []

    def sleep(_: float) -> None:
        folder.mkdir()

    recording = Recording(folder / "file", 2**30, tell=told.append, sleep=sleep)
    recording.write(STREAMS[0])
    recording.close()
    assert (folder / "file").read_bytes() == b"".join(STREAMS[0])
    assert [each.partition(": ")[0] for each in told] == [
        f"{folder}/file cannot be written",
        f"{folder}/file can be written again",
    ]


def test_an_end_that_does_not_reach_the_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    told: list[str] = []
    Recording(tmp_path / "file", 2**30, tell=told.append).close()
    assert told == [f"the end of {tmp_path}/file may be missing: Input/output error"]


def test_a_gap_is_told_once_and_the_part_after_it_begins_where_it_ends(tmp_path: Path) -> None:
    started = STREAMS[0][0]
    state = OpenState(2**20)
    state.sequence, state.monotonic_ns = 5_000, 7
    gap = records.encode(5_000, 7, 0, 0, records.GAP, records.gap(2, 5_000))
    stream = [started, gap, *state.snapshot()]
    told: list[str] = []
    recording = Recording(tmp_path / "file", sum(map(len, stream)) * SHARES, tell=told.append)
    recording.write([*stream, gap])
    recording.close()
    assert told == [f"{tmp_path}/file lacks the records 2 to 5000: the disk is slower than the traffic, or was full"]
    begin, end = read(tmp_path / "file")[1:3]
    assert (begin.HasField("state_begin"), begin.sequence, begin.monotonic_ns) == (True, 5_000, 7)
    assert (end.HasField("state_end"), end.sequence) == (True, 5_000)


@pytest.mark.parametrize("data", [b"notes of mine, which nobody else should touch: xyz {}", b"\x05" * 100, b"PK\x03\x04"])
def test_what_is_no_recording_is_told_from_one(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(data)
    assert not is_recording(file)
    file.write_bytes(b"")
    assert is_recording(file)
    assert is_recording(recorded(tmp_path, STREAMS[0][:1]))


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)

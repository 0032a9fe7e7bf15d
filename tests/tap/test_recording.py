from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from gateway.pb import tap_pb2
from gateway.tap import recording as module
from gateway.tap.recording import PARTS, Recording, part, parts, record_link
from tests.fuzz.corpus import record_streams
from tests.tap.reading import split

#: Records of the shared recordings.
STREAMS = record_streams()


def read(file: Path) -> list[tap_pb2.TapRecord]:
    found, rest = split(file.read_bytes())
    assert rest == b""
    return found


def recorded(folder: Path, records: Sequence[bytes], limit_bytes: int = 2**30) -> Path:
    file = folder / "recording"
    recording = Recording(file, limit_bytes)
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
    file = recorded(tmp_path, stream, size * PARTS // 3)
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


def test_only_so_many_parts_are_kept_the_newest(tmp_path: Path) -> None:
    stream = STREAMS[0]
    file = recorded(tmp_path, stream, PARTS * 200)
    assert len(parts(file)) == PARTS
    last = split(stream[-1])[0][0]
    assert read(file)[-1].sequence == last.sequence or read(part(file, 1))[-1].sequence == last.sequence


def test_what_is_there_already_becomes_older(tmp_path: Path) -> None:
    recorded(tmp_path, STREAMS[0])
    file = recorded(tmp_path, STREAMS[1])
    assert [each.read_bytes() for each in parts(file)] == [b"".join(STREAMS[0]), b"".join(STREAMS[1])]


def test_a_part_that_begins_with_a_state_leads_to_the_same_state_as_the_whole(tmp_path: Path) -> None:
    for number, stream in enumerate(STREAMS):
        folder = tmp_path / str(number)
        folder.mkdir()
        whole = Recording(folder / "whole", 2**30)
        whole.write(stream)
        expected = _bodies(whole._state.snapshot())
        whole.close()
        recorded(folder, stream, sum(map(len, stream)) * PARTS // 2)
        again = Recording(folder / "again", 2**30)
        again.write(_framed(folder / "recording"))
        assert _bodies(again._state.snapshot()) == expected
        again.close()


def _framed(file: Path) -> list[bytes]:
    """The records of a file, each with its length."""
    whole, rest = module.whole(file.read_bytes())
    assert rest == b""
    return whole


def _bodies(state: Iterable[bytes]) -> list[tuple[int, int, tap_pb2.OpenStream]]:
    records = [split(each)[0][0] for each in state]
    return [(each.connection, each.stream, each.open_stream) for each in records if each.HasField("open_stream")]


def _serve(path: Path, pieces: Sequence[bytes]) -> threading.Thread:
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
    recording = Recording(tmp_path / "file", 2**30)
    record_link(tmp_path / "tap.sock", recording)
    recording.close()
    thread.join()
    assert (tmp_path / "file").read_bytes() == data


def test_the_process_ends_with_the_link_and_says_what_it_cannot_do(tmp_path: Path) -> None:
    thread = _serve(tmp_path / "tap.sock", STREAMS[0])
    command = [sys.executable, "-P", "-m", "gateway.tap.recording", str(tmp_path / "tap.sock")]
    done = subprocess.run([*command, str(tmp_path / "file"), "1000000"], capture_output=True, text=True, check=True)  # noqa: S603
    assert (done.stdout, done.stderr) == ("", "")
    thread.join()
    assert (tmp_path / "file").read_bytes() == b"".join(STREAMS[0])
    failed = subprocess.run(  # noqa: S603
        [*command, str(tmp_path / "no" / "file"), "1000000"], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr == f"--record {tmp_path}/no/file: No such file or directory\n"


def test_a_full_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "open", lambda *_: _OPEN("/dev/full", os.O_WRONLY))
    recording = Recording(tmp_path / "file", 2**30)
    with pytest.raises(OSError, match="No space left"):
        recording.write(STREAMS[0])
    with pytest.raises(OSError, match="No space left"):
        recording.close()


_OPEN = os.open

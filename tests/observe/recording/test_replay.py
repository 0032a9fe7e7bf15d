from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.observe.recording import replay as module
from gateway.observe.recording.files import RecordingFiles
from gateway.observe.recording.replay import Replay
from gateway.pb import tap_pb2
from tests.observe.recording.played import STREAMS, written

SECOND = 1_000_000_000


class Clock:
    """Time that goes on while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(module, "asyncio", self)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


async def times(file: Path, speed: float, clock: Clock) -> list[tuple[float, list[int]]]:
    """When which records were handed on."""
    found: list[tuple[float, list[int]]] = []
    replay = Replay(RecordingFiles(file, "--replay"), speed, clock=clock)
    await replay.play(lambda batch: found.append((round(clock.now - 100.0, 6), [record.sequence for record in batch])))
    assert replay.is_over
    return found


def run(*seconds: float, name: str = "r") -> list[tap_pb2.TapRecord]:
    started = tap_pb2.RunStarted(run=name, unix_ns=SECOND, monotonic_ns=0)
    records = [tap_pb2.TapRecord(sequence=1, run_started=started)]
    for number, at in enumerate(seconds, 2):
        records.append(tap_pb2.TapRecord(sequence=number, monotonic_ns=int(at * SECOND), tick=tap_pb2.Tick()))
    return records


@pytest.mark.parametrize(
    ("speed", "expected"),
    [
        (1.0, [(0.0, [1]), (1.0, [2, 3]), (1.5, [4]), (3.5, [5])]),
        (10.0, [(0.0, [1]), (0.1, [2, 3]), (0.15, [4]), (0.35, [5])]),
        (0.0, [(0.0, [1, 2, 3, 4, 5])]),
    ],
    ids=["as recorded", "ten times", "max"],
)
async def test_records_come_in_the_pace_of_their_times_and_no_pause_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speed: float, expected: list[tuple[float, list[int]]]
) -> None:
    file = written(tmp_path, run(1.0, 1.0, 1.5, 500.0))
    assert await times(file, speed, Clock(monkeypatch)) == expected


async def test_a_next_run_goes_on_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, run(1.0, name="before"), "file.1")
    file = written(tmp_path, run(2.0), "file")
    assert await times(file, 1.0, Clock(monkeypatch)) == [(0.0, [1]), (1.0, [2, 1]), (3.0, [2])]


async def test_others_get_their_turn_and_nothing_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BATCH", 7)
    file = written(tmp_path, STREAMS[0])
    batches: list[list[tap_pb2.TapRecord]] = []
    replay = Replay(RecordingFiles(file, "--replay"), 0.0)
    assert replay.describe() == f"This is a replay of {file}, which goes on."
    await asyncio.wait_for(replay.play(batches.append), 30)
    assert [record for batch in batches for record in batch] == STREAMS[0]
    assert max(map(len, batches)) == 7
    assert replay.describe() == f"This is a replay of {file}, which is over: time stands still."


async def test_damage_is_said_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = written(tmp_path, STREAMS[0])
    file.write_bytes(file.read_bytes()[:-1])
    await Replay(RecordingFiles(file, "--replay"), 0.0).play(lambda _: None)
    assert f"{file}: the last record is cut off at byte" in caplog.text

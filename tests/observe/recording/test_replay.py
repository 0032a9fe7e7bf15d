from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from gateway.model.scheduler import SchedulerModel
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.state import PublishedState
from gateway.observe.observer import Observer, model_settings
from gateway.observe.recording import replay as module
from gateway.observe.recording.files import RecordingFiles, recordings
from gateway.observe.recording.replay import Replay
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator
from gateway.pb import tap_pb2
from gateway.tap.offline import decode_chunks
from tests.command import PATIENCE_S
from tests.e2e.recordings import ALL
from tests.observe.recording.played import STREAMS, played, written
from tests.observe.records import config
from tests.observe.test_recordings import LISTENERS, NAMES, chunks
from tests.tap.reading import parse

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
    replay = Replay(recordings(file, "--replay"), speed, clock=clock)

    def receive(source: str, batch: list[tap_pb2.TapRecord]) -> None:
        assert not replay.is_over
        found.append((round(clock.now - 100.0, 6), [record.sequence for record in batch]))
        sources.append(source)

    sources: list[str] = []
    await replay.play(receive, nothing)
    assert replay.is_over
    assert set(sources) == set(replay.sources)
    return found


def nothing() -> None:
    """Nothing waits to be settled."""


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
    replay = Replay(recordings(file, "--replay"), 0.0)
    assert replay.describe() == f"This is a replay of {file}, which goes on."
    await asyncio.wait_for(replay.play(lambda _, batch: batches.append(batch), nothing), PATIENCE_S)
    assert [record for batch in batches for record in batch] == STREAMS[0]
    assert max(map(len, batches)) == 7
    assert replay.describe() == f"This is a replay of {file}, which is over: time stands still."


async def test_damage_is_said_at_the_end(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = written(tmp_path, STREAMS[0])
    file.write_bytes(file.read_bytes()[:-1])
    await Replay(recordings(file, "--replay"), 0.0).play(lambda *_: None, nothing)
    assert f"{file}: the last record is cut off at byte" in caplog.text


async def test_of_several_tap_processes_everything_comes_in_the_order_of_its_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(tmp_path, run(1.0, 3.0), "file")
    written(tmp_path, run(2.0, 2.5, 3.0, name="other"), "file.tap-1")
    written(tmp_path, run(9.0, name="of a machine with more"), "file.tap-3")
    found = await times(file, 1.0, Clock(monkeypatch))
    assert found == [(0.0, [1]), (0.0, [1]), (1.0, [2]), (2.0, [2]), (2.5, [3]), (3.0, [3]), (3.0, [4])]


@pytest.mark.parametrize("name", NAMES)
async def test_two_recordings_of_one_traffic_play_to_what_one_plays_to(tmp_path: Path, name: str) -> None:
    began, events = chunks(name)
    for number, file in enumerate(("file", "file.tap-1")):
        mine = [event for event in events if event[1] % 2 == number]
        found = decode_chunks(mine, run=f"run-{number}", unix_ns=began, monotonic_ns=0, listeners=LISTENERS)
        written(tmp_path, map(parse, found), file)
    model = await _played(recordings(tmp_path / "file", "--replay"))
    whole = played(STREAMS[ALL.index(name)])
    assert model.counts() == whole.counts()
    assert model.anomaly_counts == whole.anomaly_counts
    assert _ends(model) == _ends(whole)


async def _played(found: list[RecordingFiles]) -> SchedulerModel:
    model = SchedulerModel(model_settings(config()))
    replay = Replay(found, 0.0)
    translators = {source: Translator(config()) for source in replay.sources}
    statistics = Statistics(model)
    overview = Overview(config(), model, statistics, dict, Counter)
    feed = Feed(PublishedState(model, overview, History("epoch")))
    observer = Observer(model, statistics, translators, feed, translators.keys())
    await replay.play(observer.receive, observer.settle)
    model.validate()
    return model


def _ends(model: SchedulerModel) -> list[tuple[object, ...]]:
    return sorted(
        (each.operation_id, each.stage.value, each.worker_id, each.attempts, each.join.value, each.finished_at)
        for each in model.operations.values()
    )

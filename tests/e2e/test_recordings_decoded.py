"""Every recording through the tap's decoder alone, against the scheduler's own state: as recorded, cut anew, and shuffled."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config.types import Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe.introspection import shape
from gateway.observe.observer import model_settings
from gateway.observe.translate import Translator
from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from gateway.tap.offline import ChunkEvent, decode_chunks
from gateway.tap.records import Listener
from tests.e2e import legacy, recordings, truth
from tests.e2e.gateway import configuration
from tests.e2e.recordings import Entry

_NS = 1_000_000_000
#: Anything; the tap's clock has nothing to do with Unix time.
_MONOTONIC_NS = 5_000 * _NS
_KINDS = {">": "to_server", "<": "to_client", ">.": "eof_client", "<.": "eof_server", "refused": "refused", "close": "close"}
#: How far connections are moved against each other.
_SHUFFLE_S = 0.05
_TICK_S = 1.0


@dataclass(frozen=True)
class State:
    workers: Sequence[pb.Worker]
    operations: Sequence[pb.Operation]
    counts: pb.Counts
    anomalies: Sequence[str]


def _as_recorded(entries: Iterable[Entry]) -> list[Entry]:
    return list(entries)


def _cut_anew(entries: Iterable[Entry], chance: random.Random) -> list[Entry]:
    """Chunks cut at random, down to single bytes, at the time of the chunk that they come from."""
    found: list[Entry] = []
    for entry in entries:
        data = entry.data
        while len(data) > 1 and chance.random() < 0.9:
            size = chance.choice((1, 1, 2, 3, 8, 9, 10, 100, 1000))
            found.append(Entry(entry.at, entry.connection, entry.kind, data[:size], entry.text))
            data = data[size:]
        if data or not entry.data:
            found.append(Entry(entry.at, entry.connection, entry.kind, data, entry.text))
    return found


def _shuffled(entries: Iterable[Entry], chance: random.Random) -> list[Entry]:
    """Every entry later by up to 50 ms, each connection's own order kept."""
    latest: dict[int, float] = {}
    found: list[Entry] = []
    for entry in entries:
        at = max(entry.at + chance.uniform(0, _SHUFFLE_S), latest.get(entry.connection, 0.0))
        latest[entry.connection] = at
        found.append(Entry(at, entry.connection, entry.kind, entry.data, entry.text))
    return sorted(found, key=lambda entry: entry.at)


def _events(entries: Sequence[Entry]) -> Iterator[ChunkEvent]:
    """What the decoder is told, with a tick every second."""
    second = 1
    ended: dict[int, set[str]] = {}
    for entry in [*entries, Entry(entries[-1].at + 1, 0, "tick", b"", "")]:
        while second <= entry.at:
            yield _MONOTONIC_NS + second * _NS, 0, "tick", None
            second += 1
        now = _MONOTONIC_NS + int(entry.at * _NS)
        if entry.kind == "open":
            yield now, entry.connection, "open", (entry.text, f"127.0.0.1:{40_000 + entry.connection}")
        elif entry.kind != "tick" and not {">.", "<."} <= ended.get(entry.connection, set()):
            yield now, entry.connection, _KINDS[entry.kind], entry.data or entry.text or None
        if entry.kind in {">.", "<.", "close"}:
            # A connection is over when both sides have sent FIN; what follows that is left out.
            before = ended.setdefault(entry.connection, set())
            before.add(entry.kind)
            if before == {">.", "<."}:
                yield now, entry.connection, "close", None


class Replay:
    """Records of a recording, folded into a model up to any moment."""

    def __init__(self, name: str, entries: Sequence[Entry]) -> None:
        config: Config = configuration(name, Path("unused"), {"execution": 1, "workers": 2})
        self._model = SchedulerModel(model_settings(config))
        self._translator = Translator(config)
        recording = recordings.load(name)
        listeners = [
            Listener(tap.name, str(tap.listen), str(tap.upstream), tuple(each.value for each in tap.carries), "")
            for tap in config.taps
        ]
        chunks = decode_chunks(
            _events(entries), run="run", unix_ns=int(recording.began * _NS), monotonic_ns=_MONOTONIC_NS, listeners=listeners
        )
        self._records = [_parsed(chunk) for chunk in chunks]
        self._next = 0

    def until(self, at: float) -> State:
        """The state after everything that was recorded up to that second."""
        limit = _MONOTONIC_NS + int(at * _NS)
        while self._next < len(self._records) and self._records[self._next].monotonic_ns <= limit:
            for event in self._translator.translate(self._records[self._next]):
                self._model.apply(event)
                self._model.validate()
            self._model.advance(self._translator.now)
            self._next += 1
        model = self._model
        return State(
            [shape.worker_full(model, worker) for worker in model.workers.values()],
            [shape.operation_full(model, operation) for operation in model.operations.values()],
            shape.counts(model.counts()),
            [f"{anomaly.kind}: {anomaly.text}" for anomaly in model.anomalies],
        )


def _parsed(chunk: bytes) -> tap_pb2.TapRecord:
    size = shift = position = 0
    while True:
        byte = chunk[position]
        position += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    assert size == len(chunk) - position
    return tap_pb2.TapRecord.FromString(chunk[position:])


def _differences(name: str, entries: Sequence[Entry], *, margin_s: float = 0.0) -> list[str]:
    """At the beginning (and `margin_s` after it) and at the end of each checkpoint."""
    replay = Replay(name, entries)
    found: list[str] = []
    if name == "legacy":
        for moment in legacy.moments():
            if not recordings.load(name).is_quiet(moment.at, moment.at + margin_s):
                continue  # shuffled, it is not settled before the next thing happens
            state = replay.until(moment.at + margin_s)
            found += [f"{moment.label}: {line}" for line in legacy.differences(moment, state.workers, state.operations)]
    else:
        for checkpoint in recordings.truth(name):
            begun = checkpoint.at + margin_s
            for at in (at for at in (begun, checkpoint.until) if begun <= at <= checkpoint.until):
                state = replay.until(at)
                lines = truth.differences(
                    checkpoint, state.workers, state.operations, state.counts, just_begun=at < checkpoint.at + _TICK_S
                )
                found += [f"{at}: {line}" for line in lines]
    return found + list(replay.until(float("1e6")).anomalies)


@pytest.mark.parametrize("name", recordings.ALL)
def test_every_checkpoint_agrees(name: str) -> None:
    assert _differences(name, _as_recorded(recordings.load(name).entries)) == []


@pytest.mark.parametrize("name", recordings.ALL)
def test_every_checkpoint_agrees_when_bytes_are_cut_anew(name: str) -> None:
    chance = random.Random(name)
    for _ in range(5):
        assert _differences(name, _cut_anew(recordings.load(name).entries, chance)) == []


@pytest.mark.parametrize("name", recordings.ALL)
def test_every_checkpoint_agrees_when_connections_are_shuffled(name: str) -> None:
    chance = random.Random(name)
    for _ in range(20):
        assert _differences(name, _shuffled(recordings.load(name).entries, chance), margin_s=_SHUFFLE_S) == []


@pytest.mark.parametrize("name", recordings.ALL)
def test_the_end_is_the_same_whatever_the_order_between_connections(name: str) -> None:
    """Counts, worker states and proven pairs."""
    chance = random.Random(name)
    entries = recordings.load(name).entries
    expected = _outcome(Replay(name, entries).until(entries[-1].at - 0.5))
    for _ in range(20):
        assert _outcome(Replay(name, _shuffled(entries, chance)).until(entries[-1].at - 0.5 + _SHUFFLE_S)) == expected


def _outcome(state: State) -> object:
    workers = sorted(
        (
            (worker.id, sorted(worker.running_operations), worker.actions_completed, worker.is_paused, worker.is_draining)
            for worker in state.workers
        ),
    )
    proven = sorted(
        (operation.operation_id, operation.client_operation_id)
        for operation in state.operations
        if operation.detail.join == pb.OperationDetail.PROVEN
    )
    return state.counts.SerializeToString(deterministic=True), workers, proven

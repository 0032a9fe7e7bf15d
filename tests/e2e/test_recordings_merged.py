"""Every recording as two tap processes would have seen it, a connection by either at random, against the scheduler's own state."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.model.scheduler import SchedulerModel
from gateway.observe import merge
from gateway.observe.cacheability import Cacheability
from gateway.observe.introspection import shape
from gateway.observe.observer import model_settings
from gateway.observe.translate import Translator
from gateway.pb import tap_pb2
from gateway.tap.offline import decode_chunks
from gateway.tap.records import Listener
from tests.e2e import legacy, recordings, truth
from tests.e2e.gateway import configuration
from tests.e2e.recordings import Entry
from tests.e2e.test_recordings_decoded import _MONOTONIC_NS, _NS, State, _events, _parsed

#: A record is on its way for so long at most.
_TRANSIT_S = 0.01
#: From when on nothing of before is on its way, nor waits to be put in order.
_SETTLED_S = 2 * _TRANSIT_S + merge.WINDOW_S
_TICK_S = 1.0


@dataclass(frozen=True)
class _Arrival:
    #: Seconds of the recording.
    at: float
    source: int
    record: tap_pb2.TapRecord


class _Merged:
    """The model behind two taps, up to any moment."""

    def __init__(self, name: str, chance: random.Random) -> None:
        recording = recordings.load(name)
        config = configuration(name, Path("unused"), {"execution": 1, "workers": 2})
        listeners = [
            Listener(tap.name, str(tap.listen), str(tap.upstream), tuple(each.value for each in tap.carries), "")
            for tap in config.taps
        ]
        self._model = SchedulerModel(model_settings(config))
        cacheability = Cacheability()
        self._translators = [Translator(config, cacheability) for _ in range(2)]
        by = {connection: chance.randrange(2) for connection in recording.of_connection()}
        arrivals: list[_Arrival] = []
        for source in range(2):
            entries = [entry for entry in recording.entries if by[entry.connection] == source]
            # Both see the end, which the ticks go on to. The clock of each began at another time.
            began = _MONOTONIC_NS * source
            entries.append(Entry(recording.ends, 0, "tick", b"", ""))
            chunks = decode_chunks(
                ((at - _MONOTONIC_NS + began, *rest) for at, *rest in _events(entries)),
                run=f"run-{source}",
                unix_ns=int(recording.began * _NS),
                monotonic_ns=began,
                listeners=listeners,
            )
            latest = 0.0
            for record in map(_parsed, chunks):
                latest = max(latest, (record.monotonic_ns - began) / _NS + chance.uniform(0, _TRANSIT_S))
                arrivals.append(_Arrival(latest, source, record))
        self._batches = list(_batches(sorted(arrivals, key=lambda arrival: arrival.at)))
        self._next = 0

    def until(self, at: float) -> State:
        """The state after what had come by that second."""
        while self._next < len(self._batches) and self._batches[self._next][-1].at + merge.WINDOW_S <= at:
            self._fold(self._batches[self._next])
            self._next += 1
        model = self._model
        return State(
            [shape.worker_full(model, worker) for worker in model.workers.values()],
            [shape.operation_full(model, operation) for operation in model.operations.values()],
            shape.counts(model.counts()),
            [f"{anomaly.kind}: {anomaly.text}" for anomaly in model.anomalies],
        )

    def _fold(self, arrivals: Sequence[_Arrival]) -> None:
        translators = self._translators
        waiting = [
            (translator.run.offset if translator.run else 0, [each.record for each in arrivals if each.source == source])
            for source, translator in enumerate(translators)
        ]
        before = self._model.now
        for source, record in merge.in_order(waiting):
            for event in translators[source].translate(record):
                self._model.apply(event)
            self._model.advance(translators[source].now)
        self._model.validate()
        assert self._model.now >= before


def _batches(arrivals: Sequence[_Arrival]) -> Iterator[list[_Arrival]]:
    """What is put in order together: what comes within the window after the first."""
    batch: list[_Arrival] = []
    for arrival in arrivals:
        if batch and arrival.at > batch[0].at + merge.WINDOW_S:
            yield batch
            batch = []
        batch.append(arrival)
    yield batch


def _differences(name: str, merged: _Merged) -> list[str]:
    found: list[str] = []
    recording = recordings.load(name)
    if name == "legacy":
        for moment in legacy.moments():
            if recording.is_quiet(moment.at, moment.at + _SETTLED_S):
                state = merged.until(moment.at + _SETTLED_S)
                found += [f"{moment.label}: {line}" for line in legacy.differences(moment, state.workers, state.operations)]
    else:
        for checkpoint in recordings.truth(name):
            begun = checkpoint.at + _SETTLED_S
            for at in (at for at in (begun, checkpoint.until) if begun <= at <= checkpoint.until):
                state = merged.until(at)
                lines = truth.differences(
                    checkpoint, state.workers, state.operations, state.counts, just_begun=at < checkpoint.at + _TICK_S
                )
                found += [f"{at}: {line}" for line in lines]
    return found + list(merged.until(float("1e6")).anomalies)


@pytest.mark.parametrize("name", recordings.ALL)
def test_every_checkpoint_agrees_whichever_of_two_taps_a_connection_goes_through(name: str) -> None:
    chance = random.Random(name)
    for _ in range(8):
        assert _differences(name, _Merged(name, chance)) == []

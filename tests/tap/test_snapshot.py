"""A run that goes on in another process says what it would have said."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from enum import Enum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.types import TapLimits
from gateway.tap import snapshot
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.journal import Journal
from gateway.tap.offline import ChunkEvent
from gateway.tap.records import Listener
from gateway.tap.ring import Ring
from gateway.tap.snapshot import Snapshot, SnapshotError
from tests.e2e import recordings
from tests.tap.reading import EXECUTION, WORKERS
from tests.tap.recorded import events_of

_LISTENERS: Sequence[Listener] = (EXECUTION, WORKERS)
#: So small that most of what a recording says leaves the ring and lives on in the open streams' state.
_LIMITS = TapLimits(ring_bytes=4096)
_EVENTS = {name: events_of(recordings.load(name).entries) for name in recordings.ALL}


class _Run:
    """A run that is taken to another process, so to speak, whenever `move` is called."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.ring = Ring(_LIMITS.ring_bytes)
        self.journal = Journal("run", 10**18, 0, _LISTENERS, _LIMITS, self._sink)
        self.decoders: dict[int, ConnectionDecoder] = {}

    def _sink(self, record: bytes) -> None:
        self.said.append(record)
        self.ring.append(record)

    def apply(self, event: ChunkEvent) -> None:
        now, number, kind, payload = event
        if kind == "tick":
            self.journal.tick(now)
        elif kind == "open":
            self.decoders[number] = self.journal.connection(number, *payload)
            self.decoders[number].opened(now)
        elif kind == "refused":
            self.decoders[number].refused(now, payload)
        elif kind == "close":
            self.decoders.pop(number).closed(now, 1, reset=False)
        elif kind.startswith("eof"):
            self.decoders[number].eof(now, 1 if kind == "eof_client" else 2)
        else:
            decoder = self.decoders[number]
            decoder.feed(now, 1 if kind == "to_server" else 2, payload)
            while not decoder.work():
                pass

    def move(self) -> None:
        found = snapshot.load_run(snapshot.dump(Snapshot(self.journal, self.decoders, ([1], 2), 3)))
        assert (found.delays, found.gaps) == (([1], 2), 3)
        self.journal, self.decoders = found.journal, found.decoders
        self.journal.resume(_LIMITS, self._sink)
        before = self.ring
        state = snapshot.load_open_state(snapshot.dump(before.state))
        self.ring = Ring(_LIMITS.ring_bytes)
        self.ring.resume(state, before.start, before.first_sequence)
        position = before.start
        while (stretch := before.read(position)) is not None:
            self.ring.extend(stretch.data)
            position = stretch.position

    def shows(self) -> tuple[list[bytes], int, int, list[bytes]]:
        """Everything that a reader could ever be told."""
        return self.said, self.ring.start, self.ring.next_sequence, list(self.ring.state.snapshot())


def _whole(name: str, cuts: Sequence[int], pieces: int) -> tuple[object, object]:
    """What a run says undisturbed, and moved before each event in `cuts`; chunks in pieces of that size."""
    events: list[ChunkEvent] = []
    for now, connection, kind, payload in _EVENTS[name]:
        if kind in {"to_server", "to_client"}:
            events += [(now, connection, kind, payload[pos : pos + pieces]) for pos in range(0, len(payload), pieces)]
        else:
            events.append((now, connection, kind, payload))
        if len(events) % 5 == 0:
            events.append((now, 0, "tick", None))
    undisturbed, moved = _Run(), _Run()
    at = {cut % len(events) for cut in cuts}
    for index, event in enumerate(events):
        if index in at:
            moved.move()
        moved.apply(event)
        undisturbed.apply(event)
    return undisturbed.shows(), moved.shows()


@settings(max_examples=30)
@given(st.sampled_from(recordings.ALL), st.lists(st.integers(0, 10**6), min_size=1, max_size=5), st.sampled_from((7, 50, 10**6)))
def test_a_recording_that_is_moved_anywhere_says_what_it_says_undisturbed(name: str, cuts: list[int], pieces: int) -> None:
    undisturbed, moved = _whole(name, cuts, pieces)
    assert moved == undisturbed


@pytest.mark.parametrize("name", recordings.ALL)
def test_a_recording_that_is_moved_before_every_event_says_what_it_says_undisturbed(name: str) -> None:
    undisturbed, moved = _whole(name, range(10**6), 500)
    assert moved == undisturbed


def _dumped() -> bytes:
    return snapshot.dump(Snapshot(_Run().journal, {}, ([], 0), 0))


def test_another_class_is_not_looked_up() -> None:
    class_of_another = pickle.dumps(Listener("a", "b", "c", ()))
    with pytest.raises(SnapshotError, match=r"gateway\.tap\.records\.Listener is no part of a run"):
        snapshot.load_run(class_of_another)
    with pytest.raises(SnapshotError, match=r"builtins\.eval is no part of a run"):
        snapshot.load_run(b"cbuiltins\neval\n(V1\ntR.")


@given(st.data())
def test_damaged_bytes_are_no_snapshot(data: st.DataObject) -> None:
    whole = _dumped()
    with pytest.raises(SnapshotError):
        snapshot.load_run(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(SnapshotError, match="no state of open streams"):
        snapshot.load_open_state(whole)
    with pytest.raises(SnapshotError, match="no snapshot of a run"):
        snapshot.load_run(snapshot.dump(Ring(1000).state))


def test_the_layout_is_the_same_in_every_process_and_another_with_another_field(monkeypatch: pytest.MonkeyPatch) -> None:
    before = snapshot.layout()
    assert snapshot.layout() == before
    monkeypatch.setattr(ConnectionDecoder, "__slots__", (*ConnectionDecoder.__slots__, "more"))
    assert snapshot.layout() != before


def test_everything_that_a_run_is_made_of_has_its_fields_in_the_layout() -> None:
    for each in snapshot.classes():
        assert issubclass(each, Enum) or "__dict__" not in dir(each), each

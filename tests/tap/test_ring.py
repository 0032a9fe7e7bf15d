from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.tap import records
from gateway.tap.records import Recorder
from gateway.tap.ring import Ring
from tests.tap.frames import EXECUTE
from tests.tap.reading import parse, split


def _filled(limit_bytes: int, sizes: list[int]) -> Ring:
    ring = Ring(limit_bytes)
    recorder = Recorder(ring.append)
    for size in sizes:
        recorder.message(0, 1, 1, records.TO_CLIENT, bytes(size))
    return ring


def _rest(ring: Ring, position: int) -> list[int]:
    """Sequences of all records from there on."""
    found: list[int] = []
    while (stretch := ring.read(position)) is not None:
        together, left = split(stretch.data)
        assert left == b""
        found += [record.sequence for record in together]
        assert stretch.sequence == found[-1] + 1
        position = stretch.position
    return found


@given(st.lists(st.integers(0, 300), max_size=80), st.integers(0, 3000))
def test_every_record_that_is_there_is_found_by_its_number(sizes: list[int], limit: int) -> None:
    ring = _filled(limit, sizes)
    assert ring.next_sequence == len(sizes) + 1
    for sequence in range(len(sizes) + 3):
        position = ring.position_of(sequence)
        if sequence < ring.first_sequence:
            assert position is None
        else:
            assert position is not None
            assert _rest(ring, position) == list(range(sequence, len(sizes) + 1))


@given(st.lists(st.integers(0, 300), min_size=1, max_size=80), st.integers(0, 3000))
def test_the_ring_is_bounded_by_its_limit_and_one_record(sizes: list[int], limit: int) -> None:
    ring = _filled(limit, sizes)
    assert ring.used_bytes <= limit or ring.first_sequence == len(sizes)
    assert ring.used_bytes == ring.end - ring.start
    assert ring.state.sequence == ring.first_sequence - 1


def test_a_full_ring_keeps_most_of_its_limit() -> None:
    ring = _filled(10_000_000, [1000] * 15_000)
    assert ring.used_bytes > 9_800_000


def test_records_that_leave_live_on_in_the_state() -> None:
    ring = Ring(100)
    recorder = Recorder(ring.append)
    recorder.record(5, 1, 0, records.CONNECTION_OPENED, records.connection_opened("l", "p"))
    recorder.record(6, 1, 3, records.STREAM_OPENED, records.stream_opened(EXECUTE, b"", ""))
    for _ in range(20):
        recorder.record(7, 0, 0, records.TICK, b"")
    listed = [parse(record) for record in ring.state.snapshot()]
    assert [(record.connection, record.stream) for record in listed] == [(0, 0), (1, 0), (1, 3), (0, 0)]
    assert listed[0].sequence == ring.first_sequence - 1


def test_there_is_nothing_after_the_end() -> None:
    ring = _filled(1000, [10])
    assert ring.read(ring.end) is None

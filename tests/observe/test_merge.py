"""Records of several taps in one order."""

from __future__ import annotations

from gateway.observe import merge
from gateway.pb import tap_pb2
from tests.observe.records import EPOCH


def _ticks(*monotonic_ns: int) -> list[tap_pb2.TapRecord]:
    return [tap_pb2.TapRecord(monotonic_ns=each, tick=tap_pb2.Tick()) for each in monotonic_ns]


def _order(*batches: tuple[int, list[tap_pb2.TapRecord]]) -> list[tuple[int, int]]:
    return [(number, record.monotonic_ns) for number, record in merge.in_order(batches)]


def test_between_taps_the_time_decides_whatever_their_clocks_show() -> None:
    assert _order((1000, _ticks(1, 5, 9)), (0, _ticks(1003, 1006))) == [(0, 1), (1, 1003), (0, 5), (1, 1006), (0, 9)]


def test_within_a_tap_the_order_stays_also_where_a_state_tells_of_before() -> None:
    assert _order((0, _ticks(5, 1, 6)), (0, _ticks(2, 6))) == [(1, 2), (0, 5), (0, 1), (0, 6), (1, 6)]


def test_a_run_that_begins_brings_its_own_clock() -> None:
    started = tap_pb2.TapRecord(monotonic_ns=1, run_started=tap_pb2.RunStarted(unix_ns=EPOCH, monotonic_ns=1))
    assert _order((0, [started, *_ticks(4)]), (EPOCH, _ticks(1))) == [(0, 1), (1, 1), (0, 4)]


def test_nothing_comes_of_nothing() -> None:
    assert _order() == []
    assert _order((0, []), (0, _ticks(1))) == [(1, 1)]

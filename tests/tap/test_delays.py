from __future__ import annotations

import asyncio
import time

import uvloop

from gateway.tap.delays import BOUNDS_NS, Delays

MS = 1_000_000
#: A turn of the loop began here.
TURN = 50_000 * MS


class _Loop(asyncio.SelectorEventLoop):
    """One whose clock stands still, as uvloop's does within a turn."""

    now = TURN / 1e9

    def time(self) -> float:
        return self.now


def _delays() -> Delays:
    loop = _Loop()
    loop.close()
    return Delays(loop)


def test_a_chunk_that_comes_alone_waits_for_its_own_writing_only() -> None:
    delays = _delays()
    delays.forwarded(TURN + 3 * MS, TURN + 3 * MS + 20_000)
    delays.forwarded(TURN + 9 * MS, TURN + 9 * MS + 70_000)
    assert (delays.counts[:3], delays.sum_ns, delays.max_ns) == ([1, 1, 0], 90_000, 70_000)


def test_a_chunk_waits_for_those_before_it_in_the_same_turn() -> None:
    delays = _delays()
    for number in range(10):
        delays.forwarded(TURN + number * 300_000 + 10_000, TURN + number * 300_000 + 290_000)
        delays.worked()
        delays._busy_until = TURN + (number + 1) * 300_000
    assert delays.max_ns == 9 * 300_000 + 280_000
    assert sum(delays.counts) == 10


def test_under_constant_load_nothing_has_waited_since_before_the_turn() -> None:
    delays = _delays()
    delays._busy_since = TURN - 400 * MS
    delays._busy_until = TURN
    delays.forwarded(TURN + 30_000, TURN + 60_000)
    assert delays.max_ns == 60_000


def test_what_is_over_the_last_bound_is_counted_last() -> None:
    delays = _delays()
    delays.forwarded(TURN, TURN + 2_000 * MS)
    assert delays.counts == [0] * len(BOUNDS_NS) + [1]


def test_the_longest_of_late_is_taken_once() -> None:
    delays = _delays()
    delays.forwarded(TURN, TURN + 7 * MS)
    delays.lag_ns = 3
    assert delays.taken() == (7 * MS, 3)
    assert delays.taken() == (0, 0)
    assert delays.sum_ns == 7 * MS


def test_a_loop_that_is_held_up_lags_by_that() -> None:
    async def hold() -> int:
        delays = Delays(asyncio.get_running_loop())
        delays.watch()
        try:
            await asyncio.sleep(0.02)
            time.sleep(0.4)  # noqa: ASYNC251 - what is measured
            await asyncio.sleep(0.02)
        finally:
            delays.stop()
        return delays.lag_ns

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(hold()) >= 250 * MS

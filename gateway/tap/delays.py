"""How long this process makes others wait: what the loop did and when comes in, a histogram of waits and the loop's lag go out.

A chunk waits from the moment the loop saw that its socket can be read until it was handed to the other side's socket: mostly
for the other sockets of the same turn. What waits in a full socket is not counted here: it waits for the peer, as it would
without a tap.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Sequence
from time import monotonic_ns

#: Upper bounds of the histogram, nanoseconds; one more count is of everything over the last (tap.proto, Delays).
BOUNDS_NS: Sequence[int] = tuple(
    int(each * 1_000) for each in (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000)
)
#: A loop that does nothing for so long waits for its sockets, and nobody waits for it.
_IDLE_NS = 100_000
#: How often the lag is looked at.
_LAG_INTERVAL_S = 0.1


class Delays:
    """Measures one loop. What is measured since the last `Tick` is taken by it."""

    __slots__ = ("_busy_since", "_busy_until", "_due", "_handle", "_loop", "counts", "lag_ns", "max_ns", "sum_ns")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        #: Waits by upper bound, as BOUNDS_NS, since the run started.
        self.counts = [0] * (len(BOUNDS_NS) + 1)
        self.sum_ns = 0
        #: The longest wait, and the loop's longest lag, since the last Tick.
        self.max_ns = 0
        self.lag_ns = 0
        self._busy_since = 0
        self._busy_until = 0
        self._due = 0.0
        self._handle: asyncio.Handle | None = None

    def forwarded(self, began: int, ended: int) -> None:
        """A chunk came to be handled at `began` and was written at `ended`, CLOCK_MONOTONIC nanoseconds."""
        if began - self._busy_until > _IDLE_NS:
            self._busy_since = began
        self._busy_until = ended
        since = self._busy_since
        if ended - since > _IDLE_NS:
            # uvloop's time is that at which it last looked at its sockets, in whole milliseconds: too long by up to one of them.
            since = max(since, int(self._loop.time() * 1e9))
        waited = max(ended - since, 0)
        self.counts[bisect_left(BOUNDS_NS, waited)] += 1
        self.sum_ns += waited
        self.max_ns = max(self.max_ns, waited)

    def worked(self) -> None:
        """The loop did something else until now."""
        self._busy_until = monotonic_ns()

    def watch(self) -> None:
        """Measures the loop's lag from now on: how late a timer fires, to the millisecond of uvloop's timers."""
        self._due = self._loop.time() + _LAG_INTERVAL_S
        self._handle = self._loop.call_at(self._due, self._watched)

    def _watched(self) -> None:
        # The loop's own time is from when it last looked; the difference is what the clock says.
        self.lag_ns = max(self.lag_ns, monotonic_ns() - int(self._due * 1e9))
        self.watch()

    def stop(self) -> None:
        """Measures the lag no more."""
        if self._handle is not None:
            self._handle.cancel()

    def resume(self, counts: Sequence[int], sum_ns: int) -> None:
        """Goes on with what another process of the same run measured, unless its bounds were others."""
        if len(counts) == len(self.counts):
            self.counts, self.sum_ns = list(counts), sum_ns

    def taken(self) -> tuple[int, int]:
        """The longest wait and the longest lag since this was called last, nanoseconds."""
        taken = self.max_ns, self.lag_ns
        self.max_ns = self.lag_ns = 0
        return taken

"""How long completed operations are listed: for `completed_s`, at most `completed_max`; those that finished first go first."""

from __future__ import annotations

from collections import deque

from gateway.model.timers import NEVER

NS_PER_S = 1_000_000_000


class Retention:
    """The completed operations, in the order in which they finished."""

    __slots__ = ("_arrivals", "_finished", "_kept_ns", "_limit", "next_at")

    def __init__(self, completed_s: int, completed_max: int) -> None:
        #: When each finished, which never decreases, and its arrival. One whose
        #: result turned out to be another's stays until its time.
        self._finished: deque[int] = deque()
        self._arrivals: deque[int] = deque()
        #: When the time of the oldest is over; NEVER: there is none. An attribute, since every event looks at it.
        self.next_at: float = NEVER
        self.configure(completed_s, completed_max)

    def configure(self, completed_s: int, completed_max: int) -> None:
        """From now on."""
        self._kept_ns = completed_s * NS_PER_S
        self._limit = completed_max
        self._look()

    def completed(self, finished_at: int, arrival: int) -> None:
        """An operation finished, now."""
        self._finished.append(finished_at)
        self._arrivals.append(arrival)
        self._look()

    def is_due(self, now: int, listed: int) -> bool:
        """Whether the oldest has to go; `listed` is how many completed operations are listed."""
        return self.next_at <= now or (listed > self._limit and bool(self._finished))

    def pop(self) -> tuple[int, int]:
        """The oldest, as (finished_at, arrival)."""
        oldest = self._finished.popleft(), self._arrivals.popleft()
        self._look()
        return oldest

    def _look(self) -> None:
        self.next_at = self._finished[0] + self._kept_ns if self._finished else NEVER

    def __len__(self) -> int:
        return len(self._finished)

"""How long completed operations are listed: for `completed_s`, at most `completed_max`; those that finished first go first."""

from __future__ import annotations

from collections import deque

NS_PER_S = 1_000_000_000


class Retention:
    """The completed operations, in the order in which they finished."""

    __slots__ = ("_finished", "_kept_ns", "_limit")

    def __init__(self, completed_s: int, completed_max: int) -> None:
        self.configure(completed_s, completed_max)
        #: (finished_at, arrival); finished_at never decreases. One whose result turned out to be another's stays until its time.
        self._finished: deque[tuple[int, int]] = deque()

    def configure(self, completed_s: int, completed_max: int) -> None:
        """From now on."""
        self._kept_ns = completed_s * NS_PER_S
        self._limit = completed_max

    def completed(self, finished_at: int, arrival: int) -> None:
        """An operation finished, now."""
        self._finished.append((finished_at, arrival))

    def is_due(self, now: int, listed: int) -> bool:
        """Whether the oldest has to go; `listed` is how many completed operations are listed."""
        return bool(self._finished) and (listed > self._limit or self._finished[0][0] + self._kept_ns <= now)

    def pop(self) -> tuple[int, int]:
        """The oldest, as (finished_at, arrival)."""
        return self._finished.popleft()

    def __len__(self) -> int:
        return len(self._finished)

"""Deadlines: a heap of times at which something has to be looked at again. It holds no state of its own.

Whoever sets a timer keeps at most one of a kind for a subject and looks, when it is due, whether anything is to be done: so the
heap is bounded by what is listed, and nothing has to be cancelled.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

#: Later than whatever a record says that it is.
NEVER: Final = math.inf


class Due(IntEnum):
    """What is to be looked at; the subject is an operation's arrival number where one is named."""

    #: Whether the operation is still wanted by anybody.
    ABANDONED = 1
    #: Whether clients that wait at a finished or superseded operation belong there.
    SETTLED = 2
    #: Whether workers that were not confirmed after a gap are alive; no subject.
    UNCONFIRMED = 3
    #: Whether a gap has healed; no subject.
    HEALED = 4


class Timers:
    """Set with a time in Unix nanoseconds, taken in order of time."""

    __slots__ = ("_heap", "next_at")

    def __init__(self) -> None:
        self._heap: list[tuple[int, Due, int]] = []
        #: When the first is due; NEVER: there is none. An attribute, since every event looks at it.
        self.next_at: float = NEVER

    def set(self, at: int, due: Due, subject: int = 0) -> None:
        """To be taken once `at` is reached."""
        heapq.heappush(self._heap, (at, due, subject))
        self.next_at = self._heap[0][0]

    def take(self, now: int) -> Iterator[tuple[Due, int]]:
        """Those whose time has come, also such as are set meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, due, subject = heapq.heappop(heap)
            self.next_at = heap[0][0] if heap else NEVER
            yield due, subject

    def __len__(self) -> int:
        return len(self._heap)

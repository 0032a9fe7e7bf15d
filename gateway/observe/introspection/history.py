"""What changed since a revision: the log for subscribers that come back, which is part of a checkpoint written at stop.

It is the entities that changed last, in the order of that, and the latest removals, each within a bound: whoever knows a revision
from which on all of both are listed gets only what changed.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

#: Entities that are brought to a subscriber that comes back; a snapshot is the better answer for more.
RESUME_MAX = 2_000
#: Removals that are remembered.
REMOVALS_MAX = 20_000


class Difference(NamedTuple):
    """Between two revisions, by arrival."""

    #: What is there and changed, the latest first.
    changed: list[int]
    gone_workers: list[int]
    gone_operations: list[int]


class History:
    """Of one epoch."""

    __slots__ = ("_changed", "_forgotten", "_removals", "epoch", "number")

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        #: The latest revision.
        self.number = 0
        #: Arrival -> number of the revision that last changed it, the latest at the end: RESUME_MAX at most.
        self._changed: OrderedDict[int, int] = OrderedDict()
        #: (number, arrival, is a worker)
        self._removals: deque[tuple[int, int, bool]] = deque()
        #: Changes and removals of this revision and before may be forgotten.
        self._forgotten = 0

    def change(self, arrival: int) -> None:
        """The latest revision has it new, or different."""
        self._changed[arrival] = self.number
        self._changed.move_to_end(arrival)
        if len(self._changed) > RESUME_MAX:
            self._forgotten = max(self._forgotten, self._changed.popitem(last=False)[1])

    def remove(self, arrival: int, *, is_worker: bool) -> None:
        """The latest revision has it no longer."""
        self._changed.pop(arrival, None)
        self._removals.append((self.number, arrival, is_worker))
        while len(self._removals) > REMOVALS_MAX:
            self._forgotten = max(self._forgotten, self._removals.popleft()[0])

    def since(self, number: int) -> Difference | None:
        """What takes a subscriber from that revision to the latest; None: it needs a snapshot."""
        if not self._forgotten <= number <= self.number:
            return None
        changed = []
        for arrival in reversed(self._changed):
            if self._changed[arrival] <= number:
                break
            changed.append(arrival)
        workers: list[int] = []
        operations: list[int] = []
        for removed_with, arrival, is_worker in reversed(self._removals):
            if removed_with <= number:
                break
            (workers if is_worker else operations).append(arrival)
        return Difference(changed, workers, operations)

"""Actions that wait for a worker: what is queued, and since when, comes in; how many there are and the oldest goes out.

Both are of all together, and by set of platform properties.
An answer costs the same however many wait. Sets of properties are anybody's words, so their number is bounded: the first
`SETS_MAX` have a group of their own, which one that nobody asked for within `IDLE_NS` gives up; every further one is part of
`OTHER` as long as it waits. What is not known to ask for anything has groups too.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable

from gateway.model.identity import Properties

#: Groups of actions whose properties are not known, that have none, and for whose properties there was no group.
UNKNOWN, NONE, OTHER = "unknown", "none", "other"
SETS_MAX = 20
IDLE_NS = 3_600 * 1_000_000_000
#: Characters of a group's name; a longer set is cut and told apart by a hash.
NAME_MAX = 200
_HASH_BYTES = 4
#: Entries of a heap that are gone before it is made anew without them, beside as many as are there.
_GONE_MAX = 64


def name_of(properties: Properties | None) -> str:
    """`NAME=VALUE,…`, by name, of a repeated name the last value; always with a `=`, which the words for other groups lack."""
    if properties is None:
        return UNKNOWN
    if not properties:
        return NONE
    name = ",".join(f"{key}={value}" for key, value in sorted(dict(properties).items()))
    if len(name) <= NAME_MAX:
        return name
    return f"{name[: NAME_MAX - 2 * _HASH_BYTES - 1]}…{hashlib.blake2b(name.encode(), digest_size=_HASH_BYTES).hexdigest()}"


class Group:
    """Actions that wait for the same."""

    __slots__ = ("_heap", "_since", "used_at")

    def __init__(self) -> None:
        #: Arrival -> since when, Unix nanoseconds.
        self._since: dict[int, int] = {}
        #: The same as (since, arrival), and some that are gone: least first.
        self._heap: list[tuple[int, int]] = []
        #: When something last came or went.
        self.used_at = 0

    def __len__(self) -> int:
        return len(self._since)

    def add(self, arrival: int, since: int) -> None:
        """It waits."""
        self._since[arrival] = since
        heapq.heappush(self._heap, (since, arrival))

    def remove(self, arrival: int) -> None:
        """It waits no longer."""
        del self._since[arrival]
        if len(self._heap) > 2 * len(self._since) + _GONE_MAX:
            self._heap = [(since, each) for each, since in self._since.items()]
            heapq.heapify(self._heap)

    def since(self, arrival: int) -> int:
        """Since when one of them waits."""
        return self._since[arrival]

    def oldest(self) -> int | None:
        """Since when the first of them waits; None: none does."""
        heap = self._heap
        while heap and self._since.get(heap[0][1]) != heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None


class Waiting:
    """Everything that waits."""

    __slots__ = ("_group_of", "_places", "groups")

    def __init__(self) -> None:
        #: By name: sets of properties, and the three words.
        self.groups: dict[str, Group] = {word: Group() for word in (UNKNOWN, NONE, OTHER)}
        #: Arrival -> name of the set that it asked for, its group.
        self._group_of: dict[int, tuple[str, Group]] = {}
        #: Name of a group -> what is kept of each that asked for that.
        self._places = {name: (name, group) for name, group in self.groups.items()}

    def put(self, arrival: int, since: int, properties: Properties | None, now: int) -> None:
        """It waits; one that did so before waits since then, perhaps for something else."""
        name, before = name_of(properties), self._group_of.get(arrival)
        if before is not None:
            if before[0] == name:
                return
            since = before[1].since(arrival)
            self.remove(arrival, now)
        group = self._group(name, now)
        group.add(arrival, since)
        group.used_at = now
        self._group_of[arrival] = self._places.get(name) or (name, group)

    def remove(self, arrival: int, now: int) -> None:
        """It does not wait, whether it did or not."""
        found = self._group_of.pop(arrival, None)
        if found is not None:
            found[1].remove(arrival)
            found[1].used_at = now

    def oldest(self) -> int | None:
        """Since when the first of all waits; None: none does."""
        return min(_known(group.oldest() for group in self.groups.values()), default=None)

    def _group(self, name: str, now: int) -> Group:
        groups = self.groups
        found = groups.get(name)
        if found is not None:
            return found
        if len(groups) >= SETS_MAX + 3:
            idle = [(group.used_at, each) for each, group in groups.items() if "=" in each and not group]
            used_at, given_up = min(idle, default=(now, ""))
            if now - used_at < IDLE_NS:
                return groups[OTHER]
            del groups[given_up], self._places[given_up]
        group = groups[name] = Group()
        self._places[name] = (name, group)
        return group


def _known(moments: Iterable[int | None]) -> list[int]:
    return [each for each in moments if each is not None]

"""Bounded logs: what happened to an entity, oldest first, for people, anomalies and failed invariants."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.model.records import StoryLine


class Stories:
    """One log for each listed entity, by arrival number."""

    __slots__ = ("_limit", "_lines")

    def __init__(self, limit: int) -> None:
        #: Lines kept for one entity; over it the oldest goes.
        self._limit = limit
        #: Lists, as most are short: a deque with nothing in it has 600 bytes.
        self._lines: dict[int, list[StoryLine]] = {}

    def configure(self, limit: int) -> None:
        """Lines kept for one entity from now on."""
        self._limit = limit
        for lines in self._lines.values():
            del lines[: max(len(lines) - limit, 0)]

    def tell(self, arrival: int, at: int, text: str) -> None:
        """Adds a line; `at` in Unix nanoseconds."""
        lines = self._lines.get(arrival)
        if lines is None:
            lines = self._lines[arrival] = []
        lines.append((at, text))
        if len(lines) > self._limit:
            del lines[0]

    def of(self, arrival: int) -> tuple[StoryLine, ...]:
        """The log; empty for an entity that is not listed."""
        return tuple(self._lines.get(arrival, ()))

    def forget(self, arrival: int) -> None:
        """The entity is no longer listed."""
        self._lines.pop(arrival, None)

    def arrivals(self) -> Iterable[int]:
        """Of the entities that have a log."""
        return self._lines.keys()

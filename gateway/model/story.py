"""Bounded logs: what happened to an entity, oldest first, for people, anomalies and failed invariants."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from gateway.model.records import StoryLine


class Stories:
    """One log for each listed entity, by arrival number."""

    __slots__ = ("_limit", "_lines")

    def __init__(self, limit: int) -> None:
        #: Lines kept for one entity; over it the oldest goes.
        self._limit = limit
        self._lines: dict[int, deque[StoryLine]] = {}

    def configure(self, limit: int) -> None:
        """Lines kept for one entity from now on."""
        self._limit = limit
        self._lines = {arrival: deque(lines, limit) for arrival, lines in self._lines.items()}

    def tell(self, arrival: int, at: int, text: str) -> None:
        """Adds a line; `at` in Unix nanoseconds."""
        lines = self._lines.get(arrival)
        if lines is None:
            lines = self._lines[arrival] = deque(maxlen=self._limit)
        lines.append((at, text))

    def of(self, arrival: int) -> tuple[StoryLine, ...]:
        """The log; empty for an entity that is not listed."""
        return tuple(self._lines.get(arrival, ()))

    def forget(self, arrival: int) -> None:
        """The entity is no longer listed."""
        self._lines.pop(arrival, None)

    def arrivals(self) -> Iterable[int]:
        """Of the entities that have a log."""
        return self._lines.keys()

"""Drain news: all drains come in whenever one changed, what a client has not been told of them goes out.

They are no part of a revision: nothing is remembered of how one was before, and a client that comes is told those that are active.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.pb import introspection_pb2 as pb
from gateway.serve.drains.shape import drain_json
from gateway.serve.events import wire

#: Drains that a client is told at a time.
PIECE = 100


class _News(NamedTuple):
    #: Counts changes of any drain.
    version: int
    block: bytes
    is_active: bool


class DrainNews:
    """Every drain as it was told last, the latest change at the end."""

    def __init__(self) -> None:
        #: Of the latest change.
        self.version = 0
        self._of: pb.Drains | None = None
        self._said: dict[str, bytes] = {}
        self._news: dict[str, _News] = {}

    def begin(self) -> None:
        """Another state comes; versions go on."""
        self._of = None
        self._said.clear()
        self._news.clear()

    def look(self, number: int, drains: pb.Drains | None) -> bool:
        """See what became different; `number`: of the revision. Returns whether anything did."""
        if drains is self._of:
            return False
        self._of, before = drains, self.version
        there = drains.drains if drains is not None else ()
        for drain in reversed(there):
            said = drain.SerializeToString(deterministic=True)
            if self._said.get(drain.id) != said:
                self.version += 1
                self._said[drain.id] = said
                self._news.pop(drain.id, None)
                block = wire.drain(number, drain_json(drain))
                self._news[drain.id] = _News(self.version, block, drain.state == pb.Drain.ACTIVE)
        for id_ in self._said.keys() - {drain.id for drain in there}:
            del self._said[id_], self._news[id_]
        return self.version > before

    def since(self, version: int, joined: int) -> tuple[list[bytes], int]:
        """What comes after a version, and the version that it leads to; of what was there before `joined`, what is active."""
        found: list[_News] = []
        for news in reversed(self._news.values()):
            if news.version <= version:
                break
            if news.version > joined or news.is_active:
                found.append(news)
        piece = found[::-1][:PIECE]
        return [news.block for news in piece], self.version if len(piece) == len(found) else piece[-1].version

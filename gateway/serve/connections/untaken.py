"""Untaken: bodies that readers have begun to take come in; over the bound, the reader goes out that has been taking for longest.

Readers of one body share its bytes, which are counted once.
"""

from __future__ import annotations

import asyncio

from gateway.serve.connections.limits import UNTAKEN_BYTES


class Untaken:
    """All of a server."""

    def __init__(self, most_bytes: int = UNTAKEN_BYTES) -> None:
        self._most_bytes = most_bytes
        #: {a reader's connection: its body}, who began first first
        self._bodies: dict[asyncio.Transport, bytes] = {}
        #: {identity of a body: its readers}
        self._readers: dict[int, int] = {}
        self.size_bytes = 0

    def begin(self, transport: asyncio.Transport, body: bytes) -> None:
        """A reader did not take everything at once. Others may be disconnected for it, and find that out by themselves."""
        self._bodies[transport] = body
        readers = self._readers.get(id(body), 0)
        self._readers[id(body)] = readers + 1
        if not readers:
            self.size_bytes += len(body)
        while self.size_bytes > self._most_bytes and len(self._bodies) > 1:
            longest = next(iter(self._bodies))
            self.end(longest)
            longest.abort()

    def end(self, transport: asyncio.Transport) -> None:
        """It took it, or is gone."""
        body = self._bodies.pop(transport, None)
        if body is None:
            return
        readers = self._readers.pop(id(body)) - 1
        if readers:
            self._readers[id(body)] = readers
        else:
            self.size_bytes -= len(body)

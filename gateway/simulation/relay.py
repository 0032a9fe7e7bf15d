"""A TCP listener in front of something else, whose connections can be cut like a cable.

In: connections. Out: the same bytes at the target, both ways, until either side ends (HTTP/2 has no use for a half-closed
connection). It serves three ends: the worker port, where HTTP/1.1 calls are answered here and everything else is passed on to
gRPC; a scheduler that is killed; a worker that dies.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import cast

#: How every HTTP/2 connection begins (RFC 9113 section 3.4).
_HTTP2 = b"PRI * HTTP/2.0"

#: A longer HTTP/1.1 request head is not answered.
_MAX_HEAD = 8192

#: Takes a request head up to the empty line, gives the whole answer.
Answer = Callable[[bytes], bytes]


class _Side(asyncio.Protocol):
    """One of the two transports of a relayed connection."""

    def __init__(self, other: _Side | None = None) -> None:
        self.transport: asyncio.Transport | None = None
        self.other = other

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What TCP and unix sockets have; uvloop's own is not a subclass of it.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            if exc is None:
                self.other.transport.close()
            else:
                self.other.transport.abort()
        self.transport = None
        self.other = None

    def cut(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class _Accepted(_Side):
    """The side that a peer opened: decides by the first bytes where they go."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self._head = b""
        self._is_decided = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._relay.accepted.add(self)
        if self._relay.answer is None:
            self._pass_on()

    def data_received(self, data: bytes) -> None:
        if self.other is not None:
            super().data_received(data)
            return
        self._head += data
        if self._is_decided:
            return  # still dialling; uvloop goes on reading after pause_reading in connection_made
        if self._head[: len(_HTTP2)] == _HTTP2[: len(self._head)]:
            if len(self._head) >= len(_HTTP2):
                self._pass_on()
        elif b"\r\n\r\n" in self._head or len(self._head) > _MAX_HEAD:
            self._answer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._relay.accepted.discard(self)
        super().connection_lost(exc)

    def _answer(self) -> None:
        if self._relay.answer is not None and self.transport is not None:
            self._is_decided = True
            self.transport.write(self._relay.answer(self._head))
            self.transport.close()

    def _pass_on(self) -> None:
        if self.transport is not None:
            self._is_decided = True
            self.transport.pause_reading()
            self._relay.start_dial(self)

    def dialled(self, other: _Side) -> None:
        if self.transport is None:
            other.cut()
            return
        self.other = other
        if self._head and other.transport is not None:
            other.transport.write(self._head)
        self._head = b""
        self.transport.resume_reading()


class Relay:
    """`target` is `host:port` or `unix:PATH`. With `answer`, what does not begin as HTTP/2 is answered by it and closed."""

    def __init__(self, target: str, answer: Answer | None = None) -> None:
        self.answer = answer
        #: Open connections.
        self.accepted: set[_Accepted] = set()
        self._target = target
        self._dials: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._address = ""

    @property
    def address(self) -> str:
        """`host:port` as bound; the last one after `close`."""
        return self._address

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Accept connections from now on; port 0 lets the system choose.

        Raises:
            OSError: the port is in use.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Accepted(self), host, port, backlog=4096)
        self._address = "{}:{}".format(*self._server.sockets[0].getsockname()[:2])

    def cut(self) -> None:
        """Reset all connections at once, as the end of a process does."""
        for side in list(self.accepted):
            if side.other is not None:
                side.other.cut()
            side.cut()

    async def close(self) -> None:
        """Listen no more, and cut what is open."""
        if self._server is not None:
            self._server.close()
        for dial in list(self._dials):
            dial.cancel()
        await asyncio.gather(*self._dials, return_exceptions=True)
        self.cut()
        await asyncio.sleep(0)  # transports close their sockets in the loop's next turn
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    def start_dial(self, side: _Accepted) -> None:
        """Connect an accepted connection to the target."""
        dial = asyncio.create_task(self._dial(side), name=f"simulation: dial {self._target}")
        self._dials.add(dial)
        dial.add_done_callback(self._dials.discard)

    async def _dial(self, side: _Accepted) -> None:
        loop = asyncio.get_running_loop()

        def dialled() -> _Side:
            return _Side(side)  # a server may speak first, before the dial returns

        with contextlib.suppress(OSError):
            if self._target.startswith("unix:"):
                _, other = await loop.create_unix_connection(dialled, self._target.removeprefix("unix:"))
            else:
                host, _, port = self._target.rpartition(":")
                _, other = await loop.create_connection(dialled, host.strip("[]"), int(port))
            side.dialled(other)
            return
        side.cut()

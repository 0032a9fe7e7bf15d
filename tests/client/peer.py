"""A scripted HTTP peer on a real socket: the test says what bytes it answers; what it was asked is kept."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

#: What a peer does with a request: bytes to send, and None to close the connection after them.
Script = Callable[[str], Sequence[bytes | None]]


class Peer:
    """Answers every request on every connection by its script."""

    def __init__(self, script: Script, scheme: str) -> None:
        self._script = script
        self._scheme = scheme
        #: The heads of requests, in order.
        self.requests: list[str] = []
        self.connections = 0
        self.port = 0
        self._open: dict[asyncio.StreamWriter, asyncio.Task[None] | None] = {}

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open[writer] = asyncio.current_task()
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.requests.append(head)
                for each in self._script(head):
                    if each is None:
                        return
                    writer.write(each)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            del self._open[writer]

    async def close(self) -> None:
        """End every connection that is left."""
        tasks = [task for task in self._open.values() if task is not None]
        for writer in self._open:
            writer.close()
        if tasks:
            await asyncio.wait(tasks)


@asynccontextmanager
async def peering(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Peer]:
    """A peer as long as the context lasts."""
    peer = Peer(script, "http" if tls is None else "https")
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        await peer.close()


def response(status: int, body: bytes, **headers: str) -> bytes:
    """One whole answer; `_` in the name of a header is `-`."""
    lines = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body

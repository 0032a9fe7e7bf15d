"""An admin service over real HTTP/1.1: the test says what it answers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.config.types import Address
from gateway.observe.draining.endpoint import Endpoint


class Service:
    """Answers every request alike."""

    def __init__(self) -> None:
        self.port = 0
        self.answer = answer("200 OK", "Draining worker w")
        #: Request lines, in order.
        self.asked: list[str] = []
        #: What each of them offered to speak in TLS (ALPN), the one that was chosen.
        self.protocols: list[str | None] = []
        #: Until it is set nobody is answered.
        self.open = asyncio.Event()
        self.open.set()
        #: Calls at a time, at most.
        self.most = 0
        self._now = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where it is; no tap is before it."""
        return Endpoint(Address("127.0.0.1", self.port), is_tapped=False)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.asked.append(head.partition(b"\r\n")[0].decode())
            if (tls := writer.get_extra_info("ssl_object")) is not None:
                self.protocols.append(tls.selected_alpn_protocol())
            await self.open.wait()
            writer.write(self.answer)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._now -= 1
            writer.close()


def answer(status: str, text: str = "", *headers: str) -> bytes:
    """As NativeLink words it."""
    body = text.encode()
    lines = [f"HTTP/1.1 {status}", "content-type: text/plain; charset=utf-8", f"content-length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Service]:
    """It listens on a port that the system chooses."""
    service = Service()
    server = await asyncio.start_server(service.take, "127.0.0.1", 0, ssl=tls)
    service.port = server.sockets[0].getsockname()[1]
    try:
        yield service
    finally:
        service.open.set()
        server.close()
        await server.wait_closed()

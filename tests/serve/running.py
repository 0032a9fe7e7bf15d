"""The real role on a port of its own, and a client that shows every byte."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.config.types import Config
from gateway.serve.role import bind, run
from tests.serve.builders import NOW

#: How long a test waits for what is to come.
PATIENCE_S = 90.0


@dataclass(frozen=True)
class Answer:
    """A response, in pieces."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Asks over a connection for each request."""

    def __init__(self, port: int, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.port = port
        self.host = host
        #: None: in plaintext.
        self.tls = tls

    async def get(self, address: str, *, method: str = "GET", headers: str = "") -> Answer:
        """One request."""
        request = f"{method} {address} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
        return parse(await self.exchange(request.encode()))

    async def post(self, address: str, body: str, headers: str = "Content-Type: application/json\r\n") -> Answer:
        """One request that says something."""
        data = body.encode()
        head = f"POST {address} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(data)}\r\nConnection: close\r\n\r\n"
        return parse(await self.exchange(head.encode() + data))

    async def exchange(self, request: bytes) -> bytes:
        """Send bytes, get all that comes until the end."""
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        try:
            writer.write(request)
            async with asyncio.timeout(PATIENCE_S):
                return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()

    async def status(self, address: str, *, method: str = "GET", headers: str = "") -> int:
        """Of the answer, whatever comes behind its first line."""
        reader, writer = await asyncio.open_connection(self.host, self.port, ssl=self.tls)
        try:
            writer.write(f"{method} {address} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n".encode())
            async with asyncio.timeout(PATIENCE_S):
                return int((await reader.readline()).split(b" ")[1])
        finally:
            writer.close()
            await writer.wait_closed()

    async def body(self, address: str) -> bytes:
        """The body of a success."""
        answer = await self.get(address)
        assert answer.status == 200, answer
        return answer.body

    async def until(self, address: str, holds: Callable[[Answer], bool], headers: str = "") -> Answer:
        """Ask until the answer is as wanted."""
        answer: Answer | None = None

        async def held() -> bool:
            nonlocal answer
            answer = await self.get(address, headers=headers)
            return holds(answer)

        await eventually(held)
        assert answer is not None
        return answer


def parse(response: bytes) -> Answer:
    """Take one response apart; its length has to be what it says."""
    head, _, body = response.partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines), "a header came twice"
    assert len(body) in {0, int(headers.get("Content-Length", 0))}
    return Answer(int(status_line.split(" ")[1]), headers, body)


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    config: Config, *, process: int | None = None, now: float = NOW, ready: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Client]:
    """The role, its wall clock standing still; `ready`: from the first snapshot on; `tls`: how the client asks."""
    listener = bind(config)
    client = Client(listener.getsockname()[1], tls=tls)
    stop = asyncio.Event()
    role = asyncio.create_task(run(config, listener, stop, process=process, now=lambda: now), name="serve under test")
    try:
        if ready:
            await client.until("/readyz", lambda answer: answer.status == 200)
        yield client
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await role

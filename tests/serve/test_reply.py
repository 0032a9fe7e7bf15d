"""What the other tests do not see of a reply: peers that go away, or take nothing."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from gateway.serve.connections import connection as connection_module
from gateway.serve.connections.acceptor import Acceptor
from gateway.serve.connections.admission import Admission
from gateway.serve.reply import Reply
from gateway.serve.server import JsonServer
from tests.serve.running import Client, eventually

#: More than the kernel takes for a peer that does not read.
LARGE = b" " * (64 * 1024 * 1024)


@dataclass
class Site:
    """A server with one answer, and how its requests went."""

    client: Client
    ends: list[str] = field(default_factory=list)


class Observed(Reply):
    """Writes down how it ended."""

    def __init__(self, body: bytes, ends: list[str]) -> None:
        super().__init__(body)
        self._ends = ends

    async def write_eof(self, data: bytes = b"") -> None:
        end = "cancelled"
        try:
            await super().write_eof(data)
            end = "written"
        except ConnectionError as error:
            end = type(error).__name__
            raise
        finally:
            self._ends.append(end)


@dataclass
class Running:
    """What is to be closed."""

    server: JsonServer
    runner: web.ServerRunner
    acceptor: Acceptor

    async def close(self) -> None:
        self.acceptor.close()
        await self.runner.cleanup()
        await self.server.end()


def never(_: web.BaseRequest) -> None:
    """Nothing is answered at once."""


async def serve(
    answer: Callable[[web.BaseRequest], Awaitable[Reply]], at_once: Callable[[web.BaseRequest], Reply | None] = never
) -> tuple[Running, int]:
    admission = Admission(10, 10)
    server = JsonServer(answer, at_once, admission)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    acceptor = Acceptor(listener, server.connection, admission, {})
    return Running(server, runner, acceptor), port


@pytest.fixture(params=["at once", "by a task"])
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    made: list[Site] = []

    async def answer(request: web.BaseRequest) -> Reply:
        begun = request.protocol.begun() if isinstance(request.protocol, connection_module.Connection) else None
        return begun or Observed(LARGE, made[0].ends)

    running, port = await serve(answer, (lambda _: Observed(LARGE, made[0].ends)) if request.param == "at once" else never)
    made.append(Site(Client(port)))
    yield made[0]
    await running.close()


async def test_a_large_body_arrives_whole(site: Site) -> None:
    answer = await site.client.get("/")
    assert answer.body == LARGE
    assert site.ends == ["written"]


async def test_who_asks_again_before_it_is_taken_is_answered_then(site: Site) -> None:
    request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", site.client.port, limit=len(LARGE))
    for _ in range(3):
        writer.write(request)
        await writer.drain()
        await asyncio.sleep(0.01)
    for _ in range(3):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert await reader.readexactly(len(LARGE)) == LARGE
    writer.close()

    async def ended() -> bool:
        return site.ends == ["written"] * 3

    await eventually(ended)


async def test_a_peer_that_goes_away_is_forgotten(site: Site) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", site.client.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readexactly(1)
    writer.transport.abort()

    async def ended() -> bool:
        return bool(site.ends)

    await eventually(ended)
    assert site.ends != ["written"]


async def test_a_peer_that_takes_nothing_is_disconnected(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "TAKE_S", 0.2)
    with socket.create_connection(("127.0.0.1", site.client.port)) as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")

        async def ended() -> bool:
            return bool(site.ends)

        await eventually(ended)
    assert site.ends == ["ConnectionResetError"]


async def test_a_peer_that_left_before_the_answer_costs_no_write() -> None:
    ends: list[str] = []
    release = asyncio.Event()

    async def late(request: web.BaseRequest) -> Reply:
        await release.wait()
        return Observed(b"{}", ends)

    running, port = await serve(late)
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    server = running.server

    async def connected() -> bool:
        return server.requests_count == 1

    async def gone() -> bool:
        return all(connection.transport is None for connection in server.connections)

    await eventually(connected)
    writer.transport.abort()
    await eventually(gone)
    release.set()

    async def ended() -> bool:
        return bool(ends)

    await eventually(ended)
    assert ends == ["ConnectionResetError"]
    await running.close()

import asyncio
import errno
import logging
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest

from gateway.config.types import Config, HttpOptions
from gateway.serve.connections import acceptor as module
from gateway.serve.connections import turned_away
from gateway.serve.connections.limits import RETRY_AFTER_S
from tests.serve.running import PATIENCE_S, Client, eventually, parse, serving
from tests.serve.test_routes import golden

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
ALIVE = golden("livez")


@asynccontextmanager
async def limited(config: Config, per_peer: int, in_all: int) -> AsyncIterator[Client]:
    options = HttpOptions(connections_per_peer=per_peer, connections=in_all)
    async with serving(replace(config, http_options=options), ready=False) as client:
        yield client


class Asker:
    """A connection that stays."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self) -> bytes:
        """The first line; the rest as far as it came with it."""
        self.writer.write(REQUEST)
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.readuntil(ALIVE)

    async def end(self) -> bytes:
        """All until the end."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.reader.read()

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


Connect = Callable[..., Awaitable[Asker]]


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    made: list[Asker] = []

    async def one(port: int, source: str = "127.0.0.1") -> Asker:
        made.append(Asker(*await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))))
        return made[-1]

    yield one
    for each in made:
        await each.close()


async def test_over_the_limit_of_a_peer_it_gets_429_and_others_do_not(
    config: Config, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    async with limited(config, 2, 100) as client:
        inside = [await connect(client.port) for _ in range(2)]
        for each in inside:
            assert (await each.ask()).startswith(b"HTTP/1.1 200 ")
        for _ in range(3):
            answer = parse(await client.exchange(REQUEST))
            assert (answer.status, answer.body) == (429, golden("error_peer_connections"))
            assert answer.headers["Retry-After"] == str(RETRY_AFTER_S)
            assert answer.headers["Connection"] == "close"
        other = await connect(client.port, "127.0.0.2")
        assert (await other.ask()).startswith(b"HTTP/1.1 200 ")
        await inside[0].close()

        async def let_in() -> bool:
            return parse(await client.exchange(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))).status == 200

        await eventually(let_in)
        for each in (inside[1], other):
            assert (await each.ask()).startswith(b"HTTP/1.1 200 ")
    assert [record.levelname for record in caplog.records if "connections_per_peer" in record.message] == ["WARNING"]


async def test_over_all_connections_the_idle_ones_of_the_peer_with_most_make_way(config: Config, connect: Connect) -> None:
    async with limited(config, 100, 4) as client:
        few = await connect(client.port, "127.0.0.2")
        await few.ask()
        many = [await connect(client.port, "127.0.0.3") for _ in range(3)]
        for each in many:
            await each.ask()
            # The loop's clock counts milliseconds.
            await asyncio.sleep(0.01)
        new = await connect(client.port, "127.0.0.4")
        assert (await new.ask()).startswith(b"HTTP/1.1 200 ")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await many[0].ask()
        for each in (few, many[1], many[2], new):
            assert (await each.ask()).startswith(b"HTTP/1.1 200 ")


async def test_over_all_connections_without_an_idle_one_it_is_503(config: Config, connect: Connect) -> None:
    async with limited(config, 100, 1) as client:
        busy = await connect(client.port)
        # Its body does not come: it is being read.
        busy.writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\n\r\n"))
        await busy.reader.readuntil(ALIVE)
        answer = parse(await client.exchange(REQUEST))
        assert (answer.status, answer.body) == (503, golden("error_all_connections"))
        assert answer.headers["Retry-After"] == str(RETRY_AFTER_S)


async def test_those_that_are_turned_away_are_bounded_in_number_and_time(
    config: Config, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TURNED_AWAY", 2)
    monkeypatch.setattr(turned_away, "TURNED_AWAY_S", 0.5)
    async with limited(config, 1, 100) as client:
        inside = await connect(client.port)
        await inside.ask()
        silent = [await connect(client.port) for _ in range(3)]
        # Nobody asked: nobody is told, and none is kept.
        assert [await each.end() for each in silent] == [b"", b"", b""]


async def test_without_descriptors_connects_wait_and_nobody_is_refused(
    config: Config, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ACCEPT_AGAIN_S", 0.05)
    accepts = 0
    accept = socket.socket.accept
    fails = True

    def out_of_descriptors(self: socket.socket) -> tuple[socket.socket, object]:
        nonlocal accepts
        accepts += 1
        if fails:
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    async with limited(config, 100, 100) as client:
        inside = await connect(client.port)
        await inside.ask()
        monkeypatch.setattr(socket.socket, "accept", out_of_descriptors)
        waiting = await connect(client.port)
        await asyncio.sleep(0.5)
        assert 1 <= accepts <= 20
        # Those that are in are answered meanwhile.
        await inside.ask()
        fails = False
        await waiting.ask()
    assert [record.levelname for record in caplog.records if "Too many open files" in record.message] == ["WARNING"]


async def test_the_limit_of_open_files_itself_neither_kills_nor_refuses(
    config: Config, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ACCEPT_AGAIN_S", 0.05)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with limited(config, 1_000, 1_000) as client:
        inside = await connect(client.port)
        await inside.ask()
        waiting = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(3)]
        probe = socket.socket()
        highest = probe.fileno()
        probe.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest, hard))
        try:
            await asyncio.sleep(0.2)
            await inside.ask()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        loop = asyncio.get_running_loop()
        for each in waiting:
            each.setblocking(False)
            await loop.sock_sendall(each, REQUEST)
            async with asyncio.timeout(PATIENCE_S):
                assert (await loop.sock_recv(each, 100)).startswith(b"HTTP/1.1 200 ")
            each.close()


async def test_stopping_closes_what_was_accepted_and_not_yet_opened(config: Config, caplog: pytest.LogCaptureFixture) -> None:
    async with limited(config, 100, 100) as client:
        peers = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(50)]
    for peer in peers:
        with peer:
            peer.settimeout(PATIENCE_S)
            with suppress(ConnectionResetError):
                assert peer.recv(1) == b""
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

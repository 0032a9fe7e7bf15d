"""Slow and large peers, over real sockets to the role itself; the limits of time are shortened."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from gateway.config.types import Config
from gateway.serve import server as server_module
from gateway.serve.connections import connection as module
from gateway.serve.connections.limits import BODY_BYTES, HEAD_BYTES
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Client, eventually, parse, serving
from tests.serve.test_routes import fill, golden

REQUEST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
SHORT_S = 0.2


@pytest.fixture
async def client(config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(server_module, "_LOOK_S", 0.02)
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


async def dribble(client: Client, head: bytes, *, before: bytes = b"") -> bytes:
    """A byte at a time, for as long as the connection stays; all that came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(before)

    async def send() -> None:
        for byte in head:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.01)
        await asyncio.Event().wait()

    sending = asyncio.create_task(send(), name="dribble")
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await reader.read()
    finally:
        sending.cancel()
        writer.close()


async def test_a_head_that_dribbles_in_gets_408_and_its_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_S", SHORT_S)
    answer = parse(await dribble(client, b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 8_000))
    assert (answer.status, answer.body) == (408, golden("error_late_head"))
    assert answer.headers["Connection"] == "close"


async def test_empty_lines_are_no_way_to_stay(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_S", SHORT_S)
    assert parse(await dribble(client, b"\r\n" * 8_000)).status == 408


async def test_a_second_head_has_to_come_in_time_too(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_S", SHORT_S)
    got = await dribble(client, b"GET /livez HTTP/1.1\r\nX: " + b"a" * 8_000, before=REQUEST)
    assert got.startswith(b"HTTP/1.1 200 OK")
    assert got.count(b"HTTP/1.1 408 Request Timeout") == 1


async def test_a_connection_that_says_nothing_is_closed_without_a_word(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_S", SHORT_S)
    assert await client.exchange(b"") == b""


async def test_between_requests_there_is_more_time_than_for_a_head(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_S", SHORT_S)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(REQUEST)
    await reader.readuntil(golden("livez"))
    await asyncio.sleep(3 * SHORT_S)
    writer.write(REQUEST)
    await reader.readuntil(golden("livez"))
    writer.close()


async def test_an_idle_connection_is_closed(config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE_S", SHORT_S)
    async with serving(config, ready=False) as client:
        assert (await client.exchange(REQUEST)).endswith(golden("livez"))


@pytest.mark.parametrize("pieces", [1, 40])
async def test_a_head_over_the_bound_gets_431(client: Client, pieces: int) -> None:
    line = b"X-%d: " + b"a" * 4_000 + b"\r\n"
    head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"".join(line % number for number in range(9)) + b"\r\n"
    assert len(head) > HEAD_BYTES
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    size = len(head) // pieces + 1
    for start in range(0, len(head), size):
        writer.write(head[start : start + size])
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        answer = parse(await reader.read())
    writer.close()
    assert (answer.status, answer.body) == (431, golden("error_long_head"))
    assert answer.headers["Connection"] == "close"


async def test_many_requests_at_once_are_no_long_head(client: Client) -> None:
    many = 1_000
    got = await client.exchange(REQUEST * many + REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert got.count(b"HTTP/1.1 200 OK") == many + 1


async def test_a_body_that_says_it_is_over_the_bound_gets_413(client: Client) -> None:
    head = f"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: {BODY_BYTES + 1}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(head.encode())
    async with asyncio.timeout(PATIENCE_S):
        first = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert first.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in first


async def test_a_body_without_an_end_is_not_read_for_ever(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER_S", PATIENCE_S)
    with socket.create_connection(("127.0.0.1", client.port)) as peer:
        peer.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(peer, REQUEST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"))
        chunk = b"10000\r\n" + b"a" * 65_536 + b"\r\n"
        sent = 0
        # What stays in the kernels on the way has an end too.
        with suppress(TimeoutError, ConnectionError):
            for _ in range(32 * BODY_BYTES // len(chunk)):
                async with asyncio.timeout(1):
                    await loop.sock_sendall(peer, chunk)
                sent += len(chunk)
        assert BODY_BYTES <= sent < 16 * BODY_BYTES


async def test_what_is_left_of_an_answer_does_not_keep_a_connection(
    client: Client, implementer: Implementer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAKE_S", PATIENCE_S)
    monkeypatch.setattr(module, "CLOSE_S", SHORT_S)
    made: list[module.Connection] = []
    begin = module.Connection.connection_made

    def remember(self: module.Connection, transport: asyncio.BaseTransport) -> None:
        begin(self, transport)
        made.append(self)

    monkeypatch.setattr(module.Connection, "connection_made", remember)
    lost = asyncio.Event()
    end = module.Connection.connection_lost

    def tell(self: module.Connection, exc: BaseException | None) -> None:
        end(self, exc)
        lost.set()

    monkeypatch.setattr(module.Connection, "connection_lost", tell)
    with socket.create_connection(("127.0.0.1", client.port)):

        async def connected() -> bool:
            return bool(made)

        await eventually(connected)
        transport = made[0].transport
        assert transport is not None
        transport.write(bytes(64 * 1024 * 1024))
        made[0].force_close()
        async with asyncio.timeout(PATIENCE_S):
            await lost.wait()

"""Slow and large peers, over real sockets to the role itself; the limits of time are shortened."""

import asyncio
import json
import socket
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import accumulate, pairwise
from random import Random

import pytest

from gateway.config.types import Config
from gateway.serve import server as server_module
from gateway.serve.connections import connection as module
from gateway.serve.connections.limits import BODY_BYTES, HEAD_BYTES, PIPELINED
from tests.serve.authentication.showing import new_token
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Answer, Client, eventually, parse, serving
from tests.serve.test_routes import fill, golden

SHORT_S = 0.2


@pytest.fixture
async def client(config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(server_module, "_LOOK_S", 0.02)
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


def get(path: bytes) -> bytes:
    return b"GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n" % path


REQUEST = get(b"/livez")


async def next_answer(reader: asyncio.StreamReader) -> Answer:
    """The next of a connection's."""
    async with asyncio.timeout(PATIENCE_S):
        head = await reader.readuntil(b"\r\n\r\n")
        return parse(head + await reader.readexactly(int(parse(head).headers["Content-Length"])))


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> Answer:
    writer.write(request)
    return await next_answer(reader)


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


async def test_who_was_answered_at_once_is_idle_from_then_on(
    config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEEP_ALIVE_S", 1.0)
    async with serving(config, ready=False) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        for _ in range(4):
            writer.write(REQUEST)
            await reader.readuntil(golden("livez"))
            await asyncio.sleep(0.5)
        async with asyncio.timeout(PATIENCE_S):
            assert await reader.read() == b""
        writer.close()


async def test_the_same_request_is_answered_again_as_things_are_then(
    client: Client, config: Config, implementer: Implementer
) -> None:
    request = get(b"/api/v1/operations")
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    seen = [await ask(reader, writer, request) for _ in range(3)]
    assert [answer.status for answer in seen] == [200] * 3
    assert len({answer.body for answer in seen}) == 1
    total = int(seen[0].headers["X-Total-Count"])
    implementer.set(gone_operations=[3])
    await client.until("/api/v1/operations", lambda answer: int(answer.headers["X-Total-Count"]) < total)
    now = await ask(reader, writer, request)
    assert (now.headers["X-Total-Count"], len(json.loads(now.body))) == (str(total - 1), total - 1)
    # Somebody makes a token: who shows none may not read any more.
    new_token(config)
    await client.until("/api/v1/operations", lambda answer: answer.status == 401)
    assert (await ask(reader, writer, request)).status == 401
    writer.close()


@pytest.mark.parametrize("before", [b"", REQUEST, get(b"/livez?a=b"), REQUEST + REQUEST])
async def test_the_same_bytes_mean_something_else_behind_a_begun_head(client: Client, before: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    for _ in range(2):
        assert (await ask(reader, writer, REQUEST)).status == 200
    writer.write(before + b"GET /nothing HTTP/1.1\r\nX-Begun: ")
    for _ in range(before.count(b"GET")):
        assert (await next_answer(reader)).status == (400 if b"?" in before else 200)
    # If both are read at once, there is nothing to take for something else.
    await asyncio.sleep(0.1)
    assert (await ask(reader, writer, REQUEST)).status == 404
    assert (await ask(reader, writer, REQUEST)).status == 200
    writer.close()


async def test_no_more_requests_wait_behind_another_although_they_are_known(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[module.Connection] = []
    begin = module.Connection.connection_made

    def remember(self: module.Connection, transport: asyncio.BaseTransport) -> None:
        begin(self, transport)
        made.append(self)

    monkeypatch.setattr(module.Connection, "connection_made", remember)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    assert (await ask(reader, writer, REQUEST)).status == 200
    (connection,) = made
    writer.write(get(b"/api/v1/operations/op-3?wait_for=completed&timeout=300"))
    for _ in range(10 * PIPELINED):
        await asyncio.sleep(0.005)
        writer.write(REQUEST)
    await asyncio.sleep(0.1)
    # And what came with them, which on a busy machine may be some: aiohttp parses sixteen at most.
    assert len(connection._messages) <= 4 * PIPELINED
    writer.close()


async def test_a_connection_is_for_any_number_of_requests(client: Client) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    for number in range(100):
        assert (await ask(reader, writer, get(b"/nothing/%d" % number))).status == 404
    # aiohttp parses behind a head as long as not too many wait: those that were answered do not.
    writer.write(2 * REQUEST)
    assert [(await next_answer(reader)).status for _ in range(2)] == [200, 200]
    writer.close()


@pytest.mark.parametrize("seed", range(20))
async def test_however_requests_are_cut_each_is_answered_once_and_in_turn(client: Client, seed: int) -> None:
    chance = Random(seed)
    paths = [b"/livez", b"/nothing", b"/api/v1/operations", b"/api/v1/scheduler/status", b"/metrics", b"/api/v1/workers?view=full"]
    posted = b"POST /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n\r\n\r\n"
    asked = [posted if (path := chance.choice([*paths, b""])) == b"" else get(path) for _ in range(30)]
    ends = list(accumulate(map(len, asked)))
    cuts = sorted({0, ends[-1], *chance.sample(ends, 20), *chance.sample(range(ends[-1]), chance.choice([0, 0, 10]))})
    stream = b"".join(asked)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    got: list[int] = []
    for start, end in pairwise(cuts):
        writer.write(stream[start:end])
        if chance.random() < 0.7:
            # What is complete by now, so that what comes next finds the connection idle.
            got += [(await next_answer(reader)).status for _ in range(bisect_right(ends, end) - len(got))]
    got += [(await next_answer(reader)).status for _ in range(len(asked) - len(got))]
    writer.close()
    assert got == [405 if each is posted else 404 if each == get(b"/nothing") else 200 for each in asked]


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

from __future__ import annotations

import asyncio
import gc
import hashlib
import random
import resource
import select
import socket
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.config.types import TapLimits
from gateway.pb import tap_pb2
from gateway.tap import splice
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.http2 import Half
from gateway.tap.splice import reset
from tests.tap.frames import EXECUTE, PREFACE, Peer, settings
from tests.tap.running import LinkReader, Pair, RunningTap, configuration, listening, running, spliced

_BY = tap_pb2.ConnectionClosed


@asynccontextmanager
async def _through(tmp_path: Path) -> AsyncIterator[tuple[RunningTap, Pair, LinkReader]]:
    """A tap with one connection through it, and a reader of its records."""
    async with (
        listening() as upstream,
        running(configuration(tmp_path, upstream.getsockname()[1])) as tap,
        tap.link() as link,
        spliced(tap, upstream) as pair,
    ):
        yield tap, pair, link


async def _closed(link: LinkReader) -> tuple[int, bool]:
    records = await link.until_kind("connection_closed")
    closed = next(record.connection_closed for record in records if record.HasField("connection_closed"))
    return closed.by, closed.reset


async def test_bytes_arrive_as_they_were_sent_both_ways(tmp_path: Path) -> None:
    async with _through(tmp_path) as (_, pair, _):
        chance = random.Random(1)
        for _ in range(50):
            up, down = chance.randbytes(chance.choice((1, 9, 70_000))), chance.randbytes(chance.choice((1, 9, 70_000)))
            sending = asyncio.gather(pair.send(pair.client, up), pair.send(pair.server, down))
            assert await pair.read(pair.server, len(up)) == up
            assert await pair.read(pair.client, len(down)) == down
            await sending


@pytest.mark.parametrize("client_first", [True, False])
async def test_a_side_that_finished_still_receives(tmp_path: Path, client_first: bool) -> None:
    async with _through(tmp_path) as (_, pair, link):
        first, second = (pair.client, pair.server) if client_first else (pair.server, pair.client)
        await pair.send(first, b"question")
        first.shutdown(socket.SHUT_WR)
        assert await pair.read_end(second) == b"question"
        await pair.send(second, b"answer" * 50_000)
        second.shutdown(socket.SHUT_WR)
        assert await pair.read_end(first) == b"answer" * 50_000
        assert await _closed(link) == (_BY.CLIENT if client_first else _BY.UPSTREAM, False)


@pytest.mark.parametrize("by_client", [True, False])
async def test_a_reset_of_one_side_resets_the_other(tmp_path: Path, by_client: bool) -> None:
    async with _through(tmp_path) as (_, pair, link):
        await pair.send(pair.client, b"up")
        assert await pair.read(pair.server, 2) == b"up"
        pair.reset(pair.client if by_client else pair.server)
        assert await pair.is_reset(pair.server if by_client else pair.client)
        assert await _closed(link) == (_BY.CLIENT if by_client else _BY.UPSTREAM, True)


@asynccontextmanager
async def _narrow(tap: RunningTap, upstream: socket.socket) -> AsyncIterator[Pair]:
    """A connection whose client takes little at a time, so that most of what it is told waits in the tap."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", tap.ports["execution"]))
    server, _ = await loop.sock_accept(upstream)
    pair = Pair(client, server)
    try:
        yield pair
    finally:
        pair.close()


@pytest.mark.parametrize("half_closed", [True, False])
async def test_a_reset_overtakes_nothing_that_was_said_before_it(tmp_path: Path, half_closed: bool) -> None:
    async with (
        listening() as upstream,
        running(configuration(tmp_path, upstream.getsockname()[1])) as tap,
        _narrow(tap, upstream) as pair,
    ):
        sent = random.Random(3).randbytes(200_000)
        await pair.send(pair.server, sent)
        if half_closed:
            pair.server.shutdown(socket.SHUT_WR)
        await asyncio.sleep(0.05)
        pair.reset(pair.server)
        await asyncio.sleep(0.05)
        assert await pair.read(pair.client, len(sent)) == sent
        assert await pair.is_reset(pair.client) or half_closed


async def test_a_side_that_takes_nothing_is_reset_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "_DELIVERY_S", 0.1)
    async with (
        listening() as upstream,
        running(configuration(tmp_path, upstream.getsockname()[1])) as tap,
        tap.link() as link,
        _narrow(tap, upstream) as pair,
    ):
        await pair.send(pair.server, bytes(200_000))
        pair.reset(pair.server)
        assert await _closed(link) == (_BY.UPSTREAM, True)


async def _write_fails(pair: Pair, sock: socket.socket) -> bool:
    for _ in range(1000):
        try:
            await pair.send(sock, bytes(1000))
        except ConnectionError:
            return True
        await asyncio.sleep(0.001)
    return False


@pytest.mark.parametrize("by_client", [True, False])
async def test_a_reset_after_a_half_close_resets_the_other(tmp_path: Path, by_client: bool) -> None:
    async with _through(tmp_path) as (_, pair, _):
        first, second = (pair.client, pair.server) if by_client else (pair.server, pair.client)
        first.shutdown(socket.SHUT_WR)
        assert await pair.read_end(second) == b""
        pair.reset(first)
        # FIN was read already; the reset shows when something is written.
        assert await _write_fails(pair, second)


async def test_what_was_said_before_a_close_arrives_whole(tmp_path: Path) -> None:
    async with _through(tmp_path) as (_, pair, _):
        sent = random.Random(2).randbytes(5_000_000)

        async def say() -> None:
            await pair.send(pair.server, sent)
            pair.server.close()

        saying = asyncio.create_task(say(), name="say")
        pair.client.shutdown(socket.SHUT_WR)
        assert await pair.read_end(pair.client) == sent
        await saying


async def test_what_the_client_says_at_once_waits_for_upstream(tmp_path: Path) -> None:
    async with listening() as upstream, running(configuration(tmp_path, upstream.getsockname()[1])) as tap:
        loop = asyncio.get_running_loop()
        client = socket.create_connection(("127.0.0.1", tap.ports["execution"]))
        client.sendall(b"early")
        client.shutdown(socket.SHUT_WR)
        server, _ = await loop.sock_accept(upstream)
        pair = Pair(client, server)
        client.setblocking(False)
        assert await pair.read_end(server) == b"early"
        await pair.send(server, b"late")
        server.close()
        assert await pair.read_end(client) == b"late"
        pair.close()


async def test_what_upstream_says_at_once_arrives(tmp_path: Path) -> None:
    async with listening() as upstream, running(configuration(tmp_path, upstream.getsockname()[1])) as tap:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", tap.ports["execution"]))
            server, _ = await loop.sock_accept(upstream)
            server.send(b"hello")
            server.shutdown(socket.SHUT_WR)
            client.setblocking(False)
            pair = Pair(client, server)
            assert await pair.read_end(client) == b"hello"
            pair.close()


async def test_upstream_that_resets_at_once_resets_the_client(tmp_path: Path) -> None:
    async with listening() as upstream, running(configuration(tmp_path, upstream.getsockname()[1])) as tap:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            client = socket.socket()
            client.setblocking(False)
            await loop.sock_connect(client, ("127.0.0.1", tap.ports["execution"]))
            server, _ = await loop.sock_accept(upstream)
            reset(server)
            pair = Pair(client, server)
            assert await pair.is_reset(client)
            pair.close()


@pytest.mark.parametrize("to_server", [True, False])
async def test_a_slow_reader_slows_the_writer_and_memory_stays_flat(tmp_path: Path, to_server: bool) -> None:
    async with _through(tmp_path) as (_, pair, _):
        reader, writer = (pair.server, pair.client) if to_server else (pair.client, pair.server)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent, written, stalled = hashlib.sha256(), 0, 0
        block = bytes(range(256)) * 1024
        # Nobody reads: the writer is stopped long before 100 MB.
        while written < 100_000_000 and stalled < 30:
            if _is_writable(writer):
                count = writer.send(block)
                sent.update(block[:count])
                written += count
                stalled = 0
            else:
                stalled += 1
            await asyncio.sleep(0.01 if stalled else 0)
        assert written < 30_000_000
        received = hashlib.sha256()
        left = written
        while left:
            data = await pair.read(reader, min(left, 65536))
            received.update(data)
            left -= len(data)
        assert received.digest() == sent.digest()
        # Reading goes on once there is room again.
        await pair.send(writer, b"more")
        assert await pair.read(reader, 4) == b"more"
        grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kb < 40_000


def _is_writable(sock: socket.socket) -> bool:
    return bool(select.select([], [sock], [], 0)[1])


async def test_connections_end_without_leftovers(tmp_path: Path) -> None:
    async with listening() as upstream, running(configuration(tmp_path, upstream.getsockname()[1])) as tap, tap.link() as link:
        tasks_before = len(asyncio.all_tasks())
        for _ in range(100):
            async with spliced(tap, upstream) as pair:
                await pair.send(pair.client, b"x")
                assert await pair.read(pair.server, 1) == b"x"
        records = await link.until_kind("connection_closed", 100)
        assert len(asyncio.all_tasks()) == tasks_before
        await link.until(lambda found: bool(found[-1].tick.listeners) and found[-1].tick.listeners[0].open_connections == 0)
        assert sum(record.HasField("connection_opened") for record in records) == 100


async def _come_and_go(tap: RunningTap, upstream: socket.socket, count: int) -> None:
    """Connections that say something and end in every way there is."""
    for number in range(count):
        async with spliced(tap, upstream) as pair:
            await pair.send(pair.client, PREFACE + settings() + Peer().request(1, EXECUTE) if number % 2 else b"x")
            assert await pair.read(pair.server, 1) in {b"x", b"P"}
            if number % 3 == 0:
                pair.reset(pair.client)
            elif number % 3 == 1:
                pair.reset(pair.server)


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _is_quiet(found: list[tap_pb2.TapRecord], connections: int) -> bool:
    """So many have come, and none is open."""
    if not found or not found[-1].HasField("tick"):
        return False
    totals = found[-1].tick.listeners[0]
    return (totals.connections, totals.open_connections) == (connections, 0)


@pytest.mark.parametrize(
    ("warm", "count"), [(200, 600), pytest.param(2_000, 20_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
async def test_connections_leave_no_descriptor_task_or_memory_behind(tmp_path: Path, warm: int, count: int) -> None:
    limits = TapLimits(ring_bytes=256 * 1024, decode_interval_ms=1)
    async with listening() as upstream:
        config = configuration(tmp_path, upstream.getsockname()[1], limits=limits)
        async with running(config) as tap, tap.link() as link:
            await _come_and_go(tap, upstream, warm)
            await link.until(lambda found: _is_quiet(found, warm))
            link.records.clear()
            gc.collect()
            tracemalloc.start()
            before = (_descriptors(), len(asyncio.all_tasks()), tracemalloc.get_traced_memory()[0])
            await _come_and_go(tap, upstream, count)
            await link.until(lambda found: _is_quiet(found, warm + count))
            link.records.clear()
            gc.collect()
            after = (_descriptors(), len(asyncio.all_tasks()), tracemalloc.get_traced_memory()[0])
            tracemalloc.stop()
    assert after[:2] == before[:2]
    # The ring fills up to its bound, and no more.
    assert after[2] - before[2] < 1_500_000


async def test_a_connection_that_ended_is_gone_without_the_collector(tmp_path: Path) -> None:
    """A full collection holds everybody up; so few are made that nothing may depend on them."""
    async with listening() as upstream, running(configuration(tmp_path, upstream.getsockname()[1])) as tap, tap.link() as link:
        await _come_and_go(tap, upstream, 20)
        await link.until(lambda found: _is_quiet(found, 20))
        gc.collect()
        gc.disable()
        try:
            await _come_and_go(tap, upstream, 50)
            await link.until(lambda found: _is_quiet(found, 70))
            left = [each for each in gc.get_objects() if isinstance(each, splice.Splice | ConnectionDecoder | Half)]
        finally:
            gc.enable()
    assert not left

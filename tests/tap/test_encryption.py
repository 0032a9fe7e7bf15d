from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import random
import resource
import select
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.pb import tap_pb2
from gateway.tap import encryption
from gateway.tap.encryption import Encryption
from gateway.tls import DialContext, ListenerContext
from tests.certificates import Authority
from tests.tap.encrypted import Peer, Wiring, joined
from tests.tap.running import LinkReader, listening, running

_BY = tap_pb2.ConnectionClosed
#: Of client and upstream, which have TLS.
WIRINGS = {"client": (True, False), "upstream": (False, True), "both": (True, True)}


@pytest.fixture(params=list(WIRINGS))
def wiring(request: pytest.FixtureRequest, tmp_path: Path) -> Wiring:
    return Wiring(tmp_path, *WIRINGS[request.param])


@asynccontextmanager
async def _through(tmp_path: Path, wiring: Wiring, receive_bytes: int = 0) -> AsyncIterator[tuple[Peer, Peer, LinkReader]]:
    async with (
        listening() as upstream,
        running(wiring.configuration(tmp_path, upstream.getsockname()[1])) as tap,
        tap.link() as link,
        joined(tap, upstream, wiring, receive_bytes) as (client, server),
    ):
        yield client, server, link


async def _closed(link: LinkReader) -> tuple[int, bool]:
    records = await link.until_kind("connection_closed")
    closed = next(record.connection_closed for record in records if record.HasField("connection_closed"))
    return closed.by, closed.reset


async def _send_in_pieces(peer: Peer, data: bytes, chance: random.Random) -> None:
    """The bytes of the wire in pieces that know nothing of records."""
    wire = peer.encrypted(data)
    loop = asyncio.get_running_loop()
    while wire:
        size = chance.choice((1, 3, 5, 100, 16_384, 70_000))
        await loop.sock_sendall(peer.sock, wire[:size])
        wire = wire[size:]
        if chance.random() < 0.3:
            await asyncio.sleep(0)


async def test_bytes_arrive_as_they_were_sent_both_ways(tmp_path: Path, wiring: Wiring) -> None:
    async with _through(tmp_path, wiring) as (client, server, _):
        chance = random.Random(1)
        for _ in range(30):
            up, down = chance.randbytes(chance.choice((1, 9, 70_000))), chance.randbytes(chance.choice((1, 9, 70_000)))
            sending = asyncio.gather(_send_in_pieces(client, up, chance), _send_in_pieces(server, down, chance))
            assert await server.read(len(up)) == up
            assert await client.read(len(down)) == down
            await sending


@pytest.mark.parametrize("client_first", [True, False])
async def test_a_side_that_finished_still_receives(tmp_path: Path, wiring: Wiring, client_first: bool) -> None:
    async with _through(tmp_path, wiring) as (client, server, link):
        first, second = (client, server) if client_first else (server, client)
        await first.send(b"question")
        await first.end()
        assert await second.read_end() == b"question"
        await second.send(b"answer" * 50_000)
        await second.end()
        assert await first.read_end() == b"answer" * 50_000
        # What was said of the end is kept, also of the one that comes out of plaintext.
        assert [end.notified for end in (first, second)] == [end.tls is not None for end in (first, second)]
        assert await _closed(link) == (_BY.CLIENT if client_first else _BY.UPSTREAM, False)


@pytest.mark.parametrize("client_first", [True, False])
async def test_an_end_without_close_notify_ends_the_same_way_and_loses_nothing(
    tmp_path: Path, wiring: Wiring, client_first: bool
) -> None:
    async with _through(tmp_path, wiring) as (client, server, link):
        first, second = (client, server) if client_first else (server, client)
        sent = random.Random(2).randbytes(300_000)
        await asyncio.gather(first.send(sent), second.read(250_000))
        await first.end(notify=False)
        assert await second.read_end() == sent[250_000:]
        # Only TLS on both sides can tell; out of plaintext FIN is the word for the end.
        assert second.notified == (first.tls is None)
        await second.end(notify=False)
        assert await first.read_end() == b""
        assert first.notified == (second.tls is None)
        assert await _closed(link) == (_BY.CLIENT if client_first else _BY.UPSTREAM, False)


@pytest.mark.parametrize("by_client", [True, False])
async def test_a_reset_of_one_side_resets_the_other(tmp_path: Path, wiring: Wiring, by_client: bool) -> None:
    async with _through(tmp_path, wiring) as (client, server, link):
        await client.send(b"up")
        assert await server.read(2) == b"up"
        first, second = (client, server) if by_client else (server, client)
        first.reset()
        assert await second.is_reset()
        assert await _closed(link) == (_BY.CLIENT if by_client else _BY.UPSTREAM, True)


async def test_a_reset_overtakes_nothing_that_was_said_before_it(tmp_path: Path, wiring: Wiring) -> None:
    async with _through(tmp_path, wiring, receive_bytes=2048) as (client, server, _):
        sent = random.Random(3).randbytes(200_000)
        await server.send(sent)
        await asyncio.sleep(0.05)
        server.reset()
        await asyncio.sleep(0.05)
        assert await client.read(len(sent)) == sent
        assert await client.is_reset()


async def test_what_was_said_before_a_close_arrives_whole(tmp_path: Path, wiring: Wiring) -> None:
    async with _through(tmp_path, wiring) as (client, server, _):
        sent = random.Random(2).randbytes(5_000_000)

        async def say() -> None:
            await server.send(sent)
            await server.end()

        saying = asyncio.create_task(say(), name="say")
        await client.end()
        assert await client.read_end() == sent
        await saying


async def test_either_side_may_speak_first(tmp_path: Path, wiring: Wiring) -> None:
    for server_first in (True, False):
        async with _through(tmp_path, wiring) as (client, server, _):
            first, second = (server, client) if server_first else (client, server)
            await first.send(b"hello")
            await first.end()
            assert await second.read_end() == b"hello"


@pytest.mark.parametrize("to_server", [True, False])
async def test_a_slow_reader_slows_the_writer_and_memory_stays_flat(tmp_path: Path, wiring: Wiring, to_server: bool) -> None:
    async with _through(tmp_path, wiring) as (client, server, _):
        reader, writer = (server, client) if to_server else (client, server)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent, said, waiting, stalled = hashlib.sha256(), 0, b"", 0
        block = bytes(range(256)) * 256
        # Nobody reads: the writer is stopped long before 100 MB.
        while said < 100_000_000 and stalled < 30:
            if not waiting:
                waiting = writer.encrypted(block)
                sent.update(block)
                said += len(block)
            if select.select([], [writer.sock], [], 0)[1]:
                waiting = waiting[writer.sock.send(waiting) :]
                stalled = 0
            else:
                stalled += 1
            await asyncio.sleep(0.01 if stalled else 0)
        assert said < 30_000_000

        async def go_on() -> None:
            # Reading goes on once there is room again.
            await asyncio.get_running_loop().sock_sendall(writer.sock, waiting)
            await writer.send(b"more")

        going_on = asyncio.create_task(go_on(), name="go on")
        received, left = hashlib.sha256(), said
        while left:
            data = await reader.read(min(left, 65536))
            received.update(data)
            left -= len(data)
        assert received.digest() == sent.digest()
        assert await reader.read(4) == b"more"
        await going_on
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


@pytest.mark.parametrize("by_client", [True, False])
async def test_a_side_that_breaks_tls_is_told_and_the_other_is_reset(
    tmp_path: Path, by_client: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with _through(tmp_path, Wiring(tmp_path, client=True, upstream=True)) as (client, server, link):
        first, second = (client, server) if by_client else (server, client)
        await first.send(b"before")
        assert await second.read(6) == b"before"
        wire = bytearray(first.encrypted(b"x" * 100))
        wire[50] ^= 1
        await asyncio.get_running_loop().sock_sendall(first.sock, wire)
        assert await second.is_reset()
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            await first.read_end()
        assert await _closed(link) == (_BY.CLIENT if by_client else _BY.UPSTREAM, True)
    assert "decryption failed or bad record mac" in caplog.text


async def test_a_side_that_breaks_tls_and_takes_nothing_ends_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "_ALERT_S", 0.1)
    async with _through(tmp_path, Wiring(tmp_path, client=True, upstream=True), receive_bytes=2048) as (client, server, link):
        saying = asyncio.create_task(server.send(bytes(20_000_000)), name="say")
        # Until more waits than sockets hold.
        await asyncio.sleep(0.3)
        await asyncio.get_running_loop().sock_sendall(client.sock, b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ConnectionError):
            await saying
        assert await _closed(link) == (_BY.CLIENT, True)


async def test_connections_end_without_leftovers(tmp_path: Path, wiring: Wiring) -> None:
    async with (
        listening() as upstream,
        running(wiring.configuration(tmp_path, upstream.getsockname()[1])) as tap,
        tap.link() as link,
    ):
        tasks_before = len(asyncio.all_tasks())
        for _ in range(30):
            async with joined(tap, upstream, wiring) as (client, server):
                await client.send(b"x")
                assert await server.read(1) == b"x"
        await link.until_kind("connection_closed", 30)
        await link.until(lambda found: bool(found[-1].tick.listeners) and found[-1].tick.listeners[0].open_connections == 0)
        assert len(asyncio.all_tasks()) == tasks_before


async def test_the_end_of_the_tap_is_said_in_tls(tmp_path: Path, wiring: Wiring, caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as upstream:
        config = wiring.configuration(tmp_path, upstream.getsockname()[1])
        with caplog.at_level(logging.WARNING):
            async with running(config) as tap:
                peers = joined(tap, upstream, wiring)
                client, server = await peers.__aenter__()
                await client.send(b"x")
                assert await server.read(1) == b"x"
            assert await client.read_end() == b""
            assert await server.read_end() == b""
        assert [end.notified for end in (client, server)] == [end.tls is not None for end in (client, server)]
        await peers.__aexit__(None, None, None)
    assert not caplog.records


class _Transport(asyncio.Transport):
    """A connection whose other end is an SSLObject in memory."""

    def __init__(self, waiting: int = 0) -> None:
        super().__init__()
        self.written = bytearray()
        self.aborted = False
        self._waiting = waiting

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self._waiting

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


class _Side(asyncio.Protocol):
    def __init__(self) -> None:
        self.happened: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.happened.append(data)

    def eof_received(self) -> None:
        self.happened.append("end")

    def connection_lost(self, exc: Exception | None) -> None:
        self.happened.append(exc)


def _in_memory(tmp_path: Path, transport: _Transport) -> tuple[Encryption, ssl.SSLObject, ssl.MemoryBIO]:
    """An end after its handshake, the other end, and what that says."""
    authority = Authority(tmp_path)
    end = Encryption(ListenerContext(authority.issue("own").listener(), "tests").current(), None, lambda: None, lambda _: None)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    other = DialContext(authority.dial(), "tests").current().wrap_bio(incoming, outgoing, server_hostname="localhost")
    end.connection_made(transport)
    for _ in range(2):
        with contextlib.suppress(ssl.SSLWantReadError):
            other.do_handshake()
        end.data_received(outgoing.read())
        incoming.write(transport.written)
        transport.written.clear()
    return end, other, outgoing


async def test_a_connection_that_was_lost_before_the_other_side_was_there_is_lost_afterwards(tmp_path: Path) -> None:
    end, _, _ = _in_memory(tmp_path, _Transport())
    await end.handshake(1)
    error = ConnectionResetError()
    end.connection_lost(error)
    side = _Side()
    end.attach(side)
    await asyncio.sleep(0)
    assert side.happened == [error]


async def test_what_came_with_the_handshake_is_not_lost_and_what_follows_the_end_is_not_kept(tmp_path: Path) -> None:
    end, other, outgoing = _in_memory(tmp_path, _Transport())
    other.write(b"early")
    end.data_received(outgoing.read())
    await end.handshake(1)
    side = _Side()
    end.attach(side)
    assert side.happened == [b"early"]
    other.write(b"late")
    with contextlib.suppress(ssl.SSLWantReadError):
        other.unwrap()
    end.data_received(outgoing.read())
    assert side.happened == [b"early", b"late", "end"]
    end.data_received(bytes(1_000_000))
    assert end.eof_received()
    assert side.happened == [b"early", b"late", "end"]
    assert not end._incoming.pending
    assert not end.is_truncated


@pytest.mark.parametrize(("waiting", "aborted"), [(1_000_000, False), (5_000_000, True)])
async def test_answers_of_tls_itself_that_nobody_takes_are_bounded(tmp_path: Path, waiting: int, aborted: bool) -> None:
    """Such as to one key update after the other, which this library cannot ask for."""
    transport = _Transport(waiting)
    end, other, outgoing = _in_memory(tmp_path, transport)
    await end.handshake(1)
    end.attach(_Side())
    end._outgoing.write(b"answer")
    other.write(b"x")
    end.data_received(outgoing.read())
    assert transport.written == b"answer"
    assert transport.aborted == aborted

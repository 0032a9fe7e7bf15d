"""Processes that take over from each other: nothing is cut, nothing is lost, and the records go on."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import random
import socket
import ssl
from pathlib import Path

from gateway.pb import longrunning_pb2, tap_pb2
from tests.certificates import Authority
from tests.command import PATIENCE_S, free_ports
from tests.tap.frames import EXECUTE, PREFACE, SETTINGS_ACK, Peer, data, grpc, settings
from tests.tap.handover.upgrading import Upgradable, talks, upgradable
from tests.tap.reading import payloads
from tests.tap.running import Pair

#: More than both sockets and the tap take.
_MUCH = 64 * 1024 * 1024
SETTINGS_MAX_FRAME_SIZE = 5


async def _fill(sock: socket.socket, seed: int) -> bytes:
    """Sends until nothing more is taken; what was."""
    sent = bytearray()
    loop = asyncio.get_running_loop()
    chance = random.Random(seed)
    while len(sent) < _MUCH:
        chunk = chance.randbytes(100_000)
        try:
            async with asyncio.timeout(0.5):
                while chunk:
                    try:
                        size = sock.send(chunk)
                    except BlockingIOError:
                        await _writable(loop, sock)
                    else:
                        sent += chunk[:size]
                        chunk = chunk[size:]
        except TimeoutError:
            return bytes(sent)
    raise AssertionError("the tap takes whatever it is given")


async def _writable(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
    event = asyncio.Event()
    loop.add_writer(sock, event.set)
    try:
        await event.wait()
    finally:
        loop.remove_writer(sock)


async def _equal(pair: Pair, sock: socket.socket, expected: bytes) -> bool:
    return hashlib.sha256(await pair.read(sock, len(expected))).digest() == hashlib.sha256(expected).digest()


async def test_calls_go_on_and_so_do_their_records(tmp_path: Path) -> None:
    async with upgradable(tmp_path, tap={"decode_interval_ms": 1}) as tap:
        pair = await tap.pair()
        client, server = Peer(), Peer()
        await pair.pass_on(pair.client, PREFACE + settings() + SETTINGS_ACK)
        await pair.pass_on(pair.server, settings() + SETTINGS_ACK)
        async with tap.link() as link:
            records = await link.until_kind("connection_opened")
        run, sent = records[0].run_started.run, []
        for number in range(3):
            stream = 2 * number + 1
            update = longrunning_pb2.Operation(name=f"update {number}").SerializeToString()
            # The same headers each time: after the first they are a look-up in the table that came along.
            await pair.pass_on(pair.client, client.request(stream, EXECUTE) + data(stream, grpc(b"request"), flags=1))
            half = server.answer(stream) + data(stream, grpc(update))
            await pair.pass_on(pair.server, half[:-4])
            await tap.upgrade()
            await pair.pass_on(pair.server, half[-4:] + server.trailers(stream))
            sent += [b"request", update]
            async with tap.link(run, records[-1].sequence + 1) as link:
                said = await link.until_kind("stream_closed")
                assert said[0].run_started.run == run
                records += said[1:]
        assert payloads(records) == sent
        assert [record.sequence for record in records[1:]] == list(range(2, len(records) + 1))
        assert {record.stream_opened.method for record in records if record.HasField("stream_opened")} == {EXECUTE}
        ticks = [record.tick for record in records if record.HasField("tick")]
        assert ticks[-1].listeners[0].open_connections == 1
        assert not any(record.HasField("blinded") or record.HasField("gap") for record in records)


async def test_what_a_peer_does_not_take_waits_for_it_and_is_bounded(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        pair = await tap.pair()
        said = {pair.client: b"", pair.server: b""}
        for number in range(2):
            for sock in said:
                said[sock] += await _fill(sock, number)
            assert max(map(len, said.values())) < _MUCH
            await tap.upgrade()
        assert await _equal(pair, pair.server, said[pair.client])
        assert await _equal(pair, pair.client, said[pair.server])
        assert await talks(pair)


def _bytes(record: tap_pb2.TapRecord) -> int:
    """That went by so far."""
    return record.tick.listeners[0].bytes if record.HasField("tick") else 0


async def _end_behind_what_waits(tap: Upgradable, pair: Pair, connection: int) -> bytes:
    """The server says much and its end, and the tap has all of it but not the client: what the client has not read."""
    await pair.send(pair.client, PREFACE + settings([(SETTINGS_MAX_FRAME_SIZE, 2**24 - 1)]))
    await pair.read(pair.server, len(PREFACE) + 15)
    sent = settings() + (2**24 - 1).to_bytes(3, "big") + bytes((0, 0, 0, 0, 0, 1))
    await pair.send(pair.server, sent)
    sent += await _fill(pair.server, 1)
    pair.server.shutdown(socket.SHUT_WR)
    read = 0
    async with tap.link() as link:
        # A frame that is cut off is told when the end is there.
        is_there = link.until(lambda records: any(each.connection == connection and each.HasField("blinded") for each in records))
        seen = asyncio.create_task(is_there, name="see the end")
        while not seen.done():
            read += len(await pair.read(pair.client, 50_000))
            await asyncio.wait([seen], timeout=0.01)
        (blinded,) = [each.blinded for each in await seen if each.connection == connection and each.HasField("blinded")]
    assert blinded.detail == "the last frame is cut off"
    return sent[read:]


async def test_ends_stay_ends(tmp_path: Path) -> None:
    async with upgradable(tmp_path, tap={"decode_interval_ms": 1}) as tap:
        half_closed, idle = [await tap.pair() for _ in range(2)]
        half_closed.client.shutdown(socket.SHUT_WR)
        assert await half_closed.read_end(half_closed.server) == b""
        one_end = await tap.pair()
        one_left = await _end_behind_what_waits(tap, one_end, 3)
        await tap.upgrade()
        both_ends = await tap.pair()
        both_left = await _end_behind_what_waits(tap, both_ends, 4)
        both_ends.client.shutdown(socket.SHUT_WR)
        assert await both_ends.read_end(both_ends.server) == b""
        resetting = await tap.pair(receive_bytes=4096)
        async with tap.link() as link:
            before = _bytes((await link.until_kind("tick"))[-1])
            await resetting.send(resetting.server, bytes(300_000))
            await link.until(lambda records: _bytes(records[-1]) >= before + 300_000)
        resetting.reset(resetting.server)
        await tap.upgrade()
        assert await resetting.read(resetting.client, 300_000) == bytes(300_000)
        assert await resetting.is_reset(resetting.client)
        assert await both_ends.read_end(both_ends.client) == both_left
        assert await one_end.read_end(one_end.client) == one_left
        await half_closed.send(half_closed.server, b"late")
        half_closed.server.close()
        assert await half_closed.read_end(half_closed.client) == b"late"
        await one_end.send(one_end.client, b"late")
        assert await one_end.read(one_end.server, 4) == b"late"
        one_end.client.close()
        assert await one_end.read_end(one_end.server) == b""
        assert await talks(idle)
        async with tap.link() as link:
            records = await link.until_kind("connection_closed", 4)
        closed = {record.connection: record.connection_closed for record in records if record.HasField("connection_closed")}
        by = tap_pb2.ConnectionClosed
        assert {number: (each.by, each.reset) for number, each in closed.items()} == {
            1: (by.CLIENT, False),
            3: (by.UPSTREAM, False),
            4: (by.UPSTREAM, False),
            5: (by.UPSTREAM, True),
        }


async def test_who_is_dialled_for_is_dialled_for_again(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        tap.upstream.listen(0)
        # The second is in the queue that this leaves, the third is not answered.
        clients = [await tap.client() for _ in range(3)]
        async with tap.link() as link:
            await link.until_kind("connection_opened", 3)
        loop = asyncio.get_running_loop()
        for client in clients:
            await loop.sock_sendall(client, b"hello")
        await tap.upgrade()
        heard: list[bytes] = []
        servers = contextlib.ExitStack()
        async with asyncio.timeout(PATIENCE_S):
            while len(heard) < 3:
                server, _ = await loop.sock_accept(tap.upstream)
                servers.enter_context(server)
                # Dialled by the process that is gone: ended without a word.
                if said := await loop.sock_recv(server, 100):
                    heard.append(said)
                    await loop.sock_sendall(server, b"welcome")
        assert heard == [b"hello"] * 3
        for client in clients:
            assert await Pair(client, client).read(client, 7) == b"welcome"
        servers.close()


async def _stream(pair: Pair, sock: socket.socket, other: socket.socket, seed: int, until: asyncio.Event) -> bool:
    """Sends in one direction, and reads it at the other end, until then."""
    sent, found, over = hashlib.sha256(), hashlib.sha256(), asyncio.Event()
    chance = random.Random(seed)
    counts = [0, 0]

    async def send() -> None:
        while not over.is_set():
            if until.is_set():
                over.set()  # with this chunk
            chunk = chance.randbytes(chance.choice((10, 1000, 300_000)))
            sent.update(chunk)
            counts[0] += len(chunk)
            await pair.send(sock, chunk)
            await asyncio.sleep(chance.choice((0, 0, 0.01)))

    async def read() -> None:
        while not over.is_set() or counts[1] < counts[0]:
            chunk = await asyncio.get_running_loop().sock_recv(other, 100_000)
            assert chunk
            counts[1] += len(chunk)
            found.update(chunk)

    async with asyncio.timeout(PATIENCE_S * 2), asyncio.TaskGroup() as tasks:
        tasks.create_task(send(), name="send")
        tasks.create_task(read(), name="read")
    return sent.digest() == found.digest() and counts[1] > 0


async def _come_and_go(tap: Upgradable, until: asyncio.Event) -> int:
    count = 0
    while not until.is_set():
        pair = await tap.pair()
        assert await talks(pair)
        pair.client.close()
        assert await pair.read_end(pair.server) == b""
        pair.server.close()
        count += 1
    return count


async def test_bytes_arrive_unchanged_while_processes_take_over_from_each_other(tmp_path: Path) -> None:
    async with upgradable(tmp_path) as tap:
        # More descriptors than one message carries.
        idle = [await tap.pair() for _ in range(150)]
        busy = [await tap.pair() for _ in range(4)]
        over = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            streams = [
                tasks.create_task(_stream(pair, *ends, seed, over), name="stream")
                for seed, pair in enumerate(busy)
                for ends in ((pair.client, pair.server), (pair.server, pair.client))
            ]
            coming = tasks.create_task(_come_and_go(tap, over), name="come and go")
            for _ in range(3):
                await tap.upgrade()
            over.set()
        assert all(stream.result() for stream in streams)
        assert coming.result() > 3
        for pair in idle:
            assert await talks(pair)


async def test_connections_with_tls_end_and_new_ones_are_taken(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("tap")
    (port,) = free_ports(1)
    tls = {"cert_file": str(identity.cert_file), "key_file": str(identity.key_file)}
    secured = {"name": "workers", "listen": f"127.0.0.1:{port}", "carries": ["worker_api"], "tls": tls}
    context = ssl.create_default_context(cafile=str(authority.file))
    loop = asyncio.get_running_loop()
    async with upgradable(tmp_path, secured) as tap:
        plain, before = await tap.pair(), tap.process
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            server, _ = await loop.sock_accept(tap.upstream)
            writer.write(b"hello")
            with server:
                assert await Pair(server, server).read(server, 5) == b"hello"
                await tap.upgrade()
                await before.logged("1 connections end: they have TLS, which cannot be handed over")
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
                with contextlib.suppress(ConnectionError):
                    assert await loop.sock_recv(server, 1) == b""
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            before = tap.process
        assert await talks(plain)
        async with tap.link() as link:
            records = await link.until_kind("connection_closed", 2)
        by_tap = tap_pb2.ConnectionClosed.TAP
        assert [each.connection_closed.by for each in records if each.HasField("connection_closed")] == [by_tap, by_tap]

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from gateway.config.types import Address, Tap, TapLimits
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.intake import Intake
from gateway.tap.journal import Journal
from gateway.tap.listener import TapListener
from gateway.tap.room import Room
from tests.tap.reading import EXECUTION, kinds, parse
from tests.tap.running import PATIENCE_S, Pair, configuration, free_port, listening, running, spliced, with_dial_timeout


async def _connected(port: int) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return client


async def test_who_connects_while_upstream_is_away_is_reset_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    upstream_port = free_port()
    with caplog.at_level(logging.INFO):
        async with running(configuration(tmp_path, upstream_port)) as tap, tap.link() as link:
            for _ in range(3):
                client = await _connected(tap.ports["execution"])
                assert await Pair(client, client).is_reset(client)
                client.close()
            found = await link.until_kind("connection_closed", 3)
            with socket.create_server(("127.0.0.1", upstream_port)) as upstream:
                upstream.setblocking(False)
                async with spliced(tap, upstream) as pair:
                    await pair.send(pair.client, b"x")
                    assert await pair.read(pair.server, 1) == b"x"
    mine = [record for record in found if record.connection]
    assert kinds(mine) == ["connection_opened", "upstream_refused", "connection_closed"] * 3
    assert mine[1].upstream_refused.reason == f"127.0.0.1:{upstream_port}: Connection refused"
    closed = mine[2].connection_closed
    assert (closed.by, closed.reset) == (closed.TAP, True)
    assert sum("does not answer" in record.message for record in caplog.records) == 1
    assert sum("answers again" in record.message for record in caplog.records) == 1


async def test_upstream_that_is_silent_beyond_the_dial_timeout_is_refused(tmp_path: Path) -> None:
    with contextlib.ExitStack() as sockets:
        silent = sockets.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for _ in range(3):
            # Its queue is full: whoever connects now gets no answer.
            full = sockets.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(silent.getsockname())
        config = with_dial_timeout(configuration(tmp_path, silent.getsockname()[1]), 0.1)
        async with running(config) as tap, tap.link() as link:
            client = await _connected(tap.ports["execution"])
            assert await Pair(client, client).is_reset(client)
            client.close()
            found = await link.until_kind("upstream_refused")
    refused = next(record.upstream_refused for record in found if record.HasField("upstream_refused"))
    assert refused.reason.endswith("did not answer within 0.1 s")


async def test_a_dial_that_is_under_way_ends_with_the_tap(tmp_path: Path) -> None:
    with contextlib.ExitStack() as sockets:
        silent = sockets.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        for _ in range(3):
            full = sockets.enter_context(socket.socket())
            full.setblocking(False)
            full.connect_ex(silent.getsockname())
        async with running(configuration(tmp_path, silent.getsockname()[1])) as tap:
            client = await _connected(tap.ports["execution"])
            async with tap.link() as link:
                await link.until_kind("connection_opened")
        pair = Pair(client, client)
        assert await pair.read_end(client) == b""
        client.close()


class _Exhausted:
    """A listening socket in a process without descriptors, for one accept."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.failures = 0

    def accept(self) -> Any:
        if not self.failures:
            self.failures += 1
            raise OSError(errno.EMFILE, "Too many open files")
        return self._sock.accept()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


async def test_without_descriptors_accepting_pauses_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    raw: list[bytes] = []
    journal = Journal("run", 0, 0, [EXECUTION], TapLimits(), raw.append)
    intake = Intake(asyncio.get_running_loop(), 2**20, 0.001, lambda: None)

    def decoder(listener: str, peer: str) -> ConnectionDecoder:
        return journal.connection(1, listener, peer)

    async with listening() as upstream, listening() as sock:
        exhausted = _Exhausted(sock)
        target = Address("127.0.0.1", upstream.getsockname()[1])
        tap = Tap("execution", Address("127.0.0.1", 0), target, frozenset())
        listener = TapListener(tap, exhausted, intake, decoder)  # type: ignore[arg-type] # a socket as far as it is used
        listener.start()
        client = await _connected(sock.getsockname()[1])
        async with asyncio.timeout(PATIENCE_S):
            server, _ = await asyncio.get_running_loop().sock_accept(upstream)
        assert exhausted.failures == 1
        assert "Too many open files" in caplog.text
        await listener.stop(1)
        assert await Pair(client, server).read_end(client) == b""
        client.close()
        server.close()
    intake.drain(1)
    assert kinds(parse(record) for record in raw) == ["run_started", "connection_opened", "connection_closed"]


class _Failing:
    """The running loop, in which one call fails as it does when a peer vanished meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: str) -> None:
        self._loop = loop
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return self._fail if name == self._call else getattr(self._loop, name)

    async def _fail(self, *_: Any, **__: Any) -> None:
        await asyncio.sleep(0)
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")


@pytest.mark.parametrize("call", ["create_connection", "connect_accepted_socket"])
async def test_a_side_that_cannot_be_made_ends_both(call: str) -> None:
    raw: list[bytes] = []
    journal = Journal("run", 0, 0, [EXECUTION], TapLimits(), raw.append)
    intake = Intake(asyncio.get_running_loop(), 2**20, 0.001, lambda: None)
    async with listening() as upstream, listening() as sock:
        target = Address("127.0.0.1", upstream.getsockname()[1])
        tap = Tap("execution", Address("127.0.0.1", 0), target, frozenset())
        listener = TapListener(tap, sock, intake, lambda name, peer: journal.connection(1, name, peer))
        listener._loop = _Failing(asyncio.get_running_loop(), call)  # type: ignore[assignment] # a loop as far as it is used
        listener.start()
        client = await _connected(sock.getsockname()[1])
        server, _ = await asyncio.get_running_loop().sock_accept(upstream)
        pair = Pair(client, server)
        assert await pair.is_reset(client) in {True, False}
        assert await pair.is_reset(server) in {True, False}
        await listener.stop(1)
        pair.close()
    intake.drain(1)
    records = [parse(record) for record in raw]
    assert kinds(records) == ["run_started", "connection_opened", "connection_closed"]
    assert records[-1].connection_closed.by == records[-1].connection_closed.TAP


async def test_a_peer_that_takes_nothing_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    async with listening() as upstream:
        async with running(configuration(tmp_path, upstream.getsockname()[1])) as tap:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", tap.ports["execution"]))
            server, _ = await asyncio.get_running_loop().sock_accept(upstream)
            pair = Pair(client, server)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    await pair.send(server, bytes(100_000_000))
        pair.close()


async def test_peers_are_named_as_host_and_port(tmp_path: Path) -> None:
    async with (
        listening() as upstream,
        running(configuration(tmp_path, upstream.getsockname()[1])) as tap,
        tap.link() as link,
        spliced(tap, upstream) as pair,
    ):
        host, port = pair.client.getsockname()
        found = await link.until_kind("connection_opened")
    opened = next(record.connection_opened for record in found if record.HasField("connection_opened"))
    assert (opened.listener, opened.peer) == ("execution", f"{host}:{port}")


async def test_at_the_bound_connects_wait_in_the_backlog_until_one_ends(caplog: pytest.LogCaptureFixture) -> None:
    numbers = itertools.count(1)
    journal = Journal("run", 0, 0, [EXECUTION], TapLimits(), lambda _: None)
    intake = Intake(asyncio.get_running_loop(), 2**20, 0.001, lambda: None)
    room = Room(2)
    async with listening() as upstream, listening() as sock:
        target = Address("127.0.0.1", upstream.getsockname()[1])
        tap = Tap("execution", Address("127.0.0.1", 0), target, frozenset())
        listener = TapListener(tap, sock, intake, lambda name, peer: journal.connection(next(numbers), name, peer), None, room)
        listener.start()
        loop = asyncio.get_running_loop()
        served: list[Pair] = []
        waiting = [await _connected(sock.getsockname()[1]) for _ in range(5)]
        for _ in range(2):
            client = waiting.pop(0)
            async with asyncio.timeout(PATIENCE_S):
                server, _ = await loop.sock_accept(upstream)
            served.append(Pair(client, server))
        while waiting:
            assert room.used == 2
            with pytest.raises(BlockingIOError):
                upstream.accept()
            # Those that are in are as well as ever.
            for pair in served:
                await pair.send(pair.client, b"x")
                assert await pair.read(pair.server, 1) == b"x"
            served.pop(0).close()
            async with asyncio.timeout(PATIENCE_S):
                server, _ = await loop.sock_accept(upstream)
            served.append(Pair(waiting.pop(0), server))
        for pair in served:
            pair.close()
        await listener.stop(1)
    intake.drain(1)
    assert room.used == 0
    assert caplog.text.count("accepts nothing until a connection ends") == 1


async def test_a_connection_that_came_to_nothing_gives_its_place_back() -> None:
    room = Room(1)
    journal = Journal("run", 0, 0, [EXECUTION], TapLimits(), lambda _: None)
    intake = Intake(asyncio.get_running_loop(), 2**20, 0.001, lambda: None)
    async with listening() as sock:
        tap = Tap("execution", Address("127.0.0.1", 0), Address("127.0.0.1", free_port()), frozenset())
        listener = TapListener(tap, sock, intake, lambda name, peer: journal.connection(1, name, peer), None, room)
        listener.start()
        for _ in range(3):
            client = await _connected(sock.getsockname()[1])
            assert await Pair(client, client).is_reset(client)
            client.close()
        await listener.stop(1)
    assert room.used == 0

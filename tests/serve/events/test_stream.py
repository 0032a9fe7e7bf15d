from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.serve.events import stream as stream_module
from gateway.serve.events.selection import Selection
from gateway.serve.events.stream import CLIENT_BYTES, STALLED_S, VANISHED_MS, Stream
from tests.serve.running import PATIENCE_S, eventually

#: More than the kernels of both sides have room for.
LARGE = 8 * 1024 * 1024


@pytest.fixture
async def connected() -> AsyncIterator[tuple[Stream, socket.socket]]:
    """A stream, and the socket of its client."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        own, _ = server.accept()
    own.setblocking(False)
    with client:
        client.settimeout(PATIENCE_S)
        transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=own)
        yield Stream(transport, Selection(None, None), 0, 0.0, scheduler=False, health=False), client
        transport.abort()


async def until_untaken(stream: Stream, now: float, below: int) -> None:
    async def is_below() -> bool:
        return stream.untaken(now) < below

    await eventually(is_below)


def received(client: socket.socket) -> int:
    """Bytes until the end."""
    total = 0
    while chunk := client.recv(1 << 20):
        total += len(chunk)
    return total


async def test_one_part_or_several_are_one_write(connected: tuple[Stream, socket.socket]) -> None:
    stream, client = connected
    stream.write([b"a"])
    stream.write([b"b", b"c"])
    await until_untaken(stream, 1.0, 1)
    assert client.recv(10) == b"abc"


async def test_who_takes_something_is_not_stalled_and_who_takes_nothing_is(connected: tuple[Stream, socket.socket]) -> None:
    stream, client = connected
    assert not stream.untaken(10.0)
    stream.write([bytes(LARGE)])
    before = stream.untaken(20.0)
    assert before
    stream.write([b"more"])
    assert stream.untaken(10.0 + STALLED_S) > before
    assert not stream.is_stalled(10.0 + STALLED_S)
    assert stream.is_stalled(11.0 + STALLED_S)
    reading = asyncio.create_task(asyncio.to_thread(received, client), name="read everything")
    await until_untaken(stream, 200.0, before)
    assert not stream.is_stalled(200.0 + STALLED_S)
    stream.end()
    await until_untaken(stream, 300.0, 1)
    stream._transport.close()
    assert await reading == LARGE + len(b"more")


async def test_the_kernel_holds_no_more_than_the_process_may(connected: tuple[Stream, socket.socket]) -> None:
    stream, _ = connected
    own = stream._transport.get_extra_info("socket")
    # Linux doubles what it is told, for its own needs; a smaller net.core.wmem_max is kept to.
    assert own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * CLIENT_BYTES
    assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == VANISHED_MS


async def test_the_end_lets_what_was_written_through(
    connected: tuple[Stream, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "CLOSING_S", 0.05)
    stream, client = connected
    stream.write([b"last"])
    stream.end()
    stream.end()
    assert not stream.is_open
    await stream.ended()
    assert await asyncio.to_thread(client.recv, 10) == b"last"
    assert await asyncio.to_thread(client.recv, 10) == b""


async def test_a_cut_is_the_end_whatever_was_written(connected: tuple[Stream, socket.socket]) -> None:
    stream, client = connected
    stream.write([bytes(LARGE)])
    await until_untaken(stream, 1.0, LARGE)
    stream.cut()
    await stream.ended()
    assert await asyncio.to_thread(received, client) < LARGE

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from gateway.simulation.relay import Relay
from tests.command import PATIENCE_S
from tests.simulation.bench import eventually

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def _relay(relay: Relay) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    await relay.listen()
    host, _, port = relay.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        await relay.close()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def _target() -> AsyncIterator[str]:
    handlers: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        await _echo(reader, writer)
        handlers.discard(asyncio.current_task())

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield "127.0.0.1:{}".format(*server.sockets[0].getsockname()[1:])
    await eventually(lambda: not handlers)


async def test_more_bytes_than_any_buffer_come_through_unchanged() -> None:
    sent = bytes(range(256)) * 20_000
    async with _target() as target, _relay(Relay(target)) as (reader, writer):
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent


async def test_a_reader_that_pauses_holds_up_the_writer_and_loses_nothing() -> None:
    sent = bytes(range(256)) * 100_000

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(sent)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(pour, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        relay = Relay(f"127.0.0.1:{port}")
        async with _relay(relay) as (reader, _):
            await asyncio.sleep(0.1)
            (accepted,) = relay.accepted
            assert accepted.transport is not None
            assert accepted.transport.get_write_buffer_size() < len(sent) / 2
            assert await reader.readexactly(len(sent)) == sent


async def test_a_unix_socket_can_be_the_target() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "s"
        async with await asyncio.start_unix_server(_echo, path), _relay(Relay(f"unix:{path}")) as (reader, writer):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"


async def test_http2_is_passed_on_however_its_preface_is_cut() -> None:
    async with _target() as target, _relay(Relay(target, lambda _: b"answered")) as (reader, writer):
        for number in range(len(PREFACE)):
            writer.write(PREFACE[number : number + 1])
            await asyncio.sleep(0)
        assert await reader.readexactly(len(PREFACE)) == PREFACE


async def test_a_request_head_is_answered_once_it_is_complete() -> None:
    async with _target() as target, _relay(Relay(target, lambda head: head[:4] + b" answered")) as (reader, writer):
        writer.write(b"PO")
        await asyncio.sleep(0.01)
        writer.write(b"ST / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b"POST answered"


async def test_a_head_without_end_is_answered_at_the_bound() -> None:
    async with _target() as target, _relay(Relay(target, lambda _: b"too long")) as (reader, writer):
        writer.write(b"x" * 9000)
        assert await reader.read() == b"too long"


async def test_cut_ends_every_connection_and_keeps_listening() -> None:
    async with _target() as target:
        relay = Relay(target)
        async with _relay(relay) as (reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            relay.cut()
            assert await reader.read() == b""
            await eventually(lambda: not relay.accepted)
            host, _, port = relay.address.rpartition(":")
            again_reader, again_writer = await asyncio.open_connection(host, int(port))
            again_writer.write(b"y")
            assert await again_reader.readexactly(1) == b"y"
            again_writer.close()
            await again_writer.wait_closed()


async def test_where_nobody_listens_the_connection_ends() -> None:
    async with _target() as target:
        pass
    async with _relay(Relay(target)) as (reader, _):
        assert await reader.read() == b""


async def test_the_end_of_one_side_ends_the_other() -> None:
    async with _target() as target:
        relay = Relay(target)
        async with _relay(relay) as (reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            writer.close()
            await eventually(lambda: not relay.accepted)


async def test_it_can_listen_again_after_it_was_closed() -> None:
    async with _target() as target:
        relay = Relay(target)
        for _ in range(2):
            async with _relay(relay) as (reader, writer):
                writer.write(b"x")
                assert await reader.readexactly(1) == b"x"


async def test_a_port_in_use_is_an_error() -> None:
    async with _target() as target:
        with pytest.raises(OSError, match="in use"):
            await Relay(target).listen("127.0.0.1", int(target.rpartition(":")[2]))


def test_what_a_peer_sends_while_the_target_is_dialled_comes_through_on_uvloop() -> None:
    """There a pause of reading in connection_made takes no effect."""

    async def send_at_once() -> None:
        async with _target() as target:
            for _ in range(20):
                async with _relay(Relay(target)) as (reader, writer):
                    writer.write(PREFACE)
                    async with asyncio.timeout(PATIENCE_S):
                        assert await reader.readexactly(len(PREFACE)) == PREFACE

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(send_at_once())


def test_what_the_target_says_first_comes_through_on_uvloop() -> None:
    """There it can arrive before the dial has returned; gRPC servers begin with their SETTINGS."""

    async def listen() -> None:
        async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(PREFACE)
            await writer.drain()
            writer.close()

        with tempfile.TemporaryDirectory() as directory:
            path = f"{directory}/target.sock"
            async with await asyncio.start_unix_server(speak, path):
                for _ in range(20):
                    async with _relay(Relay(f"unix:{path}")) as (reader, _):
                        async with asyncio.timeout(PATIENCE_S):
                            assert await reader.readexactly(len(PREFACE)) == PREFACE

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(listen())

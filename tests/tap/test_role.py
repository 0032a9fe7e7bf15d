"""The whole role between real gRPC peers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.config.types import Address, RecordLink, Tap, TapLimits
from gateway.errors import StartError
from gateway.pb import longrunning_pb2, remote_execution_pb2, tap_pb2, worker_api_pb2
from gateway.tap import role
from tests.certificates import Authority
from tests.command import PATIENCE_S
from tests.tap.frames import CONNECT_WORKER, EXECUTE
from tests.tap.reading import kinds
from tests.tap.running import RunningTap, configuration, free_port, link_reader, listening, running, spliced, until

_READ = "/google.bytestream.ByteStream/Read"
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


def _identity(payload: bytes) -> bytes:
    return payload


class _Scheduler(grpc.GenericRpcHandler):
    """Answers with real messages, says what it got."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        execute: Any = self._execute
        connect_worker: Any = self._connect_worker
        read: Any = self._read
        if details.method == CONNECT_WORKER:
            return grpc.stream_stream_rpc_method_handler(connect_worker, _identity, _identity)
        return grpc.unary_stream_rpc_method_handler(execute if details.method == EXECUTE else read, _identity, _identity)

    async def _execute(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        self.requests.append(request)
        execute = remote_execution_pb2.ExecuteRequest.FromString(request)
        if execute.instance_name == "refuse":
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not in the CAS: é")
        yield longrunning_pb2.Operation(name="queued").SerializeToString()
        response = remote_execution_pb2.ExecuteResponse()
        response.result.stdout_raw = execute.instance_name.encode()
        operation = longrunning_pb2.Operation(name="done", done=True)
        operation.response.Pack(response)
        yield operation.SerializeToString()

    async def _connect_worker(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        update = worker_api_pb2.UpdateForWorker()
        async for request in requests:
            self.requests.append(request)
            update.connection_result.worker_id = "w1"
            yield update.SerializeToString()

    async def _read(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        for _ in range(2):
            yield request


@asynccontextmanager
async def _scheduler_and_tap(tmp_path: Path) -> AsyncIterator[tuple[_Scheduler, RunningTap]]:
    scheduler = _Scheduler()
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((scheduler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with running(configuration(tmp_path, port)) as tap:
            yield scheduler, tap
    finally:
        await server.stop(0)


def _channel(tap: RunningTap, **settings: Any) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{tap.ports['execution']}", options=_OPTIONS, **settings)


async def _execute(channel: grpc.aio.Channel, instance: str) -> list[bytes]:
    request = remote_execution_pb2.ExecuteRequest(instance_name=instance).SerializeToString()
    return [answer async for answer in channel.unary_stream(EXECUTE, _identity, _identity)(request)]


async def test_grpc_peers_talk_through_the_tap_and_are_recorded(tmp_path: Path) -> None:
    async with _scheduler_and_tap(tmp_path) as (scheduler, tap), tap.link() as link, _channel(tap) as channel:
        answers = await _execute(channel, "SECRET")
        assert len(answers) == 2
        assert b"SECRET" in answers[1]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _execute(channel, "refuse")
        assert refused.value.details() == "not in the CAS: é"
        found = await link.until_kind("stream_closed", 2)
    calls = [record for record in found if record.stream]
    assert kinds(calls) == [
        *("stream_opened", "message", "message", "message", "stream_closed"),
        *("stream_opened", "message", "stream_closed"),
    ]
    assert calls[0].stream_opened.user_agent.startswith("grpc-python-asyncio/")
    assert calls[1].message.payload == scheduler.requests[0]
    assert calls[2].message.payload == answers[0]
    assert b"SECRET" not in calls[3].message.payload
    assert (calls[4].stream_closed.grpc_status, calls[4].stream_closed.HasField("grpc_status")) == (0, True)
    assert (calls[-1].stream_closed.grpc_status, calls[-1].stream_closed.message) == (9, "not in the CAS: é")


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_messages_are_recorded_inflated(tmp_path: Path, compression: grpc.Compression) -> None:
    async with (
        _scheduler_and_tap(tmp_path) as (scheduler, tap),
        tap.link() as link,
        _channel(tap, compression=compression) as channel,
    ):
        await _execute(channel, "a" * 5000)
        found = await link.until_kind("stream_closed")
    request = next(record for record in found if record.HasField("message"))
    assert request.message.payload == scheduler.requests[0]


async def test_messages_of_20_mb_pass_and_are_recorded_by_their_length(tmp_path: Path) -> None:
    large = remote_execution_pb2.ExecuteRequest(instance_name="x" * 20_000_000).SerializeToString()
    async with _scheduler_and_tap(tmp_path) as (scheduler, tap), tap.link() as link, _channel(tap) as channel:
        answers = [answer async for answer in channel.unary_stream(EXECUTE, _identity, _identity)(large)]
        assert scheduler.requests == [large]
        assert len(answers[1]) > 20_000_000
        async for answer in channel.unary_stream(_READ, _identity, _identity)(large):
            assert answer == large
        found = await link.until_kind("stream_closed")
        ticks = await link.until(lambda found: found[-1].HasField("tick") and found[-1].tick.listeners[0].bytes > 100_000_000)
    messages = [record.message for record in found if record.HasField("message")]
    assert [(message.omitted, message.omitted_length) for message in messages] == [
        (tap_pb2.Message.TOO_LARGE, len(large)),
        (tap_pb2.Message.NOT_OMITTED, 0),
        (tap_pb2.Message.TOO_LARGE, len(answers[1])),
    ]
    tick = ticks[-1].tick
    assert tick.listeners[0].tapped_bytes < 41_000_000
    assert (tick.listeners[0].streams, tick.readers, tick.ring_limit_bytes) == (1, 1, tap.config.tap.ring_bytes)
    # Every chunk was timed: each of the 200 or more that 80 MB come in.
    assert sum(tick.forwarding_delay.counts) >= 200
    assert tick.forwarding_delay.sum_ns > 0


async def test_a_workers_keep_alives_are_counted_and_its_end_is_seen(tmp_path: Path) -> None:
    async with _scheduler_and_tap(tmp_path) as (_, tap), tap.link() as link, _channel(tap) as channel:
        registration = worker_api_pb2.ConnectWorkerRequest(worker_id_prefix="w")
        call = channel.stream_stream(CONNECT_WORKER, _identity, _identity)()
        await call.write(worker_api_pb2.UpdateForScheduler(connect_worker_request=registration).SerializeToString())
        await call.read()
        for _ in range(5):
            await call.write(b"\x12\x00")
            await call.read()
        call.cancel()
        found = await link.until_kind("stream_closed")
    mine = [record for record in found if record.stream]
    assert sum(record.keep_alives.count for record in mine) == 5
    assert mine[-1].stream_closed.reset == 8
    assert mine[-1].stream_closed.reset_direction == tap_pb2.Message.TO_SERVER
    assert sum(record.message.direction == tap_pb2.Message.TO_SERVER for record in mine) == 1


async def test_ticks_come_without_traffic_and_the_run_names_its_listeners(tmp_path: Path) -> None:
    config = configuration(tmp_path, free_port(), free_port())
    config = replace(config, taps=(config.taps[0], replace(config.taps[1], scheduler="OTHER")))
    async with running(config) as tap, tap.link() as link:
        found = await link.until_kind("tick", 2)
    started = found[0].run_started
    assert [(each.name, each.listen, each.scheduler, list(each.carries)) for each in started.listeners] == [
        ("execution", f"127.0.0.1:{tap.ports['execution']}", "", ["execution"]),
        ("workers", f"127.0.0.1:{tap.ports['workers']}", "OTHER", ["admin", "worker_api"]),
    ]
    assert found[1].tick.ring_bytes > 0


async def test_stopping_ends_open_connections_and_readers_and_says_so(tmp_path: Path) -> None:
    async with AsyncExitStack() as peers, listening() as upstream:
        async with running(configuration(tmp_path, upstream.getsockname()[1])) as tap:
            reader = await peers.enter_async_context(tap.link())
            pair = await peers.enter_async_context(spliced(tap, upstream))
            await pair.send(pair.client, b"x")
            assert await pair.read(pair.server, 1) == b"x"
        assert await pair.read_end(pair.client) == b""
        assert await pair.read_end(pair.server) == b""
        found = await reader.ended()
    closed = found[-1].connection_closed
    assert (closed.by, closed.reset) == (tap_pb2.ConnectionClosed.TAP, False)
    assert not tap.config.record_sockets[0].exists()


async def test_a_small_ring_forgets_and_says_what_is_open(tmp_path: Path) -> None:
    limits = TapLimits(ring_bytes=800, decode_interval_ms=1)
    async with (
        listening() as upstream,
        running(configuration(tmp_path, upstream.getsockname()[1], limits=limits)) as tap,
        spliced(tap, upstream),
    ):
        for _ in range(20):
            async with spliced(tap, upstream):
                pass
        async with tap.link() as link:
            await link.until_kind("connection_closed")
        async with tap.link() as link:
            found = await link.until_kind("state_end")
    assert kinds(found)[:3] == ["run_started", "gap", "state_begin"]
    listed = [record.connection for record in found if record.HasField("open_stream")]
    assert listed[0] == 1
    assert len(listed) < 20


def test_a_port_in_use_is_an_error_that_names_the_setting_and_binds_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = configuration(tmp_path, 1, 2)
        free = free_port()
        first = replace(config.taps[0], listen=Address("127.0.0.1", free))
        config = replace(config, taps=(first, replace(config.taps[1], listen=Address("127.0.0.1", port))))
        with pytest.raises(StartError, match=rf"gateway\.taps\[workers\]\.listen: 127\.0\.0\.1:{port}: Address already in use"):
            role.bind(config)
    socket.create_server(("127.0.0.1", free)).close()


def test_an_address_that_is_not_this_machines_is_an_error(tmp_path: Path) -> None:
    config = configuration(tmp_path, 1)
    for host in ("203.0.113.1", "no-such-host.invalid"):
        tap: Tap = replace(config.taps[0], listen=Address(host, 1))
        with pytest.raises(StartError, match=r"gateway\.taps\[execution\]\.listen"):
            role.bind(replace(config, taps=(tap,)))


async def test_a_record_link_that_cannot_be_made_ends_the_role(tmp_path: Path) -> None:
    config = configuration(tmp_path, 1)
    config.record_sockets[0].mkdir()
    with pytest.raises(StartError, match="state_dir"):
        await role.run(config, role.bind(config), asyncio.Event())


async def test_a_supervised_tap_forwards_without_its_record_link_until_that_can_be_made(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accepted = asyncio.Event()

    def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        writer.close()

    upstream = await asyncio.start_server(accept, "127.0.0.1", 0)
    config = configuration(tmp_path, upstream.sockets[0].getsockname()[1])
    config.record_sockets[0].mkdir()
    listeners = role.bind(config)
    port = listeners["execution"].getsockname()[1]
    stop = asyncio.Event()
    async with upstream, asyncio.TaskGroup() as group, asyncio.timeout(PATIENCE_S):
        group.create_task(role.run(config, listeners, stop, upgrade=role.Upgrade(supervised=True)), name="tap")
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await accepted.wait()
        assert await reader.read() == b""
        writer.close()
        config.record_sockets[0].rmdir()
        await until(config.record_sockets[0].exists)
        async with link_reader(config.record_sockets[0]) as records:
            await records.until_kind("connection_closed")
        stop.set()
    assert "nobody reads the records until it can be, builds go on" in caplog.text


async def test_a_tap_that_has_its_listeners_goes_on_where_its_records_cannot_be_published(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    identity = authority.issue("tap")
    link = RecordLink(Address("127.0.0.1", free_port()), identity.listener(authority.file))
    config = replace(configuration(tmp_path / "state", free_port()), record_link=link)
    listeners = role.bind(config)
    identity.key_file.write_text("no key")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run(config, listeners, stop), name="tap")
        async with asyncio.timeout(PATIENCE_S):
            while not config.record_sockets[0].exists():  # noqa: ASYNC110 - a file sets no event
                await asyncio.sleep(0.01)
        async with link_reader(config.record_sockets[0]) as reader:
            await reader.until_kind("tick")
        stop.set()
    assert "tap.key: no private key" in caplog.text
    assert "until the tap is started again other machines cannot read its records" in caplog.text
    with pytest.raises(StartError, match=r"gateway\.record_link\.tls\.key_file: "):
        role.bind(config)

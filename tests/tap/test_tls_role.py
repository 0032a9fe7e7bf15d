"""The whole role with TLS between real gRPC peers, whichever sides have it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from gateway.pb import longrunning_pb2, remote_execution_pb2, worker_api_pb2
from gateway.tap import role
from tests.tap.encrypted import Wiring
from tests.tap.frames import CONNECT_WORKER, EXECUTE
from tests.tap.reading import kinds
from tests.tap.running import RunningTap, running

_ANY_SIZE = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
WIRINGS = {
    "plain to TLS": {"client": False, "upstream": True},
    "TLS to plain": {"client": True, "upstream": False},
    "TLS to TLS": {"client": True, "upstream": True},
    "mutual": {"client": True, "upstream": True, "mutual": True},
}


def _identity(payload: bytes) -> bytes:
    return payload


class _Scheduler(grpc.GenericRpcHandler):
    """Executes at once and repeats what workers say."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        execute: Any = self._execute
        connect_worker: Any = self._connect_worker
        if details.method == CONNECT_WORKER:
            return grpc.stream_stream_rpc_method_handler(connect_worker, _identity, _identity)
        return grpc.unary_stream_rpc_method_handler(execute, _identity, _identity)

    async def _execute(self, request: bytes, _: Any) -> AsyncIterator[bytes]:
        for number in range(3):
            yield longrunning_pb2.Operation(name=str(number), done=number == 2).SerializeToString()
        yield request

    async def _connect_worker(self, requests: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request


class _Peers:
    """gRPC credentials of both sides for a wiring."""

    def __init__(self, directory: Path, mutual: bool) -> None:
        def read(name: str) -> bytes:
            return (directory / name).read_bytes()

        nativelink = [(read("nativelink.key"), read("nativelink.pem"))]
        self.server = grpc.ssl_server_credentials(nativelink, read("own-ca.pem") if mutual else None, mutual)
        own = (read("bazel.key"), read("bazel.pem")) if mutual else (None, None)
        self.client = grpc.ssl_channel_credentials(read("own-ca.pem"), *own)


@asynccontextmanager
async def _between(tmp_path: Path, wiring: dict[str, bool]) -> AsyncIterator[tuple[grpc.aio.Channel, RunningTap]]:
    wired = Wiring(tmp_path, **wiring)
    peers = _Peers(tmp_path, wiring.get("mutual", False))
    server = grpc.aio.server(options=_ANY_SIZE)
    server.add_generic_rpc_handlers((_Scheduler(),))
    address = "127.0.0.1:0"
    port = server.add_secure_port(address, peers.server) if wiring["upstream"] else server.add_insecure_port(address)
    await server.start()
    try:
        async with running(wired.configuration(tmp_path, port)) as tap:
            target = f"localhost:{tap.ports['execution']}"
            if wiring["client"]:
                channel = grpc.aio.secure_channel(target, peers.client, options=_ANY_SIZE)
            else:
                channel = grpc.aio.insecure_channel(target, options=_ANY_SIZE)
            async with channel:
                yield channel, tap
    finally:
        await server.stop(0)


@pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS.keys())
async def test_grpc_peers_talk_through_the_tap_and_are_recorded(tmp_path: Path, wiring: dict[str, bool]) -> None:
    request = remote_execution_pb2.ExecuteRequest(instance_name="main").SerializeToString()
    async with _between(tmp_path, wiring) as (channel, tap), tap.link() as link:
        answers = [answer async for answer in channel.unary_stream(EXECUTE, _identity, _identity)(request)]
        assert len(answers) == 4
        assert answers[-1] == request
        found = await link.until_kind("stream_closed")
    assert kinds(record for record in found if record.stream) == ["stream_opened", *["message"] * 5, "stream_closed"]
    messages = [record.message.payload for record in found if record.HasField("message")]
    assert messages == [request, *answers]
    assert found[-1].stream_closed.grpc_status == 0


@pytest.mark.parametrize("wiring", WIRINGS.values(), ids=WIRINGS.keys())
async def test_a_worker_and_its_scheduler_talk_both_ways(tmp_path: Path, wiring: dict[str, bool]) -> None:
    async with _between(tmp_path, wiring) as (channel, tap), tap.link() as link:
        call = channel.stream_stream(CONNECT_WORKER, _identity, _identity)()
        said = [worker_api_pb2.UpdateForScheduler(), worker_api_pb2.UpdateForScheduler()]
        said[0].connect_worker_request.worker_id_prefix = "w"
        said[1].going_away_request.SetInParent()
        for update in said:
            await call.write(update.SerializeToString())
            assert await call.read() == update.SerializeToString()
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        found = await link.until_kind("stream_closed")
    opened = next(record.stream_opened for record in found if record.HasField("stream_opened"))
    assert opened.method == CONNECT_WORKER
    assert sum(record.HasField("message") for record in found) == 4


async def test_messages_of_20_mb_pass_through_tls_on_both_sides(tmp_path: Path) -> None:
    large = remote_execution_pb2.ExecuteRequest(instance_name="x" * 20_000_000).SerializeToString()
    async with _between(tmp_path, WIRINGS["TLS to TLS"]) as (channel, tap), tap.link() as link:
        answers = [answer async for answer in channel.unary_stream(EXECUTE, _identity, _identity)(large)]
        assert answers[-1] == large
        found = await link.until_kind("stream_closed")
    lengths = [record.message.omitted_length for record in found if record.HasField("message")]
    assert lengths == [len(large), 0, 0, 0, len(large)]


async def test_a_grpc_client_without_a_certificate_is_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    async with _between(tmp_path, WIRINGS["mutual"]) as (_, tap):
        credentials = grpc.ssl_channel_credentials((tmp_path / "own-ca.pem").read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{tap.ports['execution']}", credentials) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_stream(EXECUTE, _identity, _identity)(b"").read()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


def test_a_tap_without_tls_reads_no_certificates(tmp_path: Path) -> None:
    for sock in role.bind(Wiring(tmp_path, client=False, upstream=False).configuration(tmp_path, 1)).values():
        sock.close()

"""The observe process as a whole: a scripted tap on a real unix socket in front, a real channel behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from gateway.config.types import Address, Cas, Config
from gateway.observe import role
from gateway.observe.checkpoint import file
from gateway.observe.observer import Observer
from gateway.observe.rejected import SUFFIX
from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.pb.remote_execution_pb2_grpc import add_ContentAddressableStorageServicer_to_server
from tests.command import PATIENCE_S
from tests.observe.records import CONNECT, ScriptedTap, config, execute_request, operation
from tests.observe.test_cas import Store
from tests.observe.test_link import TapSocket, encoded
from tests.observe.test_translate import gap_state, open_connection

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub


@asynccontextmanager
async def observing(settings: Config) -> AsyncIterator[IntrospectionAsyncStub]:
    stop = asyncio.Event()
    task = asyncio.create_task(role.run(settings, stop), name="observe")
    try:
        async with grpc.aio.insecure_channel(f"unix:{settings.introspection_socket}") as channel:
            yield IntrospectionStub(channel)
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await task


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110 - what happens has no event
            await asyncio.sleep(0.01)


async def scheduler(stub: IntrospectionAsyncStub) -> pb.Scheduler:
    return await stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)


async def operations(stub: IntrospectionAsyncStub) -> list[str]:
    answer = await stub.ListOperations(pb.ListOperationsRequest())
    return [each.client_operation_id for each in answer.operations]


async def test_a_tap_that_dies_gaps_and_starts_again_is_followed(tmp_path: Path) -> None:
    settings = config(tmp_path)
    socket = TapSocket(settings.record_sockets[0], hangs_up=False)
    script = ScriptedTap()
    connection, stream = script.execute()
    script.down(connection, stream, operation("main/c-1", 2))
    script.tick()
    async with observing(settings) as stub:
        assert (await scheduler(stub)).health.status == pb.Health.UNHEALTHY

        socket.to_send = [encoded(*script.records)]
        async with socket.listening():
            await until(lambda: _is(stub, pb.Health.HEALTHY))
            assert await operations(stub) == ["c-1"]
            epoch = (await stub.ListOperations(pb.ListOperationsRequest())).revision.epoch

        # The tap is out of reach, and has dropped records when it is back.
        await until(lambda: _is(stub, pb.Health.UNHEALTHY))
        begun = script.records[0]
        script.records.clear()
        script.sequence += 20
        opened = tap_pb2.OpenStream(stream_opened=tap_pb2.StreamOpened(method="/build.bazel.remote.execution.v2.Execution/Execute"))
        opened.latest_to_client = operation("main/c-2", 2, "cd" * 32).SerializeToString()
        opened.first_to_server = execute_request("cd" * 32).SerializeToString()
        opened.opened_monotonic_ns = script.now
        gap_state(script, (7, 0, open_connection("execution")), (7, 3, opened), missed=(script.sequence - 19, script.sequence))
        script.tick()
        socket.to_send = [encoded(begun, *script.records)]
        asked = len(socket.asked)
        async with socket.listening():
            await until(lambda: _attached(stub))
            assert (await scheduler(stub)).records_missed == 20
            assert "c-2" in await operations(stub)
            assert socket.asked[asked].run == "run-1"
            assert socket.asked[asked].next_sequence == 7

        # The tap's process is a new one: everything of the old one is over.
        new = ScriptedTap("run-2", started_at=script.unix_ns + 1)
        connection, stream = new.execute(execute_request("ef" * 32))
        new.down(connection, stream, operation("main/c-3", 2, "ef" * 32))
        new.tick()
        socket.to_send = [encoded(*new.records)]
        async with socket.listening():
            await until(lambda: _has(stub, "c-3"))
            answer = await stub.ListOperations(pb.ListOperationsRequest())
            assert answer.revision.epoch == epoch


async def _is(stub: IntrospectionAsyncStub, status: pb.Health.Status.ValueType) -> bool:
    return (await scheduler(stub)).health.status == status


async def _attached(stub: IntrospectionAsyncStub) -> bool:
    return all(tap.attached for tap in (await scheduler(stub)).taps)


async def _has(stub: IntrospectionAsyncStub, client_operation_id: str) -> bool:
    return client_operation_id in await operations(stub)


async def test_what_the_cas_says_is_shown(tmp_path: Path) -> None:
    store = Store()
    name = store.put(1)
    server = grpc.aio.server()
    add_ContentAddressableStorageServicer_to_server(store, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    settings = config(tmp_path, cas=Cas(Address("127.0.0.1", port)))
    script = ScriptedTap()
    for number in range(2):
        connection, stream = script.execute(execute_request(name.digest.hash, size=name.digest.size_bytes, skip=True))
        script.down(connection, stream, operation(f"main/c-{number}", 2, name.digest.hash, size=name.digest.size_bytes))
    script.tick()
    socket = TapSocket(settings.record_sockets[0], [encoded(*script.records)], hangs_up=False)

    async def shown() -> bool:
        answer = await stub.ListOperations(pb.ListOperationsRequest(), wait_for_ready=True)
        return len(answer.operations) == 2 and all(each.command_digest.hash == "01" for each in answer.operations)

    async with socket.listening(), observing(settings) as stub:
        await until(shown)
    assert len(store.calls) == 1
    await server.stop(None)


# --- checkpoints ------------------------------------------------------------------------------------------------------


async def watched(stub: IntrospectionAsyncStub, known: pb.Revision | None = None) -> pb.WatchResponse:
    """The first message of a Watch."""
    watch = stub.Watch(pb.WatchRequest(revision=known), wait_for_ready=True)
    async for response in watch:
        watch.cancel()
        return response
    raise AssertionError("it ended")


async def test_after_a_stop_everything_goes_on_where_it_was(tmp_path: Path) -> None:
    settings = config(tmp_path)
    script = ScriptedTap()
    script.worker("w-1")
    connection, stream = script.execute()
    script.down(connection, stream, operation("main/c-1", 2))
    script.tick()
    socket = TapSocket(settings.record_sockets[0], [encoded(*script.records)], hangs_up=False)
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _has(stub, "c-1"))
        snapshot = (await watched(stub)).snapshot
        before = await scheduler(stub)

    # Nobody has confirmed anything yet.
    async with observing(settings) as stub:
        response = await watched(stub, snapshot.revision)
        assert response.HasField("changes"), "what is known is not said again"
        assert response.changes.revision.epoch == snapshot.revision.epoch
        shown = await scheduler(stub)
        assert shown.health.status == pb.Health.UNHEALTHY
        assert "What is shown is the checkpoint of " in shown.health.reasons[1]
        assert (shown.up_since, shown.counts) == (before.up_since, before.counts)
        assert await operations(stub) == ["c-1"]

    begun, next_sequence = script.records[0], script.sequence + 1
    script.records.clear()
    script.down(connection, stream, operation("main/c-1", 3))
    script.sleep(3600)
    script.tick()
    socket.to_send = [encoded(begun, *script.records)]
    asked = len(socket.asked)
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _is(stub, pb.Health.HEALTHY))
        assert socket.asked[asked].run == "run-1"
        assert socket.asked[asked].next_sequence == next_sequence
        assert (await scheduler(stub)).counts.executing == 1
        assert (await scheduler(stub)).up_since == before.up_since
        assert (await scheduler(stub)).records_missed == 0


async def test_records_that_fell_out_of_the_ring_between_stop_and_start_are_a_gap_that_is_seen(tmp_path: Path) -> None:
    settings = config(tmp_path)
    script = ScriptedTap()
    kept, stream = script.worker("w-1")
    script.worker("w-2")
    script.tick()
    socket = TapSocket(settings.record_sockets[0], [encoded(*script.records)], hangs_up=False)
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _is(stub, pb.Health.HEALTHY))

    begun = script.records[0]
    script.records.clear()
    script.sequence += 20
    opened = tap_pb2.OpenStream(stream_opened=tap_pb2.StreamOpened(method=CONNECT), opened_monotonic_ns=script.now)
    missed = (script.sequence - 19, script.sequence)
    gap_state(script, (kept, 0, open_connection("workers")), (kept, stream, opened), missed=missed)
    script.tick()
    socket.to_send = [encoded(begun, *script.records)]
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _is(stub, pb.Health.DEGRADED))
        assert (await scheduler(stub)).records_missed == 20
        workers = (await stub.ListWorkers(pb.ListWorkersRequest())).workers
        assert [(worker.id, worker.arrival) for worker in workers] == [("w-1", 1)], "the end of the other was not seen"


async def test_after_a_restart_with_another_run_what_was_open_has_ended(tmp_path: Path) -> None:
    settings = config(tmp_path)
    script = ScriptedTap()
    script.worker("w-1")
    script.tick()
    socket = TapSocket(settings.record_sockets[0], [encoded(*script.records)], hangs_up=False)
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _is(stub, pb.Health.HEALTHY))
    following = ScriptedTap("run-2", started_at=script.unix_ns + 1)
    following.worker("w-2")
    following.tick()
    socket.to_send = [encoded(*following.records)]
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _is(stub, pb.Health.HEALTHY))
        workers = (await stub.ListWorkers(pb.ListWorkersRequest())).workers
        assert [worker.id for worker in workers] == ["w-2"]
        assert [worker.arrival for worker in workers] == [2]


async def test_actions_that_were_not_read_before_a_stop_are_read_after_it(tmp_path: Path) -> None:
    store = Store()
    name = store.put(1)
    settings = config(tmp_path)
    script = ScriptedTap()
    connection, stream = script.execute(execute_request(name.digest.hash, size=name.digest.size_bytes))
    script.down(connection, stream, operation("main/c-1", 2, name.digest.hash, size=name.digest.size_bytes))
    socket = TapSocket(settings.record_sockets[0], [encoded(*script.records)], hangs_up=False)
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _has(stub, "c-1"))

    server = grpc.aio.server()
    add_ContentAddressableStorageServicer_to_server(store, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def shown() -> bool:
        answer = await stub.ListOperations(pb.ListOperationsRequest(), wait_for_ready=True)
        return [each.command_digest.hash for each in answer.operations] == ["01"]

    async with observing(config(tmp_path, cas=Cas(Address("127.0.0.1", port)))) as stub:
        await until(shown)
    await server.stop(None)


async def test_a_defect_is_not_met_again_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config(tmp_path)
    script = ScriptedTap()
    script.tick()
    socket = TapSocket(settings.record_sockets[0], [encoded(*script.records)], hangs_up=False)
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _is(stub, pb.Health.HEALTHY))
    assert (tmp_path / file.NAME).exists()

    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as patched:
        patched.setattr(Observer, "receive", fail)
        with pytest.raises(ExceptionGroup):
            async with socket.listening():
                await role.run(settings, asyncio.Event())
    assert "observe ended by a defect" in caplog.text
    assert (tmp_path / f"{file.NAME}{SUFFIX}").exists()
    async with socket.listening(), observing(settings) as stub:
        await until(lambda: _is(stub, pb.Health.HEALTHY))


@pytest.mark.parametrize("data", [b"", b"damaged", bytes(1000)])
async def test_whatever_is_in_the_place_of_a_checkpoint_observe_starts(
    tmp_path: Path, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / file.NAME).write_bytes(data)
    async with observing(config(tmp_path)) as stub:
        assert (await scheduler(stub)).counts.operations == 0
    assert "is not used: " in caplog.text
    assert (tmp_path / f"{file.NAME}{SUFFIX}").read_bytes() == data

"""The introspection service over a real channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # ships no types
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]  # as above

from gateway.observe.introspection import feed as feed_module
from gateway.observe.introspection.service import SERVICE, IntrospectionService
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from tests.command import PATIENCE_S
from tests.observe.introspection.observed import Observed, Replica
from tests.observe.records import registration

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub


class Served:
    """An observer whose introspection service is up."""

    def __init__(self, observed: Observed, channel: grpc.aio.Channel, address: str) -> None:
        self.observed = observed
        self.channel = channel
        self.address = address
        self.stub: IntrospectionAsyncStub = IntrospectionStub(channel)

    async def everything(self) -> tuple[dict[int, pb.Worker], dict[int, pb.Operation], pb.Scheduler, pb.Revision]:
        """The lists as they are now, as one state."""
        operations = await self.stub.ListOperations(pb.ListOperationsRequest(page_size=100_000))
        workers = await self.stub.ListWorkers(pb.ListWorkersRequest(page_size=100_000))
        scheduler = await self.stub.GetScheduler(pb.GetSchedulerRequest())
        assert workers.revision == operations.revision
        return (
            {worker.arrival: worker for worker in workers.workers},
            {operation.arrival: operation for operation in operations.operations},
            scheduler,
            workers.revision,
        )


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    observed = Observed()
    service = IntrospectionService(observed.answers, observed.feed)
    server = grpc.aio.server()
    await service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    running = asyncio.create_task(observed.feed.run(), name="feed")
    address = f"127.0.0.1:{port}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield Served(observed, channel, address)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await service.stop()
    await server.stop(0.2)


async def status_of(call: Any) -> tuple[grpc.StatusCode, str | None]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details()


async def test_what_is_not_there_is_not_found(served: Served) -> None:
    worker = served.stub.GetWorker(pb.GetWorkerRequest(id="X"))
    assert await status_of(worker) == (grpc.StatusCode.NOT_FOUND, "Worker X not found")
    operation = served.stub.GetOperation(pb.GetOperationRequest(id="Y"))
    assert await status_of(operation) == (grpc.StatusCode.NOT_FOUND, "Operation Y not found")


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("ListWorkers", pb.ListWorkersRequest(page_size=100_001)),
        ("ListWorkers", pb.ListWorkersRequest(page_token="nonsense")),  # noqa: S106 - no password
        ("ListOperations", pb.ListOperationsRequest(page_size=100_001)),
        ("ListOperations", pb.ListOperationsRequest(page_token="%%%")),  # noqa: S106 - as above
        ("ListOperations", pb.ListOperationsRequest(stages=[pb.Stage.ValueType(17)])),
    ],
)
async def test_a_wrong_question_names_the_field(served: Served, method: str, request_: Message) -> None:
    code, details = await status_of(getattr(served.stub, method)(request_))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert details is not None
    assert details.partition(":")[0] in {"page_size", "page_token", "stages"}


async def read_until(replica: Replica, call: Any, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            replica.take(await call.read())


async def test_snapshot_and_changes_are_what_the_lists_say_at_every_revision(served: Served) -> None:
    observed = served.observed
    watch = served.stub.Watch(pb.WatchRequest())
    replica = Replica()
    worker = observed.worker("w-1")
    for step in range(30):
        observed.queued(f"main/c-{step}", step)
        if step % 3 == 0:
            observed.assigned(worker, f"op-{step}", step)
        if step % 6 == 0:
            observed.finished(worker, f"op-{step}", step)
        observed.tap.sleep(7)
        observed.tap.tick()
        observed.play()
        workers, operations, scheduler, revision = await served.everything()
        await read_until(replica, watch, lambda revision=revision: replica.is_whole and replica.revision == revision)  # type: ignore[misc]  # bound now
        assert replica.workers == workers
        assert replica.operations == operations
        assert replica.scheduler == scheduler
    assert replica.snapshots == 1
    watch.cancel()


async def test_who_comes_back_with_a_revision_gets_only_what_changed(served: Served) -> None:
    observed = served.observed
    observed.queued("main/c-1", 1)
    observed.play()
    replica = Replica()
    watch = served.stub.Watch(pb.WatchRequest())
    await read_until(replica, watch, lambda: len(replica.operations) == 1)
    watch.cancel()
    observed.queued("main/c-2", 2)
    observed.play()
    watch = served.stub.Watch(pb.WatchRequest(revision=replica.revision))
    first: Any = await watch.read()
    assert [operation.client_operation_id for operation in first.changes.operations] == ["c-2"]
    replica.take(first)
    assert len(replica.operations) == 2
    watch.cancel()


async def test_who_comes_from_another_epoch_gets_a_snapshot(served: Served) -> None:
    watch = served.stub.Watch(pb.WatchRequest(revision=pb.Revision(epoch="another", number=0)))
    first: Any = await watch.read()
    assert first.snapshot.first
    watch.cancel()


async def read_to_the_end(call: Any) -> None:
    while True:
        await call.read()


async def test_a_subscriber_that_does_not_read_is_told_when_it_does(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "QUEUE_MESSAGES", 10)
    observed = served.observed
    quick = served.stub.Watch(pb.WatchRequest())
    replica = Replica()
    await read_until(replica, quick, lambda: replica.is_whole)
    small = [("grpc.use_local_subchannel_pool", 1), ("grpc.http2.bdp_probe", 0)]
    async with grpc.aio.insecure_channel(served.address, options=small) as channel:
        slow = IntrospectionStub(channel).Watch(pb.WatchRequest())
        await slow.read()
        number = 0
        async with asyncio.timeout(PATIENCE_S):
            while len(observed.feed._subscribers) > 1:
                number += 1
                observed.tap.worker(f"w-{number}", registration(pool="x" * 100_000))
                observed.play()
                await served.stub.GetScheduler(pb.GetSchedulerRequest())
                while len(replica.workers) < number:
                    replica.take(await quick.read())  # type: ignore[arg-type]  # a response, as the call has not ended
        assert len(replica.workers) == number, "the other one got everything"
        assert (await status_of(read_to_the_end(slow)))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED
    quick.cancel()


async def test_subscribers_that_leave_are_forgotten(served: Served) -> None:
    watches = [served.stub.Watch(pb.WatchRequest()) for _ in range(3)]
    for watch in watches:
        await watch.read()
    assert len(served.observed.feed._subscribers) == 3
    for watch in watches:
        watch.cancel()
    async with asyncio.timeout(PATIENCE_S):
        while served.observed.feed._subscribers:  # noqa: ASYNC110 - what happens has no event
            await asyncio.sleep(0.005)


async def test_reflection_names_the_service(served: Served) -> None:
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    async for answer in stub.ServerReflectionInfo(iter([request])):
        assert {service.name for service in answer.list_services_response.service} >= {SERVICE, "grpc.health.v1.Health"}
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
    async for answer in stub.ServerReflectionInfo(iter([request])):
        assert b"WatchResponse" in b"".join(answer.file_descriptor_response.file_descriptor_proto)


@pytest.mark.parametrize("service", ["", SERVICE])
async def test_the_standard_health_service_answers(served: Served, service: str) -> None:
    answer = await health_pb2_grpc.HealthStub(served.channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_where_nothing_can_be_drained_that_is_not_implemented(served: Served) -> None:
    code, _ = await status_of(served.stub.Drain(pb.DrainRequest(id_prefix="w")))
    assert code is grpc.StatusCode.UNIMPLEMENTED

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import remote_execution_pb2_grpc as remote_execution_grpc
from gateway.pb import worker_api_pb2 as worker_api
from gateway.pb import worker_api_pb2_grpc as worker_api_grpc
from gateway.simulation import Job, Simulation, Stage
from gateway.simulation.cas import digest_of
from gateway.simulation.scheduler import NotInCasError
from tests.simulation.bench import eventually

Code = grpc.StatusCode


@pytest.fixture
async def simulation() -> AsyncIterator[Simulation]:
    async with Simulation() as simulation:
        yield simulation


@pytest.fixture
async def channel(simulation: Simulation) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(simulation.execution_address) as channel:
        yield channel


@pytest.fixture
async def worker_channel(simulation: Simulation) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(simulation.worker_address) as channel:
        yield channel


async def test_an_action_that_is_not_in_the_cas_is_a_failed_precondition(channel: grpc.aio.Channel) -> None:
    digest = remote_execution.Digest(hash="a" * 64, size_bytes=9)
    call = remote_execution_grpc.ExecutionStub(channel).Execute(remote_execution.ExecuteRequest(action_digest=digest))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [update async for update in call]
    assert (caught.value.code(), caught.value.details()) == (Code.FAILED_PRECONDITION, str(NotInCasError(digest)))


async def test_waiting_for_an_unknown_name_is_not_found(channel: grpc.aio.Channel) -> None:
    call = remote_execution_grpc.ExecutionStub(channel).WaitExecution(remote_execution.WaitExecutionRequest(name="/nobody"))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [update async for update in call]
    assert caught.value.code() is Code.NOT_FOUND


async def test_blobs_are_written_found_and_read_in_batches(channel: grpc.aio.Channel) -> None:
    cas = remote_execution_grpc.ContentAddressableStorageStub(channel)
    there, wrong, away = digest_of(b"there"), digest_of(b"right"), digest_of(b"away")
    written = await cas.BatchUpdateBlobs(
        remote_execution.BatchUpdateBlobsRequest(
            requests=[
                remote_execution.BatchUpdateBlobsRequest.Request(digest=there, data=b"there"),
                remote_execution.BatchUpdateBlobsRequest.Request(digest=wrong, data=b"wrong"),
            ]
        )
    )
    assert [item.status.code for item in written.responses] == [0, Code.INVALID_ARGUMENT.value[0]]
    missing = await cas.FindMissingBlobs(remote_execution.FindMissingBlobsRequest(blob_digests=[there, away]))
    assert list(missing.missing_blob_digests) == [away]
    read = await cas.BatchReadBlobs(remote_execution.BatchReadBlobsRequest(digests=[away, there]))
    assert [(item.status.code, item.data) for item in read.responses] == [(Code.NOT_FOUND.value[0], b""), (0, b"there")]


async def test_a_batch_over_nativelinks_limit_is_refused(channel: grpc.aio.Channel) -> None:
    cas = remote_execution_grpc.ContentAddressableStorageStub(channel)
    digests = [remote_execution.Digest(hash="a" * 64, size_bytes=40_000)] * 2
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await cas.BatchReadBlobs(remote_execution.BatchReadBlobsRequest(digests=digests))
    assert caught.value.code() is Code.INVALID_ARGUMENT


async def test_capabilities_name_sha256_execution_and_the_batch_limit(simulation: Simulation) -> None:
    capabilities = await (await simulation.add_client()).capabilities()
    assert capabilities.execution_capabilities.exec_enabled
    assert capabilities.cache_capabilities.max_batch_total_size_bytes == 65536
    assert list(capabilities.cache_capabilities.digest_functions) == [remote_execution.DigestFunction.SHA256]


async def test_a_worker_has_to_register_first(worker_channel: grpc.aio.Channel) -> None:
    call = worker_api_grpc.WorkerApiStub(worker_channel).ConnectWorker()
    await call.write(worker_api.UpdateForScheduler(keep_alive_request=worker_api.KeepAliveRequest()))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() is Code.INVALID_ARGUMENT


async def test_a_worker_that_ends_its_side_is_removed_and_its_stream_ends_well(
    simulation: Simulation, worker_channel: grpc.aio.Channel
) -> None:
    call = worker_api_grpc.WorkerApiStub(worker_channel).ConnectWorker()
    await call.write(worker_api.UpdateForScheduler(connect_worker_request=worker_api.ConnectWorkerRequest()))
    await call.read()
    await call.done_writing()
    kinds = []
    while isinstance(update := await call.read(), worker_api.UpdateForWorker):
        kinds.append(update.WhichOneof("update"))
    assert kinds == ["disconnect"]
    assert await call.code() is Code.OK
    assert simulation.truth()["workers"] == []


async def test_a_cancelled_client_no_longer_follows(simulation: Simulation) -> None:
    client = await simulation.add_client()
    execution = await client.submit(Job(("true",)))
    await execution.reached(Stage.QUEUED)
    (operation,) = simulation.scheduler.operations()
    assert len(operation.followers) == 1
    execution.cancel()
    await eventually(lambda: not operation.followers)

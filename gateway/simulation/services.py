"""The simulated scheduler's gRPC face: Execution, WorkerApi, ContentAddressableStorage, Capabilities, named as NativeLink's.

In: calls. Out: what the scheduler puts into the outbox of each call. Handlers are registered by name and not through the generated
servicers, whose signatures know no coroutine that reads and writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import grpc
from google.protobuf.message import Message

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.cas import MAX_BATCH_TOTAL_SIZE_BYTES, Cas
from gateway.simulation.fleet import BadPropertyError, Worker
from gateway.simulation.operations import Follower
from gateway.simulation.outbox import Outbox
from gateway.simulation.scheduler import NotInCasError, Scheduler, UnknownOperationError

Code = grpc.StatusCode
ExecutionContext = grpc.aio.ServicerContext[Message, longrunning.Operation]
WorkerContext = grpc.aio.ServicerContext[worker_api.UpdateForScheduler, worker_api.UpdateForWorker]
UnaryContext = grpc.aio.ServicerContext[Message, Message]


class Execution:
    """build.bazel.remote.execution.v2.Execution."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def execute(self, request: remote_execution.ExecuteRequest, context: ExecutionContext) -> None:
        """Queue an action, or join one, and follow it."""
        try:
            follower = self._scheduler.execute(request)
        except NotInCasError as error:
            await context.abort(Code.FAILED_PRECONDITION, str(error))
        await self._follow(follower, context)

    async def wait_execution(self, request: remote_execution.WaitExecutionRequest, context: ExecutionContext) -> None:
        """Follow an operation again."""
        try:
            follower = self._scheduler.wait(request.name)
        except UnknownOperationError as error:
            await context.abort(Code.NOT_FOUND, str(error))
        await self._follow(follower, context)

    async def _follow(self, follower: Follower, context: ExecutionContext) -> None:
        try:
            async for update in follower.outbox:
                await context.write(update)
        finally:
            self._scheduler.unfollow(follower)


class WorkerApi:
    """com.github.trace_machina.nativelink.remote_execution.WorkerApi."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    async def connect_worker(self, context: WorkerContext) -> None:
        """One worker, from its registration to its end."""
        first = await _next(context)
        if first is None or not first.HasField("connect_worker_request"):
            await context.abort(Code.INVALID_ARGUMENT, "Expected first message to be of type ConnectWorkerRequest")
        outbox: Outbox[worker_api.UpdateForWorker] = Outbox()
        try:
            worker = self._scheduler.connect_worker(first.connect_worker_request, outbox)
        except BadPropertyError as error:
            await context.abort(Code.INVALID_ARGUMENT, str(error))
        try:
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(self._read(worker, context), name=f"simulation: scheduler reads {worker.id}")
                async for update in outbox:
                    await context.write(update)
                reader.cancel()
        finally:
            self._scheduler.remove_worker(worker, "Worker stream ended", disconnect=True)

    async def _read(self, worker: Worker, context: WorkerContext) -> None:
        scheduler = self._scheduler
        while (update := await _next(context)) is not None and scheduler.hear(worker, update):
            pass
        scheduler.remove_worker(worker, "Worker stream ended", disconnect=True)


async def _next(context: WorkerContext) -> worker_api.UpdateForScheduler | None:
    """The worker's next message, None once it has ended its side."""
    update: Any = await context.read()  # grpc's types do not mention EOF
    return None if update is grpc.aio.EOF else update


class ContentAddressableStorage:
    """build.bazel.remote.execution.v2.ContentAddressableStorage, the batch calls."""

    def __init__(self, cas: Cas) -> None:
        self._cas = cas

    async def find_missing_blobs(
        self, request: remote_execution.FindMissingBlobsRequest, _context: UnaryContext
    ) -> remote_execution.FindMissingBlobsResponse:
        """Which of the blobs are not there."""
        missing = [digest for digest in request.blob_digests if self._cas.get(digest) is None]
        return remote_execution.FindMissingBlobsResponse(missing_blob_digests=missing)

    async def batch_update_blobs(
        self, request: remote_execution.BatchUpdateBlobsRequest, context: UnaryContext
    ) -> remote_execution.BatchUpdateBlobsResponse:
        """Keep blobs; one whose digest is wrong is refused alone."""
        await _limit(sum(len(item.data) for item in request.requests), context)
        response = remote_execution.BatchUpdateBlobsResponse()
        for item in request.requests:
            is_right = self._cas.put(item.data) == item.digest
            answer = response.responses.add(digest=item.digest)
            answer.status.code = Code.OK.value[0] if is_right else Code.INVALID_ARGUMENT.value[0]
        return response

    async def batch_read_blobs(
        self, request: remote_execution.BatchReadBlobsRequest, context: UnaryContext
    ) -> remote_execution.BatchReadBlobsResponse:
        """Blobs by digest; one that is not there has status NOT_FOUND."""
        await _limit(sum(digest.size_bytes for digest in request.digests), context)
        response = remote_execution.BatchReadBlobsResponse()
        for digest in request.digests:
            data = self._cas.get(digest)
            answer = response.responses.add(digest=digest, data=data or b"")
            answer.status.code = Code.NOT_FOUND.value[0] if data is None else Code.OK.value[0]
        return response


async def get_capabilities(
    _request: remote_execution.GetCapabilitiesRequest, _context: UnaryContext
) -> remote_execution.ServerCapabilities:
    """build.bazel.remote.execution.v2.Capabilities.GetCapabilities: SHA-256, execution, batches as NativeLink has them."""
    capabilities = remote_execution.ServerCapabilities()
    capabilities.cache_capabilities.digest_functions.append(remote_execution.DigestFunction.SHA256)
    capabilities.cache_capabilities.max_batch_total_size_bytes = MAX_BATCH_TOTAL_SIZE_BYTES
    capabilities.execution_capabilities.digest_function = remote_execution.DigestFunction.SHA256
    capabilities.execution_capabilities.digest_functions.append(remote_execution.DigestFunction.SHA256)
    capabilities.execution_capabilities.exec_enabled = True
    return capabilities


async def _limit(size: int, context: UnaryContext) -> None:
    if size > MAX_BATCH_TOTAL_SIZE_BYTES:
        await context.abort(Code.INVALID_ARGUMENT, f"{size} bytes are more than {MAX_BATCH_TOTAL_SIZE_BYTES} in a batch")


class _Decoder(Protocol):
    @staticmethod
    def FromString(data: bytes) -> Message: ...  # noqa: N802 - protobuf's name


def handlers(scheduler: Scheduler, cas: Cas) -> Sequence[grpc.GenericRpcHandler]:
    """All services, ready for `server.add_generic_rpc_handlers`."""
    execution, workers = Execution(scheduler), WorkerApi(scheduler)
    reapi = remote_execution.DESCRIPTOR.services_by_name
    return (
        grpc.method_handlers_generic_handler(
            reapi["Execution"].full_name,
            {
                "Execute": _streaming(execution.execute, remote_execution.ExecuteRequest),
                "WaitExecution": _streaming(execution.wait_execution, remote_execution.WaitExecutionRequest),
            },
        ),
        storage_handler(cas),
        grpc.method_handlers_generic_handler(
            reapi["Capabilities"].full_name,
            {"GetCapabilities": _unary(get_capabilities, remote_execution.GetCapabilitiesRequest)},
        ),
        grpc.method_handlers_generic_handler(
            worker_api.DESCRIPTOR.services_by_name["WorkerApi"].full_name,
            {"ConnectWorker": _both_ways(workers.connect_worker)},
        ),
    )


def storage_handler(cas: Cas) -> grpc.GenericRpcHandler:
    """The CAS alone."""
    storage = ContentAddressableStorage(cas)
    return grpc.method_handlers_generic_handler(
        remote_execution.DESCRIPTOR.services_by_name["ContentAddressableStorage"].full_name,
        {
            "FindMissingBlobs": _unary(storage.find_missing_blobs, remote_execution.FindMissingBlobsRequest),
            "BatchUpdateBlobs": _unary(storage.batch_update_blobs, remote_execution.BatchUpdateBlobsRequest),
            "BatchReadBlobs": _unary(storage.batch_read_blobs, remote_execution.BatchReadBlobsRequest),
        },
    )


def _unary(method: Callable[..., Awaitable[Message]], request: type[_Decoder]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(method, request.FromString, _serialize)


def _streaming(method: Callable[..., Awaitable[None]], request: type[_Decoder]) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_stream_rpc_method_handler(method, request.FromString, _serialize)


def _both_ways(method: Callable[..., Awaitable[None]]) -> grpc.RpcMethodHandler[Any, Any]:
    async def call(_requests: object, context: WorkerContext) -> None:
        await method(context)

    return grpc.stream_stream_rpc_method_handler(call, worker_api.UpdateForScheduler.FromString, _serialize)


def _serialize(message: Message) -> bytes:
    return message.SerializeToString()

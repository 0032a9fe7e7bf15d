"""A scripted implementer of introspection.proto over real gRPC: the test says what its state becomes and what goes wrong."""

# gRPC gives the methods of the service their names and arguments.
# ruff: noqa: N802, ARG002

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Self

import grpc

from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import add_IntrospectionServicer_to_server
from tests.serve.drained import ScriptedDrains

#: Messages that a watcher may lag behind before it is refused.
_QUEUE = 10_000


class Implementer(ScriptedDrains):
    """Holds a state, sends it to watchers, and what changes it. Revisions count up by one."""

    def __init__(self, address: str, *, epoch: str = "epoch-1", chunk: int = 1_000) -> None:
        """Args: `unix:PATH` or `host:port`; how many entities a chunk of a snapshot has."""
        super().__init__()
        self.address = address
        self.epoch = epoch
        self.number = 1
        self.operations: dict[int, pb.Operation] = {}
        self.scheduler = pb.Scheduler(health=pb.Health(status=pb.Health.HEALTHY))
        #: Every WatchRequest, in order.
        self.requests: list[pb.WatchRequest] = []
        #: Watch answers with this instead.
        self.refuse_with: grpc.StatusCode | None = None
        #: Watch begins with this instead of a snapshot or what was missed.
        self.begin_with: pb.WatchResponse | None = None
        #: Every request for a list, in order.
        self.questions: list[pb.ListWorkersRequest | pb.ListOperationsRequest] = []
        #: Lists answer with this instead.
        self.refuse_lists_with: grpc.StatusCode | None = None
        self._chunk = chunk
        #: {number: the batch that led to it}
        self._batches: dict[int, pb.ChangeBatch] = {}
        #: In the order in which they came.
        self._watchers: dict[asyncio.Queue[pb.WatchResponse | grpc.StatusCode], None] = {}
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> Self:
        """Start answering."""
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop answering."""
        await self.stop()

    async def start(self) -> None:
        server = grpc.aio.server()
        add_IntrospectionServicer_to_server(self, server)
        port = server.add_insecure_port(self.address)
        if not self.address.startswith("unix:"):
            self.address = f"{self.address.rpartition(':')[0]}:{port}"
        await server.start()
        self._server = server

    async def stop(self) -> None:
        """Every stream ends; the state stays."""
        if self._server is not None:
            await self._server.stop(grace=None)
            self._server = None

    # What the test says.

    def set(
        self,
        workers: Iterable[pb.Worker] = (),
        operations: Iterable[pb.Operation] = (),
        scheduler: pb.Scheduler | None = None,
        *,
        gone_workers: Iterable[int] = (),
        gone_operations: Iterable[int] = (),
    ) -> None:
        """Change the state by one revision and tell the watchers."""
        self.number += 1
        batch = pb.ChangeBatch(revision=self.revision, scheduler=scheduler)
        for arrival in gone_workers:
            del self.workers[arrival]
            batch.removed_workers.append(arrival)
        for arrival in gone_operations:
            del self.operations[arrival]
            batch.removed_operations.append(arrival)
        for worker in workers:
            self.workers[worker.arrival] = worker
            batch.workers.append(worker)
        for operation in operations:
            self.operations[operation.arrival] = operation
            batch.operations.append(operation)
        if scheduler is not None:
            self.scheduler = scheduler
        self._batches[self.number] = batch
        self.send(pb.WatchResponse(changes=batch))

    def tell_drains(self, *drains: pb.Drain) -> None:
        """Change drains, which is no revision, and tell the watchers; the latest comes last."""
        for drain in drains:
            self.drains[drain.id] = drain
        self.send(pb.WatchResponse(changes=pb.ChangeBatch(revision=self.revision, drains=self.published())))

    def begin_epoch(self, epoch: str) -> None:
        """Forget what led here: who comes with an older revision gets a snapshot."""
        self.epoch = epoch
        self.number = 1
        self._batches.clear()

    def tick(self) -> None:
        """Send the empty batch that says: still here."""
        self.send(pb.WatchResponse(changes=pb.ChangeBatch(revision=self.revision)))

    def send(self, message: pb.WatchResponse | grpc.StatusCode) -> None:
        """Send any message to every watcher, or end their streams with a status."""
        for watcher in self._watchers:
            watcher.put_nowait(message)

    def send_last(self, message: pb.WatchResponse) -> None:
        """Send any message to the watcher that came last, and to no other."""
        list(self._watchers)[-1].put_nowait(message)

    @property
    def revision(self) -> pb.Revision:
        """Where the state is."""
        return pb.Revision(epoch=self.epoch, number=self.number)

    # The service.

    async def Watch(
        self, request: pb.WatchRequest, context: grpc.aio.ServicerContext[pb.WatchRequest, pb.WatchResponse]
    ) -> AsyncIterator[pb.WatchResponse]:
        self.requests.append(request)
        if self.refuse_with is not None:
            await context.abort(self.refuse_with, "refused by the test")
        queue: asyncio.Queue[pb.WatchResponse | grpc.StatusCode] = asyncio.Queue(_QUEUE)
        first = [self.begin_with] if self.begin_with is not None else list(self._first(request))
        self._watchers[queue] = None
        try:
            for message in first:
                yield message
            while not isinstance(following := await queue.get(), grpc.StatusCode):
                yield following
            if following is not grpc.StatusCode.OK:
                await context.abort(following, "ended by the test")
        finally:
            self._watchers.pop(queue, None)

    async def GetScheduler(self, request: pb.GetSchedulerRequest, context: grpc.ServicerContext) -> pb.Scheduler:
        return self.scheduler

    async def ListWorkers(self, request: pb.ListWorkersRequest, context: grpc.ServicerContext) -> pb.ListWorkersResponse:
        found = [each for each in self.workers.values() if not request.arrivals or each.arrival in request.arrivals]
        await self._asked(request, context)
        return pb.ListWorkersResponse(workers=found, total=len(found), revision=self.revision)

    async def GetWorker(self, request: pb.GetWorkerRequest, context: grpc.ServicerContext) -> pb.Worker:
        return next(worker for worker in self.workers.values() if worker.id == request.id)

    async def ListOperations(self, request: pb.ListOperationsRequest, context: grpc.ServicerContext) -> pb.ListOperationsResponse:
        found = [each for each in self.operations.values() if not request.arrivals or each.arrival in request.arrivals]
        await self._asked(request, context)
        return pb.ListOperationsResponse(operations=found, total=len(found), revision=self.revision)

    async def GetOperation(self, request: pb.GetOperationRequest, context: grpc.ServicerContext) -> pb.Operation:
        return next(operation for operation in self.operations.values() if operation.operation_id == request.id)

    async def _asked(self, request: pb.ListWorkersRequest | pb.ListOperationsRequest, context: grpc.ServicerContext) -> None:
        self.questions.append(request)
        if self.refuse_lists_with is not None:
            await context.abort(self.refuse_lists_with, "refused by the test")

    def _first(self, request: pb.WatchRequest) -> Iterable[pb.WatchResponse]:
        return self._since(request.revision) if self._continues(request) else self._snapshot()

    def _continues(self, request: pb.WatchRequest) -> bool:
        number = request.revision.number
        return (
            request.HasField("revision")
            and request.revision.epoch == self.epoch
            and all(missed in self._batches for missed in range(number + 1, self.number + 1))
        )

    def _since(self, revision: pb.Revision) -> Iterable[pb.WatchResponse]:
        if revision.number == self.number:
            yield pb.WatchResponse(changes=pb.ChangeBatch(revision=self.revision))
        for number in range(revision.number + 1, self.number + 1):
            yield pb.WatchResponse(changes=self._batches[number])

    def _snapshot(self) -> Iterable[pb.WatchResponse]:
        workers, operations = list(self.workers.values()), list(self.operations.values())
        starts = range(0, max(len(workers), len(operations), 1), self._chunk)
        for start in starts:
            last = start == starts[-1]
            yield pb.WatchResponse(
                snapshot=pb.SnapshotChunk(
                    revision=self.revision,
                    first=start == 0,
                    last=last,
                    workers=workers[start : start + self._chunk],
                    operations=operations[start : start + self._chunk],
                    scheduler=self.scheduler if last else None,
                    drains=self.published() if last and self.drains else None,
                )
            )

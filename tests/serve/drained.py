"""The calls of introspection.proto about drains, scripted: the test says what there is, and what goes wrong."""

# gRPC gives the methods of the service their names and arguments.
# ruff: noqa: N802, ARG002

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc

from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionServicer


class ScriptedDrains(IntrospectionServicer):
    """Answers with drains that it is given."""

    def __init__(self) -> None:
        self.drains: dict[str, pb.Drain] = {}
        self.workers: dict[int, pb.Worker] = {}
        self.admin_calls: list[pb.WordCount] = []
        #: The next Drain is answered by it.
        self.slow_drain: Callable[[pb.DrainRequest, grpc.ServicerContext], Awaitable[pb.Drain]] | None = None
        #: Every request that changes something, in order.
        self.changes: list[pb.DrainRequest | pb.UndrainRequest | pb.CancelDrainRequest] = []
        #: Requests for one drain, and refused ones of any kind.
        self.looks = self.refused = 0
        #: All of them answer with this instead: code and text.
        self.refuse_drains_with: tuple[grpc.StatusCode, str] | None = None

    async def Drain(self, request: pb.DrainRequest, context: grpc.ServicerContext) -> pb.Drain:
        """The last one that there is."""
        if self.slow_drain is not None:
            slow, self.slow_drain = self.slow_drain, None
            return await slow(request, context)
        await self._changes(request, context, request.worker_id)
        return list(self.drains.values())[-1]

    async def Undrain(self, request: pb.UndrainRequest, context: grpc.ServicerContext) -> pb.UndrainResponse:
        """It is undrained."""
        await self._changes(request, context, request.worker_id)
        worker = pb.DrainedWorker(id=request.worker_id, state=pb.DrainedWorker.UNDRAINED)
        return pb.UndrainResponse(worker=worker, drain_id=next(iter(self.drains), ""))

    async def CancelDrain(self, request: pb.CancelDrainRequest, context: grpc.ServicerContext) -> pb.Drain:
        """It is cancelled."""
        await self._changes(request, context)
        drain = await self._drain(request.id, context)
        drain.state = pb.Drain.CANCELLED
        return drain

    async def ListDrains(self, request: pb.ListDrainsRequest, context: grpc.ServicerContext) -> pb.ListDrainsResponse:
        """Without workers."""
        await self._refuse(context)
        return pb.ListDrainsResponse(drains=self.published().drains)

    async def GetDrain(self, request: pb.GetDrainRequest, context: grpc.ServicerContext) -> pb.Drain:
        """NOT_FOUND: there is none."""
        self.looks += 1
        await self._refuse(context)
        return await self._drain(request.id, context)

    async def _refuse(self, context: grpc.ServicerContext) -> None:
        if self.refuse_drains_with is not None:
            self.refused += 1
            code, text = self.refuse_drains_with
            await context.abort(code, text)

    def published(self) -> pb.Drains:
        """All of them, as Watch has them."""
        found = pb.Drains(drains=reversed(self.drains.values()), admin_calls=self.admin_calls)
        for drain in found.drains:
            drain.ClearField("drained_workers")
        return found

    async def _changes(
        self,
        request: pb.DrainRequest | pb.UndrainRequest | pb.CancelDrainRequest,
        context: grpc.ServicerContext,
        worker_id: str = "",
    ) -> None:
        self.changes.append(request)
        await self._refuse(context)
        if worker_id and all(worker.id != worker_id for worker in self.workers.values()):
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Worker {worker_id} not found")

    async def _drain(self, id_: str, context: grpc.ServicerContext) -> pb.Drain:
        if id_ not in self.drains:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Drain {id_} not found")
        return self.drains[id_]

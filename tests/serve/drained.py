"""The calls of introspection.proto about drains, scripted: the test says what there is, and what goes wrong."""

# gRPC gives the methods of the service their names and arguments.
# ruff: noqa: N802, ARG002

from __future__ import annotations

import grpc

from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionServicer


class ScriptedDrains(IntrospectionServicer):
    """Answers with drains that it is given."""

    def __init__(self) -> None:
        self.drains: dict[str, pb.Drain] = {}
        #: Every request that changes something, in order.
        self.changes: list[pb.DrainRequest | pb.UndrainRequest | pb.CancelDrainRequest] = []
        #: All of them answer with this instead: code and text.
        self.refuse_drains_with: tuple[grpc.StatusCode, str] | None = None

    async def Drain(self, request: pb.DrainRequest, context: grpc.ServicerContext) -> pb.Drain:
        """The last one that there is."""
        self.changes.append(request)
        await self._refuse(context)
        return list(self.drains.values())[-1]

    async def Undrain(self, request: pb.UndrainRequest, context: grpc.ServicerContext) -> pb.UndrainResponse:
        """It is undrained."""
        self.changes.append(request)
        await self._refuse(context)
        worker = pb.DrainedWorker(id=request.worker_id, state=pb.DrainedWorker.UNDRAINED)
        return pb.UndrainResponse(worker=worker, drain_id=next(iter(self.drains), ""))

    async def CancelDrain(self, request: pb.CancelDrainRequest, context: grpc.ServicerContext) -> pb.Drain:
        """It is cancelled."""
        self.changes.append(request)
        await self._refuse(context)
        drain = self.drains[request.id]
        drain.state = pb.Drain.CANCELLED
        return drain

    async def ListDrains(self, request: pb.ListDrainsRequest, context: grpc.ServicerContext) -> pb.ListDrainsResponse:
        """Without workers."""
        await self._refuse(context)
        found = []
        for drain in reversed(self.drains.values()):
            found.append(pb.Drain())
            found[-1].CopyFrom(drain)
            found[-1].ClearField("drained_workers")
        return pb.ListDrainsResponse(drains=found)

    async def GetDrain(self, request: pb.GetDrainRequest, context: grpc.ServicerContext) -> pb.Drain:
        """NOT_FOUND: there is none."""
        await self._refuse(context)
        if request.id not in self.drains:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"Drain {request.id} not found")
        return self.drains[request.id]

    async def _refuse(self, context: grpc.ServicerContext) -> None:
        if self.refuse_drains_with is not None:
            code, text = self.refuse_drains_with
            await context.abort(code, text)

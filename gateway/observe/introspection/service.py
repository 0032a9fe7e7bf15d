"""The introspection service on grpc.aio: bytes of requests in, bytes of answers out, and nothing decided here.

Answers are encoded already when they come here (a batch is the same bytes for all subscribers), so the handlers are made by hand,
without the generated servicer's serializers. Reflection and the standard health service stand beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # ships no types
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]  # as above

from gateway.observe.introspection.answers import Answers
from gateway.observe.introspection.drains import DrainAnswers
from gateway.observe.introspection.errors import answered
from gateway.observe.introspection.feed import Feed
from gateway.pb import introspection_pb2 as pb

SERVICE = pb.DESCRIPTOR.services_by_name["Introspection"].full_name

_Context = grpc.aio.ServicerContext[Any, bytes]


class IntrospectionService:
    """Delegates: one line a call."""

    def __init__(self, answers: Answers, feed: Feed, drains: DrainAnswers | None = None) -> None:
        """`drains`: None where there is no NativeLink to drain workers of."""
        self._feed = feed
        self._health = health.aio.HealthServicer()
        self._handlers = {
            "GetScheduler": _unary(pb.GetSchedulerRequest, answers.get_scheduler),
            "ListWorkers": _unary(pb.ListWorkersRequest, answers.list_workers),
            "GetWorker": _unary(pb.GetWorkerRequest, answers.get_worker),
            "ListOperations": _unary(pb.ListOperationsRequest, answers.list_operations),
            "GetOperation": _unary(pb.GetOperationRequest, answers.get_operation),
            "Watch": grpc.unary_stream_rpc_method_handler(answered(self._watch), request_deserializer=pb.WatchRequest.FromString),
        }
        if drains is not None:
            self._handlers |= {
                "Drain": _unary(pb.DrainRequest, drains.drain),
                "Undrain": _unary(pb.UndrainRequest, drains.undrain),
                "CancelDrain": _unary(pb.CancelDrainRequest, drains.cancel_drain),
                "ListDrains": _unary(pb.ListDrainsRequest, drains.list_drains),
                "GetDrain": _unary(pb.GetDrainRequest, drains.get_drain),
            }

    async def register(self, server: grpc.aio.Server) -> None:
        """Put the service on a server, with reflection and health."""
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, self._handlers),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        reflection.enable_server_reflection((SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
        for name in ("", SERVICE):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Tell watchers of health and let subscribers go, so that the server can stop without waiting for them."""
        await self._health.enter_graceful_shutdown()
        self._feed.close()

    async def _watch(self, request: pb.WatchRequest, context: _Context) -> None:
        async with aclosing(self._feed.watch(request.revision if request.HasField("revision") else None)) as messages:
            async for message in messages:
                await context.write(message)


def _unary(request: Any, answer: Callable[[Any], Awaitable[bytes]]) -> grpc.RpcMethodHandler[Any, bytes]:
    async def handle(message: Any, _context: _Context) -> bytes:
        return await answer(message)

    return grpc.unary_unary_rpc_method_handler(answered(handle), request_deserializer=request.FromString)

"""Asking `observe` about drains: a call goes in, its answer comes out, or the problem that its gRPC status means."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc

from gateway.serve.problems import RETRY_AFTER_S, ProblemError, not_ready
from gateway.serve.upstream import Upstream

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # exists in the stubs only

#: `observe` answers within some twenty seconds, whatever NativeLink does.
TIMEOUT_S = 30.0
#: Of what it says.
_TEXT_MAX = 1_000
#: introspection.proto has what they mean there.
_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.FAILED_PRECONDITION: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 409,
    grpc.StatusCode.ALREADY_EXISTS: 422,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
_OTHERWISE = 502
#: What gRPC says by itself of a method that a server does not have.
_NO_METHOD = "Method not found!"

_Answer = TypeVar("_Answer")


async def ask(upstream: Upstream, call: Callable[[IntrospectionAsyncStub], Awaitable[_Answer]]) -> _Answer:
    """The answer.

    Raises:
        ProblemError: as `_STATUSES` has it.
    """
    stub = upstream.stub
    if stub is None or upstream.is_away:
        raise not_ready(f"{upstream.name}, which drains workers, is away")
    try:
        return await call(stub)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Not the request: its channel was given up, and calls under way with it.
        raise not_ready(f"{upstream.name}, which drains workers, is away; it may have been done") from error
    except grpc.aio.AioRpcError as error:
        raise _problem(upstream, error) from error


def _problem(upstream: Upstream, error: grpc.aio.AioRpcError) -> ProblemError:
    status, text = _STATUSES.get(error.code(), _OTHERWISE), (error.details() or error.code().name)[:_TEXT_MAX]
    if status == 501 and text == _NO_METHOD:
        text = f"{upstream.name} drains no workers"
    if status == 504:
        text = f"{upstream.name} did not answer within {TIMEOUT_S:.0f} s; it may be done all the same: see GET /api/v1/drains"
    return ProblemError(status, text, {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None)

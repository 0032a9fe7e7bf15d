"""Details: rows come in, everything that upstream knows of their entities goes out; asked for by `view=full`.

It is fetched for each question, some entities a call, and kept for a moment: stories and followers change without the replica
hearing of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import grpc

from gateway.pb import introspection_pb2 as pb
from gateway.serve.problems import ProblemError, not_ready
from gateway.serve.rows import Row
from gateway.serve.shape_full import operation_full_json, worker_full_json
from gateway.serve.upstream import Upstream

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # exists in the stubs only

#: Entities of one call: their stories make some 200 kB.
_A_CALL = 100
#: Upstream answers such a call within milliseconds.
_TIMEOUT_S = 10.0

_Answer = TypeVar("_Answer")


class Details:
    """Asks upstream."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream

    async def workers(self, rows: Sequence[Row]) -> list[bytes]:
        """The JSON of each that upstream still has, in the order of the rows.

        Raises:
            ProblemError: 503 or 504, upstream is away or does not answer.
        """
        found: dict[int, bytes] = {}
        for arrivals in _calls(rows):
            request = pb.ListWorkersRequest(view=pb.FULL, arrivals=arrivals, page_size=len(arrivals))
            answer = await self._ask(partial(_list_workers, request))
            found.update((each.arrival, worker_full_json(each)) for each in answer.workers)
        return [found[row.arrival] for row in rows if row.arrival in found]

    async def operations(self, rows: Sequence[Row]) -> list[bytes]:
        """As `workers`."""
        found: dict[int, bytes] = {}
        for arrivals in _calls(rows):
            request = pb.ListOperationsRequest(view=pb.FULL, arrivals=arrivals, page_size=len(arrivals))
            answer = await self._ask(partial(_list_operations, request))
            found.update((each.arrival, operation_full_json(each)) for each in answer.operations)
        return [found[row.arrival] for row in rows if row.arrival in found]

    async def _ask(self, call: Callable[[IntrospectionAsyncStub], Awaitable[_Answer]]) -> _Answer:
        """The one place where a gRPC status becomes an HTTP one."""
        upstream = self._upstream
        stub = upstream.stub
        if stub is None or upstream.is_away:
            raise self._away()
        try:
            return await call(stub)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            # Not the request: its channel was given up, and calls under way with it.
            raise self._away() from error
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                raise ProblemError(504, f"{upstream.name} did not answer within {_TIMEOUT_S:.0f} s") from error
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise self._away() from error
            raise not_ready(f"view=full: {upstream.name} refused ({error.code().name})") from error

    def _away(self) -> ProblemError:
        return not_ready(f"view=full is asked of {self._upstream.name}, which is away; without it the last state is shown")


def _calls(rows: Sequence[Row]) -> list[list[int]]:
    return [[row.arrival for row in rows[start : start + _A_CALL]] for start in range(0, len(rows), _A_CALL)]


async def _list_workers(request: pb.ListWorkersRequest, stub: IntrospectionAsyncStub) -> pb.ListWorkersResponse:
    return await stub.ListWorkers(request, timeout=_TIMEOUT_S)


async def _list_operations(request: pb.ListOperationsRequest, stub: IntrospectionAsyncStub) -> pb.ListOperationsResponse:
    return await stub.ListOperations(request, timeout=_TIMEOUT_S)

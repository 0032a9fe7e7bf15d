"""The routes of drains: a request of somebody who may comes in, the reply goes out. What changes something is written down.

A change goes on although who asked for it goes away, so that its line says how it went.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar

from aiohttp import web

from gateway.pb import introspection_pb2 as pb
from gateway.serve.authentication.caller import CALLER
from gateway.serve.drains.asking import TIMEOUT_S, ask
from gateway.serve.drains.audit import Audit, Entry
from gateway.serve.drains.body import CancelJson, DrainRequestJson, NothingJson, idempotency_key, read_body, selector
from gateway.serve.drains.shape import drain_full_json, drain_json, undrained_json
from gateway.serve.parameters import no_parameters
from gateway.serve.problems import ProblemError
from gateway.serve.reply import Reply
from gateway.serve.target import Target
from gateway.serve.upstream import Upstream

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # exists in the stubs only

#: Characters of a name that `observe` keeps.
_NAME_MAX = 200

_Answer = TypeVar("_Answer")


class _Asker(TypedDict):
    requested_by: str
    idempotency_key: str


class Drains:
    """Handlers; `id_` is what stands for `{id}` in the path."""

    def __init__(self, upstream: Upstream, audit: Audit) -> None:
        self._upstream = upstream
        self._audit = audit
        self._under_way: set[asyncio.Task[Reply]] = set()

    async def drain_worker(self, request: web.BaseRequest, target: Target, id_: str) -> Reply:
        """POST /api/v1/workers/{id}/drain."""
        no_parameters(target)
        await read_body(request, NothingJson)
        return await self._drain(request, target, pb.DrainRequest(worker_id=id_, **_asker(request)), {"worker_id": id_})

    async def drain_workers(self, request: web.BaseRequest, target: Target, _id: str) -> Reply:
        """POST /api/v1/drain."""
        no_parameters(target)
        said = await read_body(request, DrainRequestJson)
        given = selector(said)
        question = pb.DrainRequest(until_gone=said.until_gone, **_asker(request))
        if "id_prefix" in given:
            question.id_prefix = given["id_prefix"]
        else:
            ((question.property.name, question.property.value),) = given["property"].items()
        return await self._drain(request, target, question, {**given, "until_gone": said.until_gone})

    async def undrain_worker(self, request: web.BaseRequest, target: Target, id_: str) -> Reply:
        """POST /api/v1/workers/{id}/undrain."""
        no_parameters(target)
        await read_body(request, NothingJson)
        question = pb.UndrainRequest(worker_id=id_, **_asker(request))

        async def call(stub: IntrospectionAsyncStub) -> pb.UndrainResponse:
            return await stub.Undrain(question, timeout=TIMEOUT_S)

        return await self._change(
            request, target, {"worker_id": id_}, call, lambda answer: (undrained_json(answer), answer.drain_id)
        )

    async def cancel(self, request: web.BaseRequest, target: Target, id_: str) -> Reply:
        """POST /api/v1/drains/{id}/cancel."""
        no_parameters(target)
        undrain = (await read_body(request, CancelJson)).undrain
        question = pb.CancelDrainRequest(id=id_, undrain=undrain, **_asker(request))

        async def call(stub: IntrospectionAsyncStub) -> pb.Drain:
            return await stub.CancelDrain(question, timeout=TIMEOUT_S)

        return await self._change(
            request, target, {"drain": id_, "undrain": undrain}, call, lambda drain: (drain_full_json(drain), drain.id)
        )

    async def list(self, target: Target) -> Reply:
        """GET /api/v1/drains."""
        no_parameters(target)

        async def call(stub: IntrospectionAsyncStub) -> pb.ListDrainsResponse:
            return await stub.ListDrains(pb.ListDrainsRequest(), timeout=TIMEOUT_S)

        answer = await ask(self._upstream, call)
        return Reply(b"[%s]" % b",".join(map(drain_json, answer.drains)))

    async def get(self, target: Target, id_: str) -> Reply:
        """GET /api/v1/drains/{id}."""
        no_parameters(target)

        async def call(stub: IntrospectionAsyncStub) -> pb.Drain:
            return await stub.GetDrain(pb.GetDrainRequest(id=id_), timeout=TIMEOUT_S)

        return Reply(drain_full_json(await ask(self._upstream, call)))

    async def _drain(self, request: web.BaseRequest, target: Target, question: pb.DrainRequest, given: Mapping[str, Any]) -> Reply:
        async def call(stub: IntrospectionAsyncStub) -> pb.Drain:
            return await stub.Drain(question, timeout=TIMEOUT_S)

        return await self._change(request, target, given, call, lambda drain: (drain_full_json(drain), drain.id))

    async def _change(
        self,
        request: web.BaseRequest,
        target: Target,
        given: Mapping[str, Any],
        call: Callable[[IntrospectionAsyncStub], Awaitable[_Answer]],
        shaped: Callable[[_Answer], tuple[bytes, str]],
    ) -> Reply:
        """Write it down, ask for it, write down how that went; `shaped`: the body, and the drain's id or ""."""
        entry = await self._audit.begin(request[CALLER], request.method, target.path, given)

        async def done() -> Reply:
            try:
                answer = await ask(self._upstream, call)
            except ProblemError as problem:
                await entry.end(problem.status, error=str(problem))
                return problem.reply()
            except BaseException:
                # The process stops, or has a defect: whether it was done, nobody knows.
                await _end_unknown(entry)
                raise
            body, drain_id = shaped(answer)
            await entry.end(200, drain_id or None)
            return Reply(body)

        task = asyncio.create_task(done(), name=f"{request.method} {target.path}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)


async def _end_unknown(entry: Entry) -> None:
    await entry.end(None, error="whether it was done is not known")


def _asker(request: web.BaseRequest) -> _Asker:
    caller = request[CALLER]
    return {"requested_by": f"{caller.kind.value} {caller.name}"[:_NAME_MAX], "idempotency_key": idempotency_key(request)}

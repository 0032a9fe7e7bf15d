"""Routes: a request comes in, the reply of the documented route goes out. Each handler parses, looks up, shapes and responds.

The seven routes of monitoring-api.md, and /livez and /readyz for whoever keeps the process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import urlencode

from aiohttp import web

from gateway.serve.bodies import ListBody
from gateway.serve.overview import Overview, nothing_known
from gateway.serve.parameters import PAGE_TOKEN, no_parameters, operations_query, workers_query
from gateway.serve.problems import ProblemError, not_found, not_ready, quoted
from gateway.serve.replica import Replica
from gateway.serve.reply import Reply
from gateway.serve.shape import ProbeJson, to_json
from gateway.serve.target import Target, parse_target
from gateway.serve.upstream import Upstream

_METHODS = ("GET", "HEAD")

_ALIVE = to_json(ProbeJson("alive"))
_READY = to_json(ProbeJson("ready"))


class Routes:
    """All addresses of the HTTP side."""

    def __init__(self, upstream: Upstream, overview: Overview) -> None:
        self._upstream = upstream
        self._overview = overview
        #: {path: handler}
        self._at: dict[str, Callable[[Target], Awaitable[Reply]]] = {
            "/api/v1/workers": self._workers,
            "/api/v1/operations": self._operations,
            "/api/v1/scheduler/status": self._status,
            "/api/v1/scheduler/metrics": self._metrics,
            "/api/v1/system/health": self._health,
            "/livez": self._livez,
            "/readyz": self._readyz,
        }
        #: {beginning of a path: handler of what comes behind it, which is not empty and may contain slashes}
        self._below: dict[str, Callable[[Target, str], Awaitable[Reply]]] = {
            "/api/v1/workers/": self._worker,
            "/api/v1/operations/": self._operation,
        }

    async def answer(self, request: web.BaseRequest) -> Reply:
        """The reply to a request.

        Raises:
            ProblemError: 400, 404, 405 or 503.
        """
        target = parse_target(request.raw_path)
        at = self._at.get(target.path)
        if at is not None:
            _check_method(request.method)
            return await at(target)
        for beginning, below in self._below.items():
            rest = target.path.removeprefix(beginning)
            if rest and rest != target.path:
                _check_method(request.method)
                return await below(target, rest)
        raise not_found(f"Path {quoted(target.path)}")

    async def _workers(self, target: Target) -> Reply:
        body = self._replica().list_workers(workers_query(target))
        return self._list(target, body)

    async def _worker(self, target: Target, id_: str) -> Reply:
        no_parameters(target)
        body = self._replica().worker(id_)
        if body is None:
            raise not_found(f"Worker {quoted(id_)}")
        return self._fresh_or_aged(body)

    async def _operations(self, target: Target) -> Reply:
        body = self._replica().list_operations(operations_query(target))
        return self._list(target, body)

    async def _operation(self, target: Target, id_: str) -> Reply:
        no_parameters(target)
        body = self._replica().operation(id_)
        if body is None:
            raise not_found(f"Operation {quoted(id_)}")
        return self._fresh_or_aged(body)

    async def _status(self, target: Target) -> Reply:
        no_parameters(target)
        body = self._overview.status(self._replica().scheduler)
        return self._fresh_or_aged(body)

    async def _metrics(self, target: Target) -> Reply:
        no_parameters(target)
        body = self._overview.metrics(self._replica().scheduler)
        return self._fresh_or_aged(body)

    async def _health(self, target: Target) -> Reply:
        no_parameters(target)
        usable, body = self._overview.health()
        return Reply(body, status=200 if usable else 503)

    async def _livez(self, target: Target) -> Reply:
        no_parameters(target)
        return Reply(_ALIVE)

    async def _readyz(self, target: Target) -> Reply:
        no_parameters(target)
        self._replica()
        return Reply(_READY)

    def _replica(self) -> Replica:
        replica = self._upstream.replica
        if replica is None:
            raise not_ready(nothing_known(self._upstream))
        return replica

    def _list(self, target: Target, body: ListBody) -> Reply:
        reply = self._fresh_or_aged(body.json)
        reply.headers["X-Total-Count"] = str(body.total)
        if body.next_token:
            kept = [(name, value) for name, value in target.parameters if name != PAGE_TOKEN]
            # A reference without host: it holds behind any proxy (RFC 8288 section 3.1 allows it).
            reply.headers["Link"] = f'<{target.path}?{urlencode([*kept, (PAGE_TOKEN, body.next_token)])}>; rel="next"'
        return reply

    def _fresh_or_aged(self, body: bytes) -> Reply:
        """While upstream is away, `Age` says how old the last state is."""
        upstream = self._upstream
        return Reply(body, headers={"Age": str(int(upstream.silence_s()))} if upstream.is_away else None)


def _check_method(method: str) -> None:
    if method not in _METHODS:
        allowed = ", ".join(_METHODS)
        raise ProblemError(405, f"Method {quoted(method)} is not allowed here: {allowed} are", {"Allow": allowed})

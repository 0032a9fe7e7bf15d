"""Routes: a request comes in, the reply of the documented route goes out. Each handler parses, looks up, shapes and responds.

The seven routes of monitoring-api.md, /metrics for Prometheus, and /livez and /readyz for whoever keeps the process.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.hdrs import ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH

from gateway.serve.bodies import ListBody
from gateway.serve.encodings import IDENTITY, LEAST_BYTES, Twins, choose
from gateway.serve.metrics.exposition import Exposition
from gateway.serve.metrics.latencies import Latencies
from gateway.serve.overview import Overview, nothing_known
from gateway.serve.parameters import PAGE_TOKEN, no_parameters, operations_query, workers_query
from gateway.serve.problems import ProblemError, not_found, not_ready, quoted
from gateway.serve.replica import Replica
from gateway.serve.reply import NOT_MODIFIED, Reply
from gateway.serve.shape import ProbeJson, to_json
from gateway.serve.target import Target, parse_target
from gateway.serve.upstream import Upstream
from gateway.serve.validators import body_tag, has_already, list_tag

_METHODS = ("GET", "HEAD")

_ALIVE = to_json(ProbeJson("alive"))
_READY = to_json(ProbeJson("ready"))


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, as far as handlers look at it."""

    target: Target
    #: Accept; "": none.
    media: str
    #: Accept-Encoding; "": none.
    accepts: str
    #: If-None-Match; None: none.
    if_none_match: str | None


class Routes:
    """All addresses of the HTTP side."""

    def __init__(self, upstream: Upstream, overview: Overview, now: Callable[[], float] = time.time) -> None:
        """Args: who is followed; what renders the documents; the wall clock, in Unix seconds."""
        self._upstream = upstream
        self._overview = overview
        self._twins = Twins()
        #: {path: handler}
        self._at: dict[str, Callable[[Asked], Awaitable[Reply]]] = {
            "/api/v1/workers": self._workers,
            "/api/v1/operations": self._operations,
            "/api/v1/scheduler/status": self._status,
            "/api/v1/scheduler/metrics": self._metrics,
            "/api/v1/system/health": self._health,
            "/metrics": self._exposed,
            "/livez": self._livez,
            "/readyz": self._readyz,
        }
        #: {beginning of a path: handler of what comes behind it, which is not empty and may contain slashes}
        self._below: dict[str, Callable[[Asked, str], Awaitable[Reply]]] = {
            "/api/v1/workers/": self._worker,
            "/api/v1/operations/": self._operation,
        }
        #: How long answers took.
        self.latencies = Latencies((*self._at, *map(_template, self._below)))
        self._exposition = Exposition(upstream, overview, self.latencies, now=now)

    async def answer(self, request: web.BaseRequest) -> Reply:
        """The reply to a request; `request["route"]` is then the route's template, if it has one.

        Raises:
            ProblemError: 400, 404, 405 or 503.
        """
        target = parse_target(request.raw_path)
        headers = request.headers
        asked = Asked(target, headers.get(ACCEPT, ""), headers.get(ACCEPT_ENCODING, ""), headers.get(IF_NONE_MATCH))
        at = self._at.get(target.path)
        if at is not None:
            request["route"] = target.path
            _check_method(request.method)
            return await at(asked)
        for beginning, below in self._below.items():
            rest = target.path.removeprefix(beginning)
            if rest and rest != target.path:
                request["route"] = _template(beginning)
                _check_method(request.method)
                return await below(asked, rest)
        raise not_found(f"Path {quoted(target.path)}")

    async def _workers(self, asked: Asked) -> Reply:
        query, replica = workers_query(asked.target), self._replica()
        return await self._list(asked, replica, replica.workers_revision, lambda: replica.list_workers(query))

    async def _worker(self, asked: Asked, id_: str) -> Reply:
        no_parameters(asked.target)
        body = self._replica().worker(id_)
        if body is None:
            raise not_found(f"Worker {quoted(id_)}")
        return self._tagged(asked, body)

    async def _operations(self, asked: Asked) -> Reply:
        query, replica = operations_query(asked.target), self._replica()
        return await self._list(asked, replica, replica.revision_of(query.filter), lambda: replica.list_operations(query))

    async def _operation(self, asked: Asked, id_: str) -> Reply:
        no_parameters(asked.target)
        body = self._replica().operation(id_)
        if body is None:
            raise not_found(f"Operation {quoted(id_)}")
        return self._tagged(asked, body)

    async def _status(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        body = self._overview.status(self._replica().scheduler)
        return self._fresh_or_aged(body)

    async def _metrics(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        body = self._overview.metrics(self._replica().scheduler)
        return self._fresh_or_aged(body)

    async def _health(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        usable, body = self._overview.health()
        return Reply(body, status=200 if usable else 503)

    async def _exposed(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return await self._exposition.reply(asked.media, asked.accepts)

    async def _livez(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return Reply(_ALIVE)

    async def _readyz(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        self._replica()
        return Reply(_READY)

    def _replica(self) -> Replica:
        replica = self._upstream.replica
        if replica is None:
            raise not_ready(nothing_known(self._upstream))
        return replica

    async def _list(self, asked: Asked, replica: Replica, revision: int, make: Callable[[], ListBody]) -> Reply:
        """A list as of a revision; the body is not even looked for where the client has it."""
        target, coding = asked.target, choose(asked.accepts)
        tag = list_tag(replica.epoch, revision, target, coding)
        if has_already(asked.if_none_match, tag):
            reply = self._fresh_or_aged(b"", NOT_MODIFIED)
            reply.headers["ETag"] = tag
            reply.headers["Vary"] = "Accept-Encoding"
            return reply
        body = make()
        data = body.json
        if coding != IDENTITY and len(data) >= LEAST_BYTES:
            data = await self._twins.get(body, coding, replica.bodies)
        reply = self._fresh_or_aged(data)
        if data is not body.json:
            reply.headers["Content-Encoding"] = coding
        reply.headers["ETag"] = tag
        reply.headers["Vary"] = "Accept-Encoding"
        reply.headers["X-Total-Count"] = str(body.total)
        if body.next_token:
            kept = [(name, value) for name, value in target.parameters if name != PAGE_TOKEN]
            # A reference without host: it holds behind any proxy (RFC 8288 section 3.1 allows it).
            reply.headers["Link"] = f'<{target.path}?{urlencode([*kept, (PAGE_TOKEN, body.next_token)])}>; rel="next"'
        return reply

    def _tagged(self, asked: Asked, body: bytes) -> Reply:
        """One entity; it is too small to be compressed."""
        tag = body_tag(body)
        reply = self._fresh_or_aged(b"", NOT_MODIFIED) if has_already(asked.if_none_match, tag) else self._fresh_or_aged(body)
        reply.headers["ETag"] = tag
        return reply

    def _fresh_or_aged(self, body: bytes, status: int = 200) -> Reply:
        """While upstream is away, `Age` says how old the last state is."""
        upstream = self._upstream
        return Reply(body, status=status, headers={"Age": str(int(upstream.silence_s()))} if upstream.is_away else None)


def _template(beginning: str) -> str:
    return f"{beginning}{{id}}"


def _check_method(method: str) -> None:
    if method not in _METHODS:
        allowed = ", ".join(_METHODS)
        raise ProblemError(405, f"Method {quoted(method)} is not allowed here: {allowed} are", {"Allow": allowed})

"""Routes: a request comes in, the reply of the documented route goes out. Each handler parses, looks up, shapes and responds.

What there is, and all that can be said about it, is in `gateway.serve.description.table`; each entry has its handler here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from aiohttp import web
from aiohttp.hdrs import ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH, LAST_EVENT_ID

from gateway.serve.asked import Asked
from gateway.serve.description import drain_table, table
from gateway.serve.description.document import document_body
from gateway.serve.description.entry import Route
from gateway.serve.description.index import index_body
from gateway.serve.details import Details
from gateway.serve.drains.audit import Audit
from gateway.serve.drains.handlers import Drains
from gateway.serve.events.publisher import Publisher
from gateway.serve.events.reply import EventReply
from gateway.serve.fixed import Fixed
from gateway.serve.lists import Lists
from gateway.serve.metrics.exposition import Exposition
from gateway.serve.metrics.latencies import Latencies
from gateway.serve.ongoing import Ongoing
from gateway.serve.overview import Overview, nothing_known
from gateway.serve.parameters import events_query, is_full, no_parameters, operation_question, waits
from gateway.serve.problems import ProblemError, not_found, not_ready, quoted
from gateway.serve.replica import Replica
from gateway.serve.reply import NOT_MODIFIED, OPEN, Reply
from gateway.serve.routing import Found, Routing
from gateway.serve.shape import ProbeJson, to_json
from gateway.serve.siblings import Siblings
from gateway.serve.target import Target, parse_target
from gateway.serve.upstream import Upstream
from gateway.serve.validators import body_tag, has_already
from gateway.serve.waiting import WAITED, Waiting

#: Of a request: the template of its route, or WAITED.
ROUTE = web.RequestKey("route", str)

_ALIVE = to_json(ProbeJson("alive"))
_READY = to_json(ProbeJson("ready"))


class Routes:
    """All addresses of the HTTP side."""

    def __init__(
        self, upstream: Upstream, overview: Overview, siblings: Siblings, state_dir: Path, *, now: Callable[[], float]
    ) -> None:
        """Args: who is followed; what renders documents; the other processes; where the audit log is; the clock of ages, Unix."""
        self._upstream = upstream
        self._overview = overview
        self._details = Details(upstream)
        self._lists = Lists(upstream, self._details, now)
        ongoing = Ongoing()
        self._waiting = Waiting(ongoing)
        #: Tells everybody what changes, as long as somebody runs it.
        self.publisher = Publisher(upstream, overview, ongoing)
        upstream.followers += (self._waiting, self.publisher)
        #: {route: handler}
        at: dict[Route, Callable[[Asked], Awaitable[Reply]]] = {
            table.WORKERS: self._workers,
            table.OPERATIONS: self._operations,
            table.STATUS: self._status,
            table.METRICS: self._metrics,
            table.HEALTH: self._health,
            table.EVENTS: self._events,
            table.EXPOSITION: self._exposed,
            table.LIVEZ: self._livez,
            table.READYZ: self._readyz,
            table.OPENAPI: self._described,
            table.INDEX: self._listed,
        }
        #: {route: handler of an id}
        around: dict[Route, Callable[[Asked, str], Awaitable[Reply]]] = {
            table.WORKER: self._worker,
            table.OPERATION: self._operation,
        }
        self.audit = Audit(state_dir)
        drains = Drains(upstream, self.audit)
        at[drain_table.DRAINS] = lambda asked: drains.list(asked.target)
        around[drain_table.ONE_DRAIN] = lambda asked, id_: drains.get(asked.target, id_)
        #: {route: handler of a change}
        changing: dict[Route, Callable[[web.BaseRequest, Target, str], Awaitable[Reply]]] = {
            drain_table.DRAIN_WORKER: drains.drain_worker,
            drain_table.UNDRAIN_WORKER: drains.undrain_worker,
            drain_table.DRAIN: drains.drain_workers,
            drain_table.CANCEL: drains.cancel,
        }
        self.served = (*at, *around, *changing)
        self._at = at
        self._around = around
        self._changing = changing
        self._routing = Routing(self.served)
        self._description = Fixed(document_body(table.ROUTES))
        self._index = Fixed(index_body(table.OPENAPI.path, table.ROUTES))
        #: How long answers took.
        self.latencies = Latencies(route.path for route in self.served)
        self.exposition = Exposition(upstream, overview, self.latencies, ongoing, siblings, now=now)

    def find(self, request: web.BaseRequest) -> tuple[Target, Found]:
        """What a request's address means; `request[ROUTE]` is then set, if its path has a route.

        Raises:
            ProblemError: 400.
        """
        target = parse_target(request.raw_path)
        found = self._routing.find(request.method, target.path)
        if found.path is not None:
            # A wait is no latency: it has a route that is not counted.
            request[ROUTE] = WAITED if found.id and waits(target) else found.path
        return target, found

    def methods(self, request: web.BaseRequest, method: str) -> tuple[str, ...]:
        """What is answered at a request's address, to who means to use `method`; none: there is no such address."""
        try:
            return self._routing.find(method, parse_target(request.raw_path).path).allowed
        except ProblemError:
            return ()

    async def answer(self, request: web.BaseRequest, target: Target, found: Found) -> Reply:
        """The reply to a request.

        Raises:
            ProblemError: 400, 404, 405 or 503.
        """
        if found.path is None:
            raise ProblemError(404, f"Path {quoted(target.path)} not found: GET {table.INDEX.path} lists what there is")
        if found.route is None:
            allowed = ", ".join(found.allowed)
            raise ProblemError(405, f"Method {quoted(request.method)} is not allowed here: {allowed} are", {"Allow": allowed})
        changing = self._changing.get(found.route)
        if changing is not None:
            return await changing(request, target, found.id)
        headers = request.headers
        asked = Asked(
            target,
            headers.get(ACCEPT, ""),
            headers.get(ACCEPT_ENCODING, ""),
            headers.get(IF_NONE_MATCH),
            headers.get(LAST_EVENT_ID),
        )
        at = self._at.get(found.route)
        return await at(asked) if at is not None else await self._around[found.route](asked, found.id)

    def close(self) -> None:
        """The process stops: requests that would go on for long come to an end."""
        self._waiting.close()
        self.publisher.close()

    async def _workers(self, asked: Asked) -> Reply:
        return await self._lists.workers(asked, self._replica())

    async def _worker(self, asked: Asked, id_: str) -> Reply:
        full = is_full(asked.target)
        row = self._replica().worker(id_)
        found = await self._details.workers([row]) if row is not None and full else [row.json] if row is not None else []
        return self._entity(asked, found, f"Worker {quoted(id_)}")

    async def _operations(self, asked: Asked) -> Reply:
        return await self._lists.operations(asked, self._replica())

    async def _operation(self, asked: Asked, id_: str) -> Reply:
        full, wait = operation_question(asked.target)
        row = self._replica().operation(id_)
        ended = None
        if row is not None and wait is not None:
            row, ended = await self._waiting.until(id_, row, wait)
        found = await self._details.operations([row]) if row is not None and full else [row.json] if row is not None else []
        reply = self._entity(asked, found, f"Operation {quoted(id_)}")
        if ended is not None:
            reply.headers[WAITED] = ended
        return reply

    async def _events(self, asked: Asked) -> Reply:
        query = events_query(asked.target)
        self._replica()
        self.publisher.check_room()
        return EventReply(self.publisher, query, asked.last_event_id)

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
        return await self.exposition.reply(asked.media, asked.accepts)

    async def _livez(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return Reply(_ALIVE, caching=OPEN)

    async def _readyz(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        self._replica()
        return Reply(_READY, caching=OPEN)

    async def _described(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return self._description.reply(asked)

    async def _listed(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return self._index.reply(asked)

    def _replica(self) -> Replica:
        replica = self._upstream.replica
        if replica is None:
            raise not_ready(nothing_known(self._upstream))
        return replica

    def _entity(self, asked: Asked, found: Sequence[bytes], what: str) -> Reply:
        """One entity; it is too small to be compressed."""
        if not found:
            raise not_found(what)
        tag = body_tag(found[0])
        is_known = has_already(asked.if_none_match, tag)
        reply = self._fresh_or_aged(b"", NOT_MODIFIED) if is_known else self._fresh_or_aged(found[0])
        reply.headers["ETag"] = tag
        return reply

    def _fresh_or_aged(self, body: bytes, status: int = 200) -> Reply:
        return Reply(body, status=status, headers=self._upstream.age_header())

"""Routes: a request comes in, the reply of the documented route goes out. Each handler parses, looks up, shapes and responds.

What there is, and all that can be said about it, is in `gateway.serve.description.table`; each entry has its handler here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import cast

from aiohttp import web

from gateway.serve.asked import Asked
from gateway.serve.authentication.refusal import Refusals
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
from gateway.serve.parameters import events_query, is_full, no_parameters, operation_question
from gateway.serve.problems import ProblemError, not_found, not_ready, quoted
from gateway.serve.replica import Replica
from gateway.serve.reply import NOT_MODIFIED, OPEN, Reply
from gateway.serve.routing import Found, Routing
from gateway.serve.shape import ProbeJson, to_json
from gateway.serve.siblings import Siblings
from gateway.serve.target import Target
from gateway.serve.upstream import Upstream
from gateway.serve.validators import body_tag, has_already
from gateway.serve.waiting import WAITED, Waiting

_ALIVE = to_json(ProbeJson("alive"))
_READY = to_json(ProbeJson("ready"))


class Routes:
    """All addresses of the HTTP side."""

    def __init__(
        self,
        upstream: Upstream,
        overview: Overview,
        siblings: Siblings,
        refusals: Refusals,
        state_dir: Path,
        *,
        now: Callable[[], float],
    ) -> None:
        """What it is made of.

        Args:
            upstream: who is followed.
            overview: what renders documents.
            siblings: the other processes.
            refusals: how often somebody was refused.
            state_dir: where the audit log is.
            now: the clock of ages, Unix.
        """
        self._upstream = upstream
        self._overview = overview
        self._details = Details(upstream)
        self._lists = Lists(upstream, self._details, now)
        ongoing = Ongoing()
        self._waiting = Waiting(ongoing)
        #: Tells everybody what changes, as long as somebody runs it.
        self.publisher = Publisher(upstream, overview, ongoing)
        upstream.followers += (self._waiting, self.publisher)
        #: {route: handler of what nothing has to be waited for; None: it has to be}
        self._at_once: dict[Route, Callable[[Asked], Reply | None]] = {
            table.WORKERS: lambda asked: self._lists.workers_at_once(asked, self._replica()),
            table.WORKER: self._worker_at_once,
            table.OPERATIONS: lambda asked: self._lists.operations_at_once(asked, self._replica()),
            table.OPERATION: self._operation_at_once,
            table.STATUS: self._status,
            table.METRICS: self._metrics,
            table.HEALTH: self._health,
            table.LIVEZ: self._livez,
            table.READYZ: self._readyz,
            table.OPENAPI: self._described,
            table.INDEX: self._listed,
        }
        self.audit = Audit(state_dir)
        drains = Drains(upstream, self.audit)
        #: {route: handler of the rest}
        self._waiting_for: dict[Route, Callable[[Asked], Awaitable[Reply]]] = {
            table.WORKERS: lambda asked: self._lists.workers(asked, self._replica()),
            table.WORKER: self._worker,
            table.OPERATIONS: lambda asked: self._lists.operations(asked, self._replica()),
            table.OPERATION: self._operation,
            table.EVENTS: self._events,
            table.EXPOSITION: self._exposed,
            drain_table.DRAINS: lambda asked: drains.list(asked.target),
            drain_table.ONE_DRAIN: lambda asked: drains.get(asked.target, asked.id),
        }
        #: {route: handler of a change}
        self._changing: dict[Route, Callable[[web.BaseRequest, Target, str], Awaitable[Reply]]] = {
            drain_table.DRAIN_WORKER: drains.drain_worker,
            drain_table.UNDRAIN_WORKER: drains.undrain_worker,
            drain_table.DRAIN: drains.drain_workers,
            drain_table.CANCEL: drains.cancel,
        }
        self.served = tuple(dict.fromkeys((*self._at_once, *self._waiting_for, *self._changing)))
        self._routing = Routing(self.served)
        self._description = Fixed(document_body(table.ROUTES))
        self._index = Fixed(index_body(table.OPENAPI.path, table.ROUTES))
        #: How long answers took.
        self.latencies = Latencies(route.path for route in self.served)
        self.exposition = Exposition(upstream, overview, self.latencies, refusals, ongoing, siblings, now=now)

    def find(self, request: web.BaseRequest) -> Found:
        """What a request's address means.

        Raises:
            ProblemError: 400.
        """
        return self._routing.find(request.method, request.raw_path)

    def methods(self, request: web.BaseRequest, method: str) -> tuple[str, ...]:
        """What is answered at a request's address, to who means to use `method`; none: there is no such address."""
        try:
            return self._routing.find(method, request.raw_path).allowed
        except ProblemError:
            return ()

    def at_once(self, found: Found, headers: Mapping[str, str]) -> Reply | None:
        """The reply to a request, if nothing has to be waited for; None: `answer` has it.

        Raises:
            ProblemError: 400, 404, 405 or 503.
        """
        if found.path is None:
            raise ProblemError(404, f"Path {quoted(found.target.path)} not found: GET {table.INDEX.path} lists what there is")
        if found.route is None:
            allowed = ", ".join(found.allowed)
            raise ProblemError(405, f"Method {quoted(found.method)} is not allowed here: {allowed} are", {"Allow": allowed})
        handler = self._at_once.get(found.route)
        return handler(Asked(found.target, found.id, headers)) if handler is not None else None

    async def answer(self, found: Found, request: web.BaseRequest) -> Reply:
        """The reply to a request.

        Raises:
            ProblemError: as `at_once`, or 504.
        """
        reply = self.at_once(found, request.headers)
        if reply is not None:
            return reply
        route = cast("Route", found.route)
        changing = self._changing.get(route)
        if changing is not None:
            return await changing(request, found.target, found.id)
        return await self._waiting_for[route](Asked(found.target, found.id, request.headers))

    def close(self) -> None:
        """The process stops: requests that would go on for long come to an end."""
        self._waiting.close()
        self.publisher.close()

    def _worker_at_once(self, asked: Asked) -> Reply | None:
        if is_full(asked.target):
            return None
        row = self._replica().worker(asked.id)
        return self._entity(asked, row.json if row is not None else None, "Worker")

    async def _worker(self, asked: Asked) -> Reply:
        row = self._replica().worker(asked.id)
        found = await self._details.workers([row]) if row is not None else []
        return self._entity(asked, next(iter(found), None), "Worker")

    def _operation_at_once(self, asked: Asked) -> Reply | None:
        full, wait = operation_question(asked.target)
        if full or wait is not None:
            return None
        row = self._replica().operation(asked.id)
        return self._entity(asked, row.json if row is not None else None, "Operation")

    async def _operation(self, asked: Asked) -> Reply:
        full, wait = operation_question(asked.target)
        row = self._replica().operation(asked.id)
        ended = None
        if row is not None and wait is not None:
            row, ended = await self._waiting.until(asked.id, row, wait)
        found = await self._details.operations([row]) if row is not None and full else [row.json] if row is not None else []
        reply = self._entity(asked, next(iter(found), None), "Operation")
        if ended is not None:
            reply.headers[WAITED] = ended
        return reply

    async def _events(self, asked: Asked) -> Reply:
        query = events_query(asked.target)
        self._replica()
        self.publisher.check_room()
        return EventReply(self.publisher, query, asked.last_event_id)

    def _status(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        body = self._overview.status(self._replica().scheduler)
        return self._fresh_or_aged(body)

    def _metrics(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        body = self._overview.metrics(self._replica().scheduler)
        return self._fresh_or_aged(body)

    def _health(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        usable, body = self._overview.health()
        return Reply(body, status=200 if usable else 503)

    async def _exposed(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return await self.exposition.reply(asked.media, asked.accepts)

    def _livez(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return Reply(_ALIVE, caching=OPEN)

    def _readyz(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        self._replica()
        return Reply(_READY, caching=OPEN)

    def _described(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return self._description.reply(asked)

    def _listed(self, asked: Asked) -> Reply:
        no_parameters(asked.target)
        return self._index.reply(asked)

    def _replica(self) -> Replica:
        replica = self._upstream.replica
        if replica is None:
            raise not_ready(nothing_known(self._upstream))
        return replica

    def _entity(self, asked: Asked, json: bytes | None, kind: str) -> Reply:
        """One entity, None: there is none; it is too small to be compressed."""
        if json is None:
            raise not_found(f"{kind} {quoted(asked.id)}")
        tag = body_tag(json)
        reply = self._fresh_or_aged(b"", NOT_MODIFIED) if has_already(asked.if_none_match, tag) else self._fresh_or_aged(json)
        reply.headers["ETag"] = tag
        return reply

    def _fresh_or_aged(self, body: bytes, status: int = 200) -> Reply:
        return Reply(body, status=status, headers=self._upstream.age_header())

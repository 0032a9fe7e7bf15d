"""Lists: a request for one of the two lists comes in, its reply goes out, of rows that are there or of details that are fetched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from gateway.query.page import Page
from gateway.serve.asked import Asked
from gateway.serve.bodies import ListBody, json_list
from gateway.serve.details import Details
from gateway.serve.encodings import Twins, already, choose
from gateway.serve.events import wire
from gateway.serve.parameters import PAGE_TOKEN, operations_query, workers_query
from gateway.serve.queries import OperationsQuery, WorkersQuery
from gateway.serve.replica import Replica, State
from gateway.serve.reply import NOT_MODIFIED, Reply
from gateway.serve.rows import Row
from gateway.serve.search import Search
from gateway.serve.target import Target
from gateway.serve.upstream import Upstream
from gateway.serve.validators import has_already, list_tag

#: The revision that a list shows, or one before it: the id of an event that what it shows goes on from.
REVISION = "X-Revision"
_AnyRow = TypeVar("_AnyRow", bound=Row)
#: Finds the page, with the state that it shows.
_Find = Callable[[], Awaitable[tuple[State, Page[_AnyRow]]]]


class Lists:
    """GET /api/v1/workers and /api/v1/operations."""

    def __init__(self, upstream: Upstream, details: Details, now: Callable[[], float]) -> None:
        """Args: who is followed; who knows more; the clock of ages, in Unix seconds."""
        self._upstream = upstream
        self._details = details
        self._now = now
        self._search = Search()
        self._twins = Twins()

    def workers_at_once(self, asked: Asked, replica: Replica) -> Reply | None:
        """A page of workers; None: it has to be waited for.

        Raises:
            ProblemError: 400; so with `operations_at_once`.
        """
        query = workers_query(asked.target)
        return None if query.is_full else self._kept(asked, replica, query, replica.state_of_workers)

    def operations_at_once(self, asked: Asked, replica: Replica) -> Reply | None:
        """A page of operations; None: it has to be waited for."""
        query = operations_query(asked.target).at(self._now())
        return None if query.is_full else self._kept(asked, replica, query, replica.state_of(query.filter))

    async def workers(self, asked: Asked, replica: Replica) -> Reply:
        """A page of workers.

        Raises:
            ProblemError: 400, 503 or 504; so with `operations`.
        """
        query = workers_query(asked.target)
        if query.is_full:
            return await self._full(asked, replica, query, lambda: self._search.workers(replica, query), self._details.workers)
        return await self._basic(asked, replica, query, replica.state_of_workers, lambda: self._search.workers(replica, query))

    async def operations(self, asked: Asked, replica: Replica) -> Reply:
        """A page of operations."""
        query = operations_query(asked.target).at(self._now())
        if query.is_full:
            return await self._full(
                asked, replica, query, lambda: self._search.operations(replica, query), self._details.operations
            )
        state = replica.state_of(query.filter)
        return await self._basic(asked, replica, query, state, lambda: self._search.operations(replica, query))

    def _kept(self, asked: Asked, replica: Replica, query: WorkersQuery | OperationsQuery, state: State) -> Reply | None:
        """As documented; the body is not even looked for where the client has it."""
        coding = choose(asked.accepts)
        tag = list_tag(state.fingerprint, query, coding)
        if has_already(asked.if_none_match, tag):
            reply = Reply(b"", status=NOT_MODIFIED, headers=self._upstream.age_header())
        else:
            body = replica.bodies.get(query, state.revision)
            data = already(body, coding) if body is not None else None
            if body is None or data is None:
                return None
            reply = self._listed(asked.target, body, data, coding)
        reply.headers["ETag"] = tag
        reply.headers[REVISION] = wire.position(replica.epoch, replica.number)
        return reply

    async def _basic(
        self, asked: Asked, replica: Replica, query: WorkersQuery | OperationsQuery, state: State, find: _Find[_AnyRow]
    ) -> Reply:
        """As `_kept`, where something of it is not there yet."""
        coding, position = choose(asked.accepts), wire.position(replica.epoch, replica.number)
        body = replica.bodies.get(query, state.revision)
        if body is None:
            state, found = await find()
            body = replica.keep(query, state.revision, found)
        data = await self._twins.get(body, coding, replica.bodies)
        reply = self._listed(asked.target, body, data, coding)
        reply.headers["ETag"] = list_tag(state.fingerprint, query, coding)
        reply.headers[REVISION] = position
        return reply

    async def _full(
        self,
        asked: Asked,
        replica: Replica,
        query: WorkersQuery | OperationsQuery,
        find: _Find[_AnyRow],
        fetch: Callable[[Sequence[_AnyRow]], Awaitable[list[bytes]]],
    ) -> Reply:
        """With everything that is known: kept for this second of this revision, and without a tag."""
        moment: Hashable = (replica.number, int(self._now()))
        position = wire.position(replica.epoch, replica.number)
        body = replica.bodies.get(query, moment)
        if body is None:
            _, found = await find()
            body = ListBody(json_list(await fetch(found.rows)), found.total, found.next_token)
            replica.bodies.put(query, moment, body)
        coding = choose(asked.accepts)
        data = await self._twins.get(body, coding, replica.bodies)
        reply = self._listed(asked.target, body, data, coding)
        reply.headers[REVISION] = position
        return reply

    def _listed(self, target: Target, body: ListBody, data: bytes, coding: str) -> Reply:
        reply = Reply(data, headers=self._upstream.age_header())
        if data is not body.json:
            reply.headers["Content-Encoding"] = coding
        reply.headers["X-Total-Count"] = str(body.total)
        if body.next_token:
            kept = [(name, value) for name, value in target.parameters if name != PAGE_TOKEN]
            # A reference without host: it holds behind any proxy (RFC 8288 section 3.1 allows it).
            reply.headers["Link"] = f'<{target.path}?{urlencode([*kept, (PAGE_TOKEN, body.next_token)])}>; rel="next"'
        return reply

"""Search: a replica and a question come in, a page of rows goes out; what no index has is looked for between other requests.

100,000 rows take some 30 ms in all: three to copy what there is, then never more than about one at a time. Only so many searches
run at once, and so many wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from typing import TypeVar

from gateway.query.page import Page, page
from gateway.serve.problems import not_ready
from gateway.serve.queries import OperationsQuery, WorkersQuery
from gateway.serve.replica import Replica, State
from gateway.serve.rows import OperationRow, Row, WorkerRow

#: Rows that are looked at before others get their turn.
_SLICE = 500
#: Searches at a time: more would only make each of them later.
_AT_ONCE = 4
#: Searches that wait; one more is told to come back.
WAITING_MAX = 64

_key = attrgetter("key")
_AnyRow = TypeVar("_AnyRow", bound=Row)


class Search:
    """Finds pages of rows, with the state that they show."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def workers(self, replica: Replica, query: WorkersQuery) -> tuple[State, Page[WorkerRow]]:
        """As of now, or of the moment when its turn came.

        Raises:
            ProblemError: 503, too many searches wait.
        """
        if not query.filter.looks_at_rows:
            return replica.state_of_workers, replica.page_of_workers(query)
        async with self._turn():
            state, rows = replica.state_of_workers, replica.workers()
            found = await _matching(rows, query.filter.matches)
        return state, page(found, _key, limit=query.limit, after=query.after)

    async def operations(self, replica: Replica, query: OperationsQuery) -> tuple[State, Page[OperationRow]]:
        """As `workers`."""
        wanted = query.filter
        if not wanted.looks_at_rows:
            return replica.state_of(wanted), replica.page_of_operations(query)
        async with self._turn():
            state, rows = replica.state_of(wanted), replica.operations(wanted)
            found = await _matching(rows, wanted.matches)
        return state, page(found, _key, limit=query.limit, after=query.after)

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING_MAX:
            raise not_ready(f"{WAITING_MAX} searches are waiting: come back in a moment, or ask by stage or worker_id alone")
        self._waiting += 1
        try:
            await self._room.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._room.release()


async def _matching(rows: Sequence[_AnyRow], matches: Callable[[_AnyRow], bool]) -> list[_AnyRow]:
    found: list[_AnyRow] = []
    for start in range(0, len(rows), _SLICE):
        # Not in the turn in which all rows were copied.
        await asyncio.sleep(0)
        found += filter(matches, rows[start : start + _SLICE])
    await asyncio.sleep(0)
    return found

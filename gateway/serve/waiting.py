"""Waiting: an operation and the stages that it is waited for come in; the row goes out that is in one of them, or the time is up.

A wait costs a look-up for each operation that changes, however many wait. It follows the operation, whatever its id becomes.
"""

from __future__ import annotations

import asyncio

from gateway.serve.ongoing import Ongoing
from gateway.serve.problems import ProblemError, not_ready, quoted
from gateway.serve.queries import Wait
from gateway.serve.replica import Differences, Replica
from gateway.serve.rows import OperationRow

#: Requests that wait; one more is told to come back.
WAITING_MAX = 1_024
#: The header that says how the wait ended, and what it says.
WAITED = "X-Wait-For"
REACHED, TIMED_OUT = "reached", "timed-out"


class _Waiter:
    """One request."""

    __slots__ = ("done", "id", "row", "stages")

    def __init__(self, id_: str, row: OperationRow, stages: frozenset[str]) -> None:
        self.id = id_
        #: As it is now.
        self.row = row
        self.stages = stages
        #: False: the operation went before it was in one of the stages.
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def see(self, row: OperationRow | None) -> None:
        """The operation as it is now; None: it is not listed any more."""
        if row is not None:
            self.row = row
        if (row is None or row.stage in self.stages) and not self.done.done():
            self.done.set_result(row is not None)


class Waiting:
    """All waits; a follower of `Upstream`."""

    def __init__(self, ongoing: Ongoing) -> None:
        self._ongoing = ongoing
        #: {arrival: who waits for it}
        self._waiters: dict[int, set[_Waiter]] = {}
        self._is_closed = False

    async def until(self, id_: str, row: OperationRow, wait: Wait) -> tuple[OperationRow, str]:
        """The operation as soon as it is in one of the stages, or as it is when the time is up; and REACHED or TIMED_OUT.

        Args:
            id_: as it was asked for; where a new state begins, it is looked up anew.
            row: what that id means now.
            wait: what for, and how long.

        Raises:
            ProblemError: 404, it went meanwhile; 503, too many wait.
        """
        if row.stage in wait.stages:
            return row, REACHED
        if self._is_closed:
            return row, TIMED_OUT
        if self._ongoing.waiting >= WAITING_MAX:
            raise not_ready(f"{WAITING_MAX} requests are waiting: come back in a moment, or ask without wait_for")
        waiter = _Waiter(id_, row, wait.stages)
        self._ongoing.waiting += 1
        self._waiters.setdefault(row.arrival, set()).add(waiter)
        try:
            async with asyncio.timeout(wait.timeout_s):
                is_listed = await waiter.done
        except TimeoutError:
            return waiter.row, TIMED_OUT
        finally:
            self._ongoing.waiting -= 1
            self._forget(waiter)
        if not is_listed:
            raise ProblemError(
                404, f"Operation {quoted(id_)} not found: it went while it was waited for, how it ended was not seen"
            )
        return waiter.row, REACHED if waiter.row.stage in wait.stages else TIMED_OUT

    def begin(self, replica: Replica) -> None:
        """Arrival numbers may mean others now."""
        waiters = [waiter for waiters in self._waiters.values() for waiter in waiters]
        self._waiters.clear()
        for waiter in waiters:
            row = replica.operation(waiter.id)
            waiter.see(row)
            if row is not None:
                self._waiters.setdefault(row.arrival, set()).add(waiter)

    def go_on(self, _replica: Replica, differences: Differences) -> None:
        """Tell those who wait for one of them."""
        if not self._waiters:
            return
        for before, after in differences.operations:
            row = after or before
            for waiter in self._waiters.get(row.arrival, ()) if row is not None else ():
                waiter.see(after)

    def close(self) -> None:
        """The process stops: whoever waits is told how it is now, and so is who comes."""
        self._is_closed = True
        for waiters in self._waiters.values():
            for waiter in waiters:
                if not waiter.done.done():
                    waiter.done.set_result(True)

    def _forget(self, waiter: _Waiter) -> None:
        waiters = self._waiters.get(waiter.row.arrival)
        if waiters is not None:
            waiters.discard(waiter)
            if not waiters:
                del self._waiters[waiter.row.arrival]

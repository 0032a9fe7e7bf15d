"""The operations of one action key, and how halves of it are found.

A pool exists while an operation of its key is listed. It is data and indexes; which halves belong together is decided in
`generations` (cacheable keys) and `pairing` (others).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from gateway.model import few
from gateway.model.events import ActionRead, Stage
from gateway.model.few import Few
from gateway.model.halves import ClientHalf, Row
from gateway.model.identity import ActionKey, Digest
from gateway.model.lifecycle import Work


class Side(Enum):
    """What the client half of an uncacheable operation says, as far as pairing goes."""

    NOBODY = "no client"
    #: Follows, and was not told EXECUTING last.
    QUEUED = "queued"
    EXECUTING = "executing"
    DONE = "done"
    #: Follows no more; told last not EXECUTING.
    LEFT_QUEUED = "left while queued"
    LEFT_EXECUTING = "left while executing"
    #: Left while queued, in a closed row whose run is over: nobody else was there to claim that.
    LEFT_OVER = "left over"

    # Members are singletons: identity is as good as the name, and every event looks several up.
    __hash__ = object.__hash__


#: What both halves of a row say.
Standing = tuple[Side, Work]
#: One object of each for all rows.
_STANDINGS = {(says, work): (says, work) for says in Side for work in Work}


def side(half: ClientHalf | None) -> Side:
    """Of an uncacheable row's client half."""
    if half is None:
        return Side.NOBODY
    if half.done:
        return Side.DONE
    if half.stage is Stage.EXECUTING:
        return Side.EXECUTING if half.followers else Side.LEFT_EXECUTING
    return Side.QUEUED if half.followers else Side.LEFT_QUEUED


@dataclass(slots=True, eq=False)
class Pool:
    """The listed operations of a key."""

    key: ActionKey
    #: By arrival.
    rows: Few = None
    #: By StartExecute.queued_timestamp, those whose workers' half has one; of equal ones the first.
    by_queued_at: Few = None
    #: queued_timestamp of a client's result -> its row, as long as no workers' half with it was seen; None: there is none.
    awaiting: dict[int, Row] | None = None
    #: Cacheable keys: the newest generation.
    current: Row | None = None
    #: Cacheable keys: the latest row that was completed without queued_timestamp, as when retries are exhausted.
    failed: Row | None = None
    #: Uncacheable keys: rows whose halves might be paired otherwise, by what they say, each by arrival in the order in which they
    #: came there; one that is alone as it is. Of closed rows those in which a client half is left over.
    standings: Row | dict[Standing, dict[int, Row]] | None = None
    #: How many those are.
    standing: int = 0
    #: By arrival, rows of which it is a guess that they are of this key: their clients are known by WaitExecution only.
    unsure: Few = None
    #: What the CAS said about the action.
    action: ActionRead | None = None

    def stand(self, row: Row, standing: Standing | None) -> None:
        """Keeps a row under what its halves say now; None: nothing is open about it."""
        before = row.standing
        if before == standing:
            return
        if before is not None:
            if isinstance(self.standings, dict):
                del self.standings[before][row.arrival]
            self.standing -= 1
            if not self.standing:
                self.standings = None
        if standing is not None:
            standing = _STANDINGS[standing]
            if self.standings is None:
                self.standings = row
            else:
                if not isinstance(self.standings, dict):
                    alone = self.standings
                    assert alone.standing is not None  # noqa: S101 - it is kept by that
                    self.standings = {alone.standing: {alone.arrival: alone}}
                self.standings.setdefault(standing, {})[row.arrival] = row
            self.standing += 1
        row.standing = standing

    def foremost(self) -> list[tuple[Standing, Row]]:
        """Of those that say the same the one that came first, each with what it says."""
        standings = self.standings
        if isinstance(standings, dict):
            return [(standing, next(iter(rows.values()))) for standing, rows in standings.items() if rows]
        return [(standings.standing, standings)] if standings is not None and standings.standing is not None else []

    def left_over(self) -> Iterable[Row]:
        """Closed rows in which a client half is left over, the one that was closed last first."""
        standings = self.standings
        return reversed(standings.get((Side.LEFT_OVER, Work.FINISHED), {}).values()) if isinstance(standings, dict) else ()

    def wait_for(self, queued_at: int, row: Row) -> None:
        """A client's result of the row has a queued_timestamp that no workers' half has, as far as was seen."""
        if self.awaiting is None:
            self.awaiting = {}
        self.awaiting.setdefault(queued_at, row)

    def awaits(self, queued_at: int | None) -> Row | None:
        """The row that waits for a workers' half with this queued_timestamp."""
        return self.awaiting.get(queued_at) if self.awaiting is not None and queued_at is not None else None

    def wait_no_more(self, queued_at: int | None, row: Row) -> None:
        """It waits for that no longer, whether it did or not."""
        if self.awaiting is not None and queued_at is not None and self.awaiting.get(queued_at) is row:
            del self.awaiting[queued_at]
            self.awaiting = self.awaiting or None


class Pools:
    """The pools of all keys."""

    __slots__ = ("_pools",)

    def __init__(self) -> None:
        self._pools: dict[ActionKey, Pool] = {}

    def get(self, key: ActionKey) -> Pool | None:
        """The pool of a key of which an operation is listed."""
        return self._pools.get(key)

    def open(self, key: ActionKey) -> Pool:
        """The pool of a key under which a row is about to be listed."""
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = Pool(key)
            sibling = self._pools.get(opposite(key))
            pool.action = sibling.action if sibling is not None else None
        return pool

    def enter(self, row: Row, key: ActionKey) -> None:
        """Lists a row under a key, and tells it what the CAS said about the action."""
        pool = self.open(key)
        pool.rows = few.added(pool.rows, row, few.ARRIVAL)
        if not row.is_cacheable_known:
            pool.unsure = few.added(pool.unsure, row, few.ARRIVAL)
        row.pool = pool
        row.key = key
        if pool.action is not None:
            row.action = pool.action

    def leave(self, row: Row) -> None:
        """The row is no longer listed, or not under this key."""
        pool = row.pool
        if pool is None:
            return
        pool.stand(row, None)
        pool.rows = few.without(pool.rows, row, few.ARRIVAL)
        pool.unsure = few.without(pool.unsure, row, few.ARRIVAL)
        pool.by_queued_at = few.without(pool.by_queued_at, row, few.QUEUED_AT)
        if pool.awaiting is not None:
            for half in row.clients:
                pool.wait_no_more(half.outcome.queued_at if half.outcome is not None else None, row)
        if pool.current is row:
            pool.current = None
        if pool.failed is row:
            pool.failed = None
        row.pool = None
        if pool.rows is None:
            del self._pools[pool.key]

    def read(self, action: ActionRead) -> list[Row]:
        """Fills what the CAS said into the listed operations of the action; returns those."""
        filled: list[Row] = []
        for cacheable in (True, False):
            pool = self._pools.get(ActionKey(action.instance_name, action.digest, cacheable))
            if pool is not None:
                pool.action = action
                filled += few.rows(pool.rows)
        for row in filled:
            row.action = action
        return filled

    def guess(self, instance_name: str, digest: Digest) -> ActionKey:
        """The key of an action that may be cacheable or not: one under which something is unfinished, else the cacheable one."""
        for cacheable in (True, False):
            pool = self._pools.get(ActionKey(instance_name, digest, cacheable))
            if pool is not None and any(not row.is_over for row in few.rows(pool.rows)):
                return pool.key
        return ActionKey(instance_name, digest, cacheable=True)

    def all(self) -> list[Pool]:
        """For `validate`."""
        return list(self._pools.values())


def opposite(key: ActionKey) -> ActionKey:
    """The same action, cacheable or not the other way round."""
    return ActionKey(key.instance_name, key.digest, not key.cacheable)

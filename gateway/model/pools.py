"""The operations of one action key, and how halves of it are found.

A pool exists while an operation of its key is listed. It is data and indexes; which halves belong together is decided in
`generations` (cacheable keys) and `pairing` (others).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gateway.model.events import ActionRead, Stage
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

    # Members are singletons: identity is as good as the name, and every event looks several up.
    __hash__ = object.__hash__


#: What both halves of a row say.
Standing = tuple[Side, Work]


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
    rows: dict[int, Row] = field(default_factory=dict)
    #: StartExecute.queued_timestamp -> the row whose workers' half has it; of equal ones the first.
    by_queued_at: dict[int, Row] = field(default_factory=dict)
    #: queued_timestamp of a client's result -> its row, as long as no workers' half with it was seen.
    awaiting: dict[int, Row] = field(default_factory=dict)
    #: Cacheable keys: the newest generation.
    current: Row | None = None
    #: Cacheable keys: the latest row that was completed without queued_timestamp, as when retries are exhausted.
    failed: Row | None = None
    #: Uncacheable keys: rows whose halves might be paired otherwise, by what they say, each in the order in which they came there.
    standings: dict[Standing, dict[int, Row]] = field(default_factory=dict)
    #: How many those are.
    standing: int = 0
    #: Rows of which it is a guess that they are of this key: their clients are known by WaitExecution only.
    unsure: dict[int, Row] = field(default_factory=dict)
    #: What the CAS said about the action.
    action: ActionRead | None = None

    def stand(self, row: Row, standing: Standing | None) -> None:
        """Keeps a row under what its halves say now; None: nothing is open about it."""
        before = row.standing
        if before == standing:
            return
        if before is not None:
            del self.standings[before][row.arrival]
            self.standing -= 1
        if standing is not None:
            self.standings.setdefault(standing, {})[row.arrival] = row
            self.standing += 1
        row.standing = standing


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
        pool.rows[row.arrival] = row
        if not row.is_cacheable_known:
            pool.unsure[row.arrival] = row
        row.pool = pool
        row.key = key
        if pool.action is not None:
            fill(row, pool.action)

    def leave(self, row: Row) -> None:
        """The row is no longer listed, or not under this key."""
        pool = row.pool
        if pool is None:
            return
        pool.stand(row, None)
        del pool.rows[row.arrival]
        pool.unsure.pop(row.arrival, None)
        if row.queued_at is not None and pool.by_queued_at.get(row.queued_at) is row:
            del pool.by_queued_at[row.queued_at]
        forget_awaiting(pool, row)
        if pool.current is row:
            pool.current = None
        if pool.failed is row:
            pool.failed = None
        row.pool = None
        if not pool.rows:
            del self._pools[pool.key]

    def read(self, action: ActionRead) -> list[Row]:
        """Fills what the CAS said into the listed operations of the action; returns those."""
        filled: list[Row] = []
        for cacheable in (True, False):
            pool = self._pools.get(ActionKey(action.instance_name, action.digest, cacheable))
            if pool is not None:
                pool.action = action
                filled += pool.rows.values()
        for row in filled:
            fill(row, action)
        return filled

    def guess(self, instance_name: str, digest: Digest) -> ActionKey:
        """The key of an action that may be cacheable or not: one under which something is unfinished, else the cacheable one."""
        for cacheable in (True, False):
            pool = self._pools.get(ActionKey(instance_name, digest, cacheable))
            if pool is not None and any(not row.is_over for row in pool.rows.values()):
                return pool.key
        return ActionKey(instance_name, digest, cacheable=True)

    def all(self) -> list[Pool]:
        """For `validate`."""
        return list(self._pools.values())


def opposite(key: ActionKey) -> ActionKey:
    """The same action, cacheable or not the other way round."""
    return ActionKey(key.instance_name, key.digest, not key.cacheable)


def forget_awaiting(pool: Pool, row: Row) -> None:
    """The row waits for no workers' half by queued_timestamp any more."""
    for half in row.clients:
        queued_at = half.outcome.queued_at if half.outcome is not None else None
        if queued_at is not None and pool.awaiting.get(queued_at) is row:
            del pool.awaiting[queued_at]


def fill(row: Row, action: ActionRead) -> None:
    """What the CAS said about the action of an operation."""
    row.command_digest = action.command_digest
    row.input_root_digest = action.input_root_digest
    row.timeout = action.timeout
    row.action_platform = action.platform

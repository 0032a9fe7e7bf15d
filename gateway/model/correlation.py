"""Which client halves and which workers' half are one operation.

A client knows its client_operation_id, a worker the scheduler's operation_id, and nothing on the wire carries both
(nativelink-facts 3). What both carry is the action key. Within a key, `generations` (cacheable) and `pairing` (not cacheable)
decide what probably belongs together; an equal queued_timestamp in a client's result and in StartExecute, exact to the nanosecond,
proves it and overrules them.

Messages of different connections come in any order. What is decided here depends on what the halves say, so that, once the messages
of a moment have all come, there are the same operations in the same stages and the same proven pairs, whatever the order was.
"""

from __future__ import annotations

from gateway.model import few, generations, pairing
from gateway.model.events import Outcome
from gateway.model.halves import ClientHalf, Row
from gateway.model.identity import ActionKey
from gateway.model.lifecycle import Work
from gateway.model.pools import Pool, opposite
from gateway.model.register import SKEW_NS, Register


class Correlation:
    """Told of every half that comes or changes; gives each its row, and drops rows that are joined with others."""

    __slots__ = ("_register",)

    def __init__(self, register: Register) -> None:
        self._register = register

    # --- clients' halves ----------------------------------------------------------------------------------------------

    def told(self, half: ClientHalf) -> None:
        """A client half is new, or was told something that is not final, or nobody follows it any more."""
        row = half.row or self._place(half)
        pool = _uncacheable(row)
        if row.live and row.is_over:
            # Its end is on the way, or it came back and this was never its own.
            row.is_closed = row.is_closed and pool is None
            self._register.settle_later(row)
        self._register.touch(row)
        if pool is not None:
            pairing.reconsider(self._register, pool, row)

    def done(self, half: ClientHalf) -> None:
        """A client half was told how the operation ended (`half.done`, `half.outcome`); it may be new."""
        outcome = half.outcome
        if outcome is None:
            self.told(half)
        elif outcome.cached:
            self._ran_elsewhere(half)
        elif not outcome.queued_at:
            # Of exhausted retries it is absent or zero (nativelink-facts 7).
            self._fail(half, outcome)
        else:
            self._prove(half, outcome, outcome.queued_at)

    def named(self, half: ClientHalf, key: ActionKey) -> Row:
        """An update names the digest of a client half that had none; its row from then on."""
        before = half.row
        assert before is not None  # noqa: S101 - it is listed
        before.detach(half)
        half.key = key
        row = self._place(half)
        self._without(before, "its action is known")
        return row

    def lost(self, half: ClientHalf) -> None:
        """The scheduler does not know the client's operation id any more."""
        row = half.row
        assert row is not None  # noqa: S101 - it is listed
        row.detach(half)
        self._register.forget_half(half)
        self._without(row, "unknown to the scheduler")

    def seal(self, row: Row) -> None:
        """Nothing belongs to it from now on without proof."""
        row.is_closed = True
        pool = row.pool
        if pool is None:
            return
        if not pool.key.cacheable:
            pool.stand(row, pairing.guess(row))
        elif pool.failed is row:
            pool.failed = None

    # --- workers' halves ----------------------------------------------------------------------------------------------

    def row_for_run(self, operation_id: str, key: ActionKey, queued_at: int | None) -> Row:
        """The row of a scheduler's operation id that was not seen before: now it has a workers' half, still Work.NONE."""
        register = self._register
        queued_at = queued_at or None
        pool = register.pools.open(key)
        row = pool.awaits(queued_at)
        if row is not None:
            pool.wait_no_more(queued_at, row)
            for half in row.clients:
                half.is_proven = half.outcome is not None and half.outcome.queued_at == queued_at
        else:
            row = generations.candidate(pool) if key.cacheable else pairing.candidate(pool)
            row = row or self._unsure(key)
        if row is None:
            row = generations.row_for_run(register, pool, queued_at) if key.cacheable else register.new_row(key)
        pool.unsure = few.without(pool.unsure, row, few.ARRIVAL)
        row.is_cacheable_known = True
        if row.counted is not None:
            row.previous_operation_id = row.operation_id
        row.scheduler_operation_id = operation_id
        row.queued_at = queued_at
        row.work_seen_at = register.now
        register.by_operation_id[operation_id] = row
        if queued_at is not None:
            pool.by_queued_at = few.added(pool.by_queued_at, row, few.QUEUED_AT)
        return row

    def worked(self, row: Row) -> None:
        """The workers' half of a row changed."""
        self._register.touch(row)
        pool = _uncacheable(row)
        if pool is not None:
            pairing.reconsider(self._register, pool, row)

    def _unsure(self, key: ActionKey) -> Row | None:
        """A row that was taken for one of the opposite key only by a guess."""
        pools = self._register.pools
        sibling = pools.get(opposite(key))
        row = next((row for row in few.rows(sibling.unsure) if not row.is_over), None) if sibling is not None else None
        if row is not None:
            pools.leave(row)
            pools.enter(row, key)
            if key.cacheable:
                generations.adopt(self._register, pools.open(key), row)
            clients = row.clients
            for half in clients:
                half.key = key
            for half in () if key.cacheable else clients[1:]:
                # Only cacheable operations are joined.
                row.detach(half)
                self.told(half)
        return row

    # --- when all messages of a moment must have come -----------------------------------------------------------------

    def settle(self, row: Row) -> None:
        """The row is over or superseded since `SETTLING_NS`: who still waits for its end belongs to another operation."""
        row.has_settled_timer = False
        if not row.is_over and not row.is_superseded:
            # The result that completed it turned out to be another's.
            return
        self._close(row)
        pool = _uncacheable(row)
        if row.live and pool is not None:
            pairing.put_right(self._register, pool, row)
        waiting = row.live
        for half in waiting:
            row.detach(half)
        for half in waiting:
            self.told(half)
        if waiting:
            self._without(row, "joined with a later operation")
        if row.is_superseded and not row.is_over and row.work is not Work.RUNNING and row.arrival in self._register.operations:
            self._register.drop(row, "superseded")

    # --- inside -------------------------------------------------------------------------------------------------------

    def _place(self, half: ClientHalf) -> Row:
        register, key = self._register, half.key
        if key is None:
            row = register.new_row(None, is_cacheable_known=False)
            row.attach(half)
            return row
        pool = register.pools.open(key)
        return generations.place(register, pool, half) if key.cacheable else pairing.place(register, pool, half)

    def _ran_elsewhere(self, half: ClientHalf) -> None:
        """A cached result says nothing about a worker's half, and nothing about other clients."""
        row = half.row
        if row is None or row.scheduler_operation_id is not None or len(row.clients) > 1:
            self._alone(half)
        else:
            self._close(row)

    def _fail(self, half: ClientHalf, outcome: Outcome) -> None:
        """Nothing in the result proves where it belongs, but another client's may be word for word the same."""
        if half.key is None or not half.key.cacheable:
            self.told(half)
            return
        pool = self._register.pools.open(half.key)
        row = pool.failed
        if row is not None and not row.is_closed and _may_have_joined(half, row, outcome):
            self._move(half, row)
        else:
            self.told(half)
            pool.failed = half.row

    def _prove(self, half: ClientHalf, outcome: Outcome, queued_at: int) -> None:
        row = half.row
        found = self._proven(half, queued_at)
        if found is not None:
            self._close(found)
            self._move(half, found)
            half.is_proven = found.scheduler_operation_id is not None
            if found.work_outcome is not None and found.work_outcome.says(outcome):
                # Both halves were told the same: one object for both.
                half.outcome = found.work_outcome
        elif row is not None and row.scheduler_operation_id is not None and row.queued_at is None:
            self.told(half)
        else:
            if row is None or row.scheduler_operation_id is not None or any(o.done for o in row.clients if o is not half):
                row = self._alone(half)
            if row.pool is not None:
                row.pool.wait_for(queued_at, row)
            self._close(row)

    def _proven(self, half: ClientHalf, queued_at: int) -> Row | None:
        """The row whose workers' half, or one of whose other clients' results, has this queued_timestamp."""
        if half.row is not None and half.row.queued_at == queued_at:
            return half.row
        key = half.key
        if key is None:
            return None
        for each in (key,) if half.is_cacheable_known else (key, opposite(key)):
            pool = self._register.pools.get(each)
            if pool is None:
                continue
            found = few.found(pool.by_queued_at, queued_at, few.QUEUED_AT) or pool.awaits(queued_at)
            if found is not None and (each.cacheable or not _is_taken(found)):
                return found
        return None

    def _move(self, half: ClientHalf, target: Row) -> None:
        """Into the row where it is proven to belong; an uncacheable operation has no other client then."""
        before = half.row
        if before is target:
            self._register.touch(target)
            return
        if before is not None:
            before.detach(half)
        displaced = () if target.key is None or target.key.cacheable else target.clients
        for other in displaced:
            target.detach(other)
        half.key = target.key
        target.attach(half)
        self.worked(target)
        if before is not None:
            self._without(before, f"joined with {target.operation_id}")
        for other in displaced:
            self.told(other)

    def _alone(self, half: ClientHalf) -> Row:
        """Into a row of its own, which nothing joins without proof."""
        before = half.row
        if before is not None:
            before.detach(half)
        row = self._register.new_row(half.key, is_cacheable_known=half.is_cacheable_known)
        row.attach(half)
        self._close(row)
        if before is not None:
            self._without(before, "joined with a later operation")
        return row

    def _close(self, row: Row) -> None:
        self.seal(row)
        self._register.touch(row)

    def _without(self, row: Row, reason: str) -> None:
        """A client half has left the row: it is dropped if nothing of it is left."""
        if row.clients or row.scheduler_operation_id is not None:
            pool = _uncacheable(row)
            if pool is not None and row.is_closed and row.is_over and not row.clients:
                pairing.put_right(self._register, pool, row)
            self.worked(row)
        else:
            self._register.drop(row, reason)


def _may_have_joined(half: ClientHalf, row: Row, outcome: Outcome) -> bool:
    """Whether a client half may be one of a failed generation; nothing in its result says so."""
    done = [other for other in row.clients if other.done]
    if done:
        return outcome in [other.outcome for other in done]
    # Nobody was told how it ended. Where it had clients, another one had joined them before it was over.
    return not row.clients or half.first_update_at <= row.work_changed_at + SKEW_NS


def _uncacheable(row: Row) -> Pool | None:
    """The pool of a row whose halves are paired."""
    return row.pool if row.pool is not None and not row.pool.key.cacheable else None


def _is_taken(row: Row) -> bool:
    """Whether an uncacheable operation has its client for certain."""
    return any(half.is_proven or row.scheduler_operation_id is None for half in row.clients)

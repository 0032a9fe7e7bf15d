"""Which halves belong together when the action is cacheable.

The scheduler joins equal cacheable actions while one is unfinished: a key has one unfinished generation at most. The scheduler's
operation id separates generations. A client that was told nothing final stays with the generation that it joined; where that one is
over, or a next one began, and its end still does not come (`SETTLING_NS`), it must have asked for the next.
"""

from __future__ import annotations

from gateway.model.halves import ClientHalf, Row
from gateway.model.lifecycle import Work
from gateway.model.pools import Pool
from gateway.model.register import Register


def place(register: Register, pool: Pool, half: ClientHalf) -> Row:
    """Gives a client half that is new, or was put out of its row, a row: the newest generation, if it can be that."""
    current = pool.current
    # A worker's half that is over and has no client is one whose clients' messages are still to come.
    if current is None or current.is_closed or (current.is_over and current.clients):
        current = begin(register, pool, is_cacheable_known=half.is_cacheable_known)
    current.attach(half)
    return current


def begin(register: Register, pool: Pool, *, is_cacheable_known: bool = True) -> Row:
    """The next generation."""
    row = register.new_row(pool.key, is_cacheable_known=is_cacheable_known)
    adopt(register, pool, row)
    return row


def adopt(register: Register, pool: Pool, row: Row) -> None:
    """A row of the pool becomes the newest generation."""
    before, pool.current = pool.current, row
    if before is not None and not before.is_over:
        supersede(register, before)


def candidate(pool: Pool) -> Row | None:
    """The row that a scheduler's operation id which was not seen before probably belongs to; None: to none that is listed."""
    current = pool.current
    # A client's result without queued_timestamp leaves its row open: the worker's connection may be behind.
    return current if current is not None and not current.is_closed and current.work is Work.NONE else None


def row_for_run(register: Register, pool: Pool, queued_at: int | None) -> Row:
    """A row for a scheduler's operation id of which there is no client half yet."""
    current = pool.current
    if current is None or queued_at is None or current.queued_at is None or queued_at > current.queued_at:
        return begin(register, pool)
    # Its worker's connection is behind: it is an earlier generation.
    row = register.new_row(pool.key)
    supersede(register, row)
    return row


def supersede(register: Register, row: Row) -> None:
    """A later generation exists, so that this one must be over for the scheduler."""
    row.is_superseded = True
    register.settle_later(row)

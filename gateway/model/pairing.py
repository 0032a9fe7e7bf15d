"""Which halves belong together when the action is not cacheable.

Every Execute is an operation of its own, so several of one key may be open at once, and until a queued_timestamp proves a pair
nothing but what both halves say tells them apart. Pairs are kept so that they agree as far as they can: whenever a half changes, it
changes places with that half of another row by which the two rows agree more, until nothing can be gained. So it is what both sides
say, not the order in which they said it, that decides in which stages a key's operations are.

A closed row takes part no more. But which of those that left had a run that is over was a guess: one that left while executing had
a run for certain, and if none is left for it, it changes places with one that left while queued.

An unpaired client half and an unpaired worker's half always gain by being one: a key never shows more operations than the larger
side has.
"""

from __future__ import annotations

from operator import itemgetter

from gateway.model.halves import ClientHalf, Row
from gateway.model.lifecycle import Work
from gateway.model.pools import Pool, Side, Standing, side
from gateway.model.register import SKEW_NS, Register

#: How well two halves agree; a half alone: 0, and every pair is better than two halves alone. Only comparisons of sums count.
#: A client that follows is right at once or soon: EXECUTING with what runs, QUEUED with what was taken away or alone, done with
#: what is over. One that left agrees with anything, but if it left while executing, some worker's half is its own.
AGREEMENT: dict[Standing, int] = {
    (Side.EXECUTING, Work.RUNNING): 8,
    (Side.EXECUTING, Work.REQUEUED): 8,  # its QUEUED is on the way
    (Side.EXECUTING, Work.FINISHED): 7,  # its result is on the way
    (Side.QUEUED, Work.RUNNING): 3,
    (Side.QUEUED, Work.REQUEUED): 8,
    (Side.QUEUED, Work.FINISHED): 1,
    (Side.DONE, Work.RUNNING): 3,
    (Side.DONE, Work.REQUEUED): 8,  # retries exhausted
    (Side.DONE, Work.FINISHED): 8,
    (Side.LEFT_EXECUTING, Work.RUNNING): 6,
    (Side.LEFT_EXECUTING, Work.REQUEUED): 9,
    (Side.LEFT_EXECUTING, Work.FINISHED): 5,
    (Side.LEFT_QUEUED, Work.RUNNING): 5,
    (Side.LEFT_QUEUED, Work.REQUEUED): 8,
    (Side.LEFT_QUEUED, Work.FINISHED): 4,
}

_OPEN = frozenset(Side) - {Side.LEFT_OVER}
#: Those that wait for no result.
_WAITS_NOT = frozenset({Side.DONE, Side.LEFT_QUEUED, Side.LEFT_EXECUTING})
#: Closed, and what it says is no more than a guess.
_GUESSED = Side.LEFT_OVER, Work.FINISHED
#: It had a run, and has none.
_BEREFT = Side.LEFT_EXECUTING, Work.NONE


def place(register: Register, pool: Pool, half: ClientHalf) -> Row:
    """Gives a client half that is new, or was put out of its row, a row: an unpaired worker's half, or one of its own."""
    says = side(half)
    alone = {work: row for (other, work), row in pool.foremost() if other is Side.NOBODY}
    if alone:
        works = (work for work in (Work.RUNNING, Work.REQUEUED, Work.FINISHED) if work in alone)
        row = alone[max(works, key=lambda work: AGREEMENT[says, work])]
    else:
        row = register.new_row(pool.key, is_cacheable_known=half.is_cacheable_known)
    row.attach(half)
    return row


def candidate(pool: Pool) -> Row | None:
    """The row that a scheduler's operation id which was not seen before probably belongs to; None: to none that is listed."""
    alone = [(AGREEMENT[says, Work.RUNNING], row) for (says, work), row in pool.foremost() if work is Work.NONE]
    return max(alone, key=itemgetter(0))[1] if alone else None


def guess(row: Row) -> Standing | None:
    """Where its pool keeps a closed row; None: nothing is open about it."""
    clients = row.clients
    is_guess = clients and not clients[0].done and row.work is Work.FINISHED and side(clients[0]) is Side.LEFT_QUEUED
    return _GUESSED if is_guess else None


def reconsider(register: Register, pool: Pool, row: Row) -> None:
    """A half of the row changed, came or went: exchanges client halves until no exchange makes rows agree more."""
    pending = [row]
    while pending:
        row = pending.pop()
        if row.is_closed:
            pool.stand(row, guess(row))
            continue
        standing = _says(row)
        pool.stand(row, standing)
        if pool.standing < 2:
            continue
        other = _partner(pool, standing, AGREEMENT.get(standing, 0), _OPEN)
        if other is None and standing == _BEREFT:
            other = _run_before(pool, row.clients[0])
        if other is not None:
            pending += _exchange(register, pool, row, other)


def put_right(register: Register, pool: Pool, row: Row) -> None:
    """The row is over, and its client still waits or was proven to be another's: one that waits for nothing may be its own."""
    other = _partner(pool, _says(row), 0, _WAITS_NOT)
    if other is not None:
        for each in _exchange(register, pool, row, other):
            reconsider(register, pool, each)


def _says(row: Row) -> Standing:
    return side(row.clients[0] if row.clients else None), row.work


def _partner(pool: Pool, standing: Standing, agreement: int, sides: frozenset[Side]) -> Row | None:
    """The row with which a row that stands so gains most by an exchange; of equal ones that which came first."""
    says, work = standing
    gained, found = 0, None
    for other, row in pool.foremost():
        other_says, other_work = other
        if other_says is says or other_work is work or other_says not in sides:
            continue
        gain = AGREEMENT.get((says, other_work), 0) + AGREEMENT.get((other_says, work), 0)
        gain -= agreement + AGREEMENT.get(other, 0)
        if gain > gained:
            gained, found = gain, row
    return found


def _run_before(pool: Pool, half: ClientHalf) -> Row | None:
    """A closed row whose run may have been that of the client half: it asked before that was over."""
    return next((row for row in pool.left_over() if half.load_at <= row.work_changed_at + SKEW_NS), None)


def _exchange(register: Register, pool: Pool, one: Row, other: Row) -> list[Row]:
    """Lets two rows change their client halves; workers' halves stay, as rows are theirs. Returns the rows that are then open."""
    if one.work is Work.NONE:
        one, other = other, one
    theirs, ours = one.clients, other.clients
    for half in theirs:
        one.detach(half)
    for half in ours:
        other.detach(half)
        one.attach(half)
    register.touch(one)
    if other.work is Work.NONE:
        register.drop(other, f"joined with {one.operation_id}")
        if not theirs:
            return [one]
        other = register.new_row(pool.key, is_cacheable_known=theirs[0].is_cacheable_known)
    for half in theirs:
        other.attach(half)
    register.touch(other)
    return [one, other]

"""What must hold between two events: every index, count and link, derived a second time from the entities themselves."""

from __future__ import annotations

from collections import Counter

from gateway.model import few
from gateway.model.events import Stage
from gateway.model.halves import ClientHalf, Row
from gateway.model.lifecycle import STAGES, Work
from gateway.model.pairing import AGREEMENT
from gateway.model.pools import Pool, Side, Standing, side
from gateway.model.records import Operation, Worker
from gateway.model.register import Register
from gateway.model.story import ITEMS, lines


def check(register: Register) -> None:
    """Raises AssertionError, with the story of what is wrong."""
    for arrival, row in register.operations.items():
        _expect(row, arrival == row.arrival, "listed under its arrival")
        _check_row(register, row)
        _expect(row, len(row.story) % ITEMS == 0, "its story is whole")
    for worker in register.workers.values():
        _expect(worker, len(worker.story) % ITEMS == 0, "its story is whole")
        for operation_id in worker.released:
            _expect(worker, operation_id in worker.running, f"released {operation_id} is running")
    _check_indexes(register)
    _check_counts(register)
    for pool in register.pools.all():
        _check_pool(register, pool)


def _expect(subject: Operation | Worker | None, holds: bool, what: str) -> None:
    if not holds:
        story = lines(subject.story) if subject is not None else ()
        raise AssertionError("\n".join([f"not so: {what}", repr(subject), *(f"{at} {text}" for at, text in story)]))


def _check_row(register: Register, row: Row) -> None:
    for half in row.clients:
        _expect(row, half.row is row, f"{half.name} knows its row")
        _expect(row, register.half_named(half.name) is half, f"{half.name} is found by name")
        _expect(row, half.key == row.key, f"{half.name} has the key of its row")
    _expect(row, [half.order for half in row.clients] == sorted(half.order for half in row.clients), "clients are in order")
    live = [half.order for half in row.clients if half.is_live]
    _expect(row, sorted(half.order for half in row.live) == live, "live clients are those that follow and wait")
    has_work = row.scheduler_operation_id is not None
    _expect(row, has_work is (row.work is not Work.NONE), "there is work where there is a workers' half")
    _expect(row, has_work or bool(row.clients), "there is a half")
    if row.work is Work.RUNNING:
        _expect(row, bool(row.holders), "what runs has a worker")
    elif row.work is Work.REQUEUED:
        _expect(row, not row.holders, "what was taken away has no worker")
    for worker_id, _ in row.holders:
        holder = register.workers.get(worker_id)
        _expect(row, holder is not None and row.operation_id in holder.running, f"{worker_id} runs it")
    _expect(row, row.stage is STAGES[row.seen(), row.work], "its stage is that of the table")
    _expect(row, (row.stage is Stage.COMPLETED) is (row.finished_at is not None) is row.is_over, "completed is finished")
    _expect(row, row.key is None or (row.pool is not None and row.pool.key == row.key), "it is in its key's pool")
    is_watched = bool(row.live) or row.is_over or row.has_abandoned_timer or row.work is Work.RUNNING
    _expect(row, is_watched, "it ends some time")


def _check_indexes(register: Register) -> None:
    by_operation_id = {
        row.scheduler_operation_id: row for row in register.operations.values() if row.scheduler_operation_id is not None
    }
    _expect(None, register.by_operation_id == by_operation_id, "scheduler's ids lead to their operations")
    halves: list[ClientHalf] = [half for row in register.operations.values() for half in row.clients]
    _expect(None, len({half.name for half in halves}) == len(halves), "no name is known twice")
    known = len(register.by_client_id) + len(register.namesakes)
    _expect(None, len(halves) == known, "names lead to listed operations")


def _check_counts(register: Register) -> None:
    stages = Counter(row.stage for row in register.operations.values())
    _expect(None, register.stages == {stage: stages[stage] for stage in Stage}, "stages are counted")
    workers = register.workers.values()
    counted = (
        sum(worker.can_accept_work for worker in workers),
        sum(worker.is_paused for worker in workers),
        sum(worker.is_draining for worker in workers),
    )
    _expect(None, (register.accepting, register.paused, register.draining) == counted, "workers are counted")
    _expect(None, stages[Stage.COMPLETED] <= len(register.retention), "what is completed will be dropped")
    _expect(None, stages[Stage.COMPLETED] <= register.settings.completed_max, "completed ones are no more than wanted")


def _check_pool(register: Register, pool: Pool) -> None:
    _expect(None, pool.rows is not None, f"the pool of {pool.key} is not empty")
    rows = few.rows(pool.rows)
    arrivals = {row.arrival for row in rows}
    for row in rows:
        _expect(row, register.operations.get(row.arrival) is row and row.pool is pool, "a pool's rows are listed")
    for row in (*few.rows(pool.by_queued_at), *few.rows(pool.awaiting)):
        _expect(row, row.arrival in arrivals, "found by queued_timestamp in its pool")
    if isinstance(pool.by_queued_at, dict):
        _expect(None, all(row.queued_at == at for at, row in pool.by_queued_at.items()), "queued_timestamps are theirs")
    unsure = {row.arrival for row in rows if not row.is_cacheable_known}
    _expect(None, {row.arrival for row in few.rows(pool.unsure)} == unsure, "guesses are known as such")
    standing = [row for row in rows if row.standing is not None]
    _expect(None, len(standing) == pool.standing == len(_standing(pool)), "standings are counted")
    for row in standing:
        _expect(row, _standing(pool).get(row.arrival) == row.standing, "it is found where it stands")
    if pool.key.cacheable:
        _expect(None, not standing, "only uncacheable operations are paired")
        return
    sides = {"clients": 0, "workers": 0}
    for row in rows:
        _expect(row, len(row.clients) <= 1, "an uncacheable operation has one client")
        says = side(row.clients[0] if row.clients else None), row.work
        if row.is_closed:
            guess = (Side.LEFT_OVER, Work.FINISHED) if says == (Side.LEFT_QUEUED, Work.FINISHED) else None
            _expect(row, row.standing == guess, "closed, it stands if who has it is a guess")
            continue
        _expect(row, row.standing == says, "it stands where its halves say")
        if says not in AGREEMENT:
            sides["clients" if row.clients else "workers"] += 1
    _expect(None, min(sides.values()) == 0, "no two halves are alone that can be one")


def _standing(pool: Pool) -> dict[int, Standing | None]:
    """Arrivals of the rows that the pool keeps by what they say -> under what."""
    standings = pool.standings
    if isinstance(standings, dict):
        return {arrival: standing for standing, rows in standings.items() for arrival in rows}
    return {} if standings is None else {standings.arrival: standings.standing}

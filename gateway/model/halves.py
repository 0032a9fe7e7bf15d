"""The two halves of an operation and the row that joins them.

A `ClientHalf` is what one client_operation_id was told. The workers' half is one scheduler's operation id: it is kept in the
`Row` itself, belongs to it for ever, and is there once `scheduler_operation_id` is. Client halves may move from row to row until it
is proven where they belong; `derive` then makes everything that a reader sees out of the halves that are there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING

from gateway.model.events import Outcome, Stage
from gateway.model.identity import ActionKey, Properties
from gateway.model.lifecycle import STAGES, Seen, Work
from gateway.model.records import Client, Join, Operation

if TYPE_CHECKING:
    from gateway.model.pools import Pool, Standing

_ORDER = attrgetter("order")
_SEEN = {
    Stage.UNKNOWN: Seen.UNKNOWN,
    Stage.CACHE_CHECK: Seen.CACHE_CHECK,
    Stage.QUEUED: Seen.QUEUED,
    Stage.EXECUTING: Seen.EXECUTING,
    Stage.COMPLETED: Seen.COMPLETED,
}

#: Id of a worker, and when it got the operation.
Holder = tuple[str, int]


@dataclass(slots=True, eq=False, kw_only=True)
class ClientHalf(Client):
    """What one client_operation_id was told."""

    #: Order of first sight: number of the event that named it.
    order: int
    #: None: known by name only, and no update has named a digest.
    key: ActionKey | None
    #: False: known by WaitExecution; `key.cacheable` is a guess.
    is_cacheable_known: bool
    #: None: known by WaitExecution.
    priority: int | None
    #: When its request was seen, when its first update was.
    load_at: int
    first_update_at: int
    #: Told last.
    stage: Stage = Stage.UNKNOWN
    #: Number of the event that told it.
    told: int = 0
    #: Rank of the stream that told it, while that is open; otherwise 0.
    teller: int = 0
    #: Told QUEUED after EXECUTING, and not EXECUTING since.
    was_requeued: bool = False
    done: bool = False
    outcome: Outcome | None = None
    #: Last keep-alive of followers that have left (nativelink-facts 7); 0: none has.
    kept_alive_at: int = 0
    #: An equal queued_timestamp shows that it belongs to its row.
    is_proven: bool = False
    #: None: its operation is no longer listed.
    row: Row | None = field(default=None, repr=False)

    @property
    def is_live(self) -> bool:
        """Somebody follows it and will be told how it ends."""
        return self.followers > 0 and not self.done


@dataclass(slots=True, eq=False, kw_only=True)
class Row(Operation):
    """One listed operation: any client halves, at most one workers' half, at least one half in all."""

    clients: tuple[ClientHalf, ...] = ()
    #: Of `clients`, those that are live, the one that was told something last at the end.
    live: tuple[ClientHalf, ...] = field(default=(), repr=False)
    work: Work = Work.NONE
    #: When the workers' half was first seen; None: it was not.
    work_seen_at: int | None = None
    #: Number of the event that changed `work` or who holds it.
    work_changed: int = 0
    #: When `work` became what it is.
    work_changed_at: int = 0
    #: Connected workers that have it, in the order in which that was seen. More than one while the end of an earlier one is not
    #: seen yet.
    holders: tuple[Holder, ...] = ()
    #: The worker that had it last.
    last_holder: Holder | None = None
    work_outcome: Outcome | None = None
    #: A result from a worker that got it just before another did, as far as was seen: the last word, should the other only go away.
    disputed: Outcome | None = None
    #: Attempts that ended in a lost worker or an error other than RESOURCE_EXHAUSTED, and the latest such error.
    failures: int = 0
    last_failure: Outcome | None = None
    #: That it is over follows from the count of its attempts.
    is_counted_out: bool = False
    #: The latest of its clients'.
    kept_alive_at: int = 0
    #: The deadline for somebody to follow it has passed.
    is_abandoned: bool = False
    #: A worker holds it that may have reported unseen.
    is_doubtful: bool = False
    #: The scheduler began a next generation of its key.
    is_superseded: bool = False
    #: Takes no more halves without proof.
    is_closed: bool = False
    has_abandoned_timer: bool = False
    has_settled_timer: bool = False
    #: None: its key is not known, or it is no longer listed.
    pool: Pool | None = field(default=None, repr=False)
    #: Where its pool keeps it for pairing; None: not there.
    standing: Standing | None = None
    #: The stage in which it is counted and was told of last; None: it is not yet.
    counted: Stage | None = None

    @property
    def is_over(self) -> bool:
        """Completed, by the word of either side."""
        clients = self.clients
        if self.work is Work.FINISHED:
            return True
        return len(clients) > len(self.live) and (clients[0].done or any(half.done for half in clients))

    @property
    def holder(self) -> str | None:
        """The worker that got it last, if that has it still."""
        return self.last_holder[0] if self.last_holder is not None and self.is_held_by(self.last_holder[0]) else None

    def is_held_by(self, worker_id: str) -> bool:
        """Whether the worker has it."""
        for holder in self.holders:  # noqa: SIM110 - there is one, and any() would cost as much as the rest
            if holder[0] == worker_id:
                return True
        return False

    def attach(self, half: ClientHalf) -> None:
        """Takes in a client half that has no row."""
        half.row = self
        self.kept_alive_at = max(self.kept_alive_at, half.kept_alive_at)
        before = self.clients
        self.clients = (*before, half)
        if before and before[-1].order > half.order:
            self.clients = tuple(sorted(self.clients, key=_ORDER))
        if half.is_live:
            self.is_abandoned = False
            self.live = (*self.live, half) if before else self.clients

    def detach(self, half: ClientHalf) -> None:
        """Lets go of one of its client halves."""
        half.row = None
        half.is_proven = False
        self.clients = _without(self.clients, half)
        self.hears_no_more(half)

    def hears(self, half: ClientHalf) -> None:
        """One of its client halves is live, and is the one that was told something last."""
        self.is_abandoned = False
        if len(self.clients) == 1:
            # Most have one: one tuple for both.
            self.live = self.clients
        elif not self.live or self.live[-1] is not half:
            self.live = (*_without(self.live, half), half)

    def hears_no_more(self, half: ClientHalf) -> None:
        """One of its client halves is not live, whether it was or not."""
        self.live = _without(self.live, half)

    def seen(self) -> Seen:
        """What its clients were told, for the lifecycle's table."""
        clients, live = self.clients, self.live
        if len(clients) > len(live) and (clients[0].done or any(half.done for half in clients)):
            return Seen.COMPLETED
        if live:
            half = live[-1]
            if half.told > self.work_changed:
                if half.was_requeued:
                    return Seen.REQUEUED
                if half.stage is Stage.EXECUTING:
                    return Seen.RESUMED
            return _SEEN[half.stage]
        return _SEEN[max(clients, key=attrgetter("told")).stage] if clients else Seen.NOTHING

    def assign(self, worker_id: str, at: int, event: int, reserved: Properties) -> None:
        """A worker got it."""
        holder = (worker_id, at)
        self.let_go(worker_id)
        self.holders = (*self.holders, holder)
        self.last_holder = holder
        self.attempts += 1
        self.reserved = reserved
        self.disputed = None
        if self.work is not Work.FINISHED:
            self._work(Work.RUNNING, at, event)

    def let_go(self, worker_id: str) -> None:
        """The worker has it no longer, if it did."""
        if self.holders:
            self.holders = tuple([each for each in self.holders if each[0] != worker_id])

    def release(self, worker_id: str, at: int, event: int) -> None:
        """A worker that had it has it no longer, and did not finish it."""
        self.let_go(worker_id)
        if self.work is Work.RUNNING and not self.holders:
            self.is_doubtful = False
            if self.disputed is not None:
                self.finish(at, event, self.disputed)
            else:
                self._work(Work.REQUEUED, at, event)

    def finish(self, at: int, event: int, outcome: Outcome | None) -> None:
        """A worker's execute_response, or the last failure that will be tried."""
        self.work_outcome = outcome
        self._work(Work.FINISHED, at, event)

    def _work(self, work: Work, at: int, event: int) -> None:
        self.work = work
        self.work_changed = event
        self.work_changed_at = at

    def derive(self, now: int) -> None:
        """Sets what readers see from the halves."""
        clients = self.clients
        if clients:
            first = clients[0]
            self.load_at = first.load_at
            self.first_update_at = first.first_update_at
            self.priority = first.priority
            if first.priority is None and len(clients) > 1:
                self.priority = next((half.priority for half in clients if half.priority is not None), None)
        else:
            self.priority = self.first_update_at = None
            self.load_at = self.work_seen_at or self.load_at
        stage = STAGES[self.seen(), self.work]
        if stage is Stage.COMPLETED:
            if self.finished_at is None:
                self.finished_at = now
            holder = self.last_holder
            self.outcome = self.work_outcome or next((half.outcome for half in clients if half.done), None)
        else:
            # A result that proves nothing may turn out to be another's.
            self.finished_at = self.outcome = None
            is_held = stage is Stage.EXECUTING and self.work is Work.RUNNING
            holder = self.holders[-1] if is_held else None
        self.worker_id, self.assigned_at = holder or (None, None)
        self.stage = stage
        if not clients or self.scheduler_operation_id is None:
            self.join = Join.NONE
        elif clients[0].is_proven or (len(clients) > 1 and any(half.is_proven for half in clients)):
            self.join = Join.PROVEN
        else:
            self.join = Join.TENTATIVE


def _without(halves: tuple[ClientHalf, ...], half: ClientHalf) -> tuple[ClientHalf, ...]:
    """Whether it is among them or not; mostly it is the first."""
    try:
        place = halves.index(half)
    except ValueError:
        return halves
    return halves[:place] + halves[place + 1 :]

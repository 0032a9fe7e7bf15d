"""What is listed: workers and operations, every index to them, counts, and the changes to tell of.

The parts of the model change halves and workers, and `touch` what they changed; `flush`, once for an event, derives what readers
see, keeps the counts and says each difference once.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from gateway.model.changes import AnomalyFound, Change, OperationChanged, OperationRemoved, WorkerChanged, WorkerRemoved
from gateway.model.events import Stage
from gateway.model.halves import ClientHalf, Row
from gateway.model.identity import ActionKey
from gateway.model.lifecycle import Work
from gateway.model.pools import Pools
from gateway.model.records import Anomaly, Worker
from gateway.model.retention import NS_PER_S, Retention
from gateway.model.settings import ModelSettings
from gateway.model.story import lines as story_lines
from gateway.model.story import longer
from gateway.model.timers import Due, Timers

#: How long messages of different connections about one moment may lie apart before what is missing is taken as never to come.
SETTLING_NS = 5 * NS_PER_S
#: What is seen of one moment on different connections may be this far apart.
SKEW_NS = NS_PER_S // 4

#: What a story says of a stage: (the one before, this one, whether there is a worker).
_SENTENCES = {
    (before, stage, has_worker): (f"{before.value} -> " if before else "") + stage.value + (" on %s" if has_worker else "")
    for before in (None, *Stage)
    for stage in Stage
    for has_worker in (False, True)
}


class Register:
    """Shared by the parts of the model. `now` and `event` are set by the model before each event."""

    __slots__ = (
        "_arrivals",
        "_changes",
        "_counted_workers",
        "_numbers",
        "_touched_rows",
        "_touched_workers",
        "accepting",
        "anomalies",
        "anomaly_counts",
        "by_client_id",
        "by_operation_id",
        "draining",
        "event",
        "namesakes",
        "now",
        "operations",
        "paused",
        "pools",
        "retention",
        "settings",
        "stages",
        "timers",
        "workers",
    )

    def __init__(self, settings: ModelSettings) -> None:
        self.settings = settings
        #: Unix nanoseconds, never decreasing; 0: nothing was observed.
        self.now = 0
        #: Counts events.
        self.event = 0
        #: Connected workers, by id, in the order in which they connected.
        self.workers: dict[str, Worker] = {}
        #: By arrival.
        self.operations: dict[int, Row] = {}
        #: Scheduler's operation id -> row.
        self.by_operation_id: dict[str, Row] = {}
        #: Client's operation id, without instance name -> client half of a listed operation, of equal ones the latest.
        self.by_client_id: dict[str, ClientHalf] = {}
        #: Operation.name -> client half, of those that were not the latest with their id.
        self.namesakes: dict[str, ClientHalf] = {}
        self.pools = Pools()
        self.timers = Timers()
        self.retention = Retention(settings.completed_s, settings.completed_max)
        self.anomalies: deque[Anomaly] = deque(maxlen=settings.anomalies_max)
        self.anomaly_counts: Counter[str] = Counter()
        #: Listed operations by stage; workers that accept, are paused, are draining.
        self.stages: dict[Stage, int] = dict.fromkeys(Stage, 0)
        self.accepting = self.paused = self.draining = 0
        #: Worker id -> what it adds to these three.
        self._counted_workers: dict[str, tuple[bool, bool, bool]] = {}
        self._touched_rows: dict[int, Row] = {}
        #: Worker id -> it just connected.
        self._touched_workers: dict[str, bool] = {}
        self._arrivals = 0
        self._numbers = 0
        self._changes: list[Change] = []

    def configure(self, settings: ModelSettings) -> None:
        """Go on under these settings."""
        self.settings = settings
        self.retention.configure(settings.completed_s, settings.completed_max)
        self.anomalies = deque(self.anomalies, settings.anomalies_max)

    # --- telling ------------------------------------------------------------------------------------------------------

    def arrival(self) -> int:
        """The next number in the order of first sight."""
        self._arrivals += 1
        return self._arrivals

    def emit(self, change: Callable[..., Change], *values: Any) -> None:
        """Says what became different."""
        self._numbers += 1
        self._changes.append(change(self._numbers, self.now, *values))

    def anomaly(self, kind: str, entity: str, text: str) -> None:
        """Keeps and says what the lifecycle does not allow. `entity` is a worker id, an operation id, or neither."""
        subject = self.by_operation_id.get(entity) or self.workers.get(entity)
        if subject is None:
            half = self.half_named(entity)
            subject = half.row if half is not None else None
        story = story_lines(subject.story) if subject is not None else ()
        found = Anomaly(self.now, kind, entity, text, story)
        self.anomalies.append(found)
        self.anomaly_counts[kind] += 1
        self.emit(AnomalyFound, found)

    def tell(self, subject: Row | Worker, sentence: str, word: str | None = None) -> None:
        """Adds a line to the story of an entity; `%s` in the sentence stands for the word."""
        subject.story = longer(subject.story, self.settings.story_max, self.now, sentence, word)

    # --- workers ------------------------------------------------------------------------------------------------------

    def add_worker(self, worker: Worker) -> None:
        """Lists a worker."""
        self.workers[worker.id] = worker
        self._counted_workers[worker.id] = (False, False, False)
        self._touched_workers[worker.id] = True

    def touch_worker(self, worker: Worker) -> None:
        """Something about it is different."""
        self._touched_workers.setdefault(worker.id, False)

    def drop_worker(self, worker: Worker, reason: str) -> None:
        """It is no longer connected."""
        del self.workers[worker.id]
        self._count_worker(worker.id, (False, False, False))
        del self._counted_workers[worker.id]
        self._touched_workers.pop(worker.id, None)
        self.emit(WorkerRemoved, worker.arrival, worker.id, reason)

    def _count_worker(self, worker_id: str, counted: tuple[bool, bool, bool]) -> None:
        before = self._counted_workers[worker_id]
        if before != counted:
            self.accepting += counted[0] - before[0]
            self.paused += counted[1] - before[1]
            self.draining += counted[2] - before[2]
            self._counted_workers[worker_id] = counted

    # --- operations ---------------------------------------------------------------------------------------------------

    def new_row(self, key: ActionKey | None, *, is_cacheable_known: bool = True) -> Row:
        """Lists an operation that has no half yet; the caller gives it one."""
        row = Row(arrival=self.arrival(), key=key, stage=Stage.UNKNOWN, load_at=self.now, is_cacheable_known=is_cacheable_known)
        self.operations[row.arrival] = row
        if key is not None:
            self.pools.enter(row, key)
        self._touched_rows[row.arrival] = row
        return row

    def touch(self, row: Row) -> None:
        """Something about it is different.

        With no client to hear of it, the count of attempts tells whether the last of them was.
        """
        self._touched_rows[row.arrival] = row
        if row.work is Work.REQUEUED and row.failures > self.settings.max_job_retries and not row.live:
            row.finish(self.now, self.event, row.last_failure)
            row.is_counted_out = True
            if row.pool is not None and row.pool.key.cacheable:
                row.pool.failed = row

    def drop(self, row: Row, reason: str) -> None:
        """It is no longer listed."""
        shown = row.operation_id
        self.pools.leave(row)
        del self.operations[row.arrival]
        if row.scheduler_operation_id is not None:
            del self.by_operation_id[row.scheduler_operation_id]
        for half in row.clients:
            row.detach(half)
            self.forget_half(half)
        self._touched_rows.pop(row.arrival, None)
        if row.counted is not None:
            self.stages[row.counted] -= 1
            row.counted = None
            self.emit(OperationRemoved, row.arrival, shown, reason)

    # --- client halves ------------------------------------------------------------------------------------------------

    def add_half(self, half: ClientHalf) -> None:
        """A client half whose name is new is about to be part of a listed operation."""
        before = self.by_client_id.get(half.client_operation_id)
        if before is not None:
            self.namesakes[before.name] = before
        self.by_client_id[half.client_operation_id] = half

    def half(self, instance_name: str | None, client_operation_id: str) -> ClientHalf | None:
        """The client half with the name that these two make."""
        half = self.by_client_id.get(client_operation_id)
        if half is not None and half.instance_name == instance_name:
            return half
        if not self.namesakes:
            return None
        return self.namesakes.get(client_operation_id if instance_name is None else f"{instance_name}/{client_operation_id}")

    def half_named(self, name: str) -> ClientHalf | None:
        """The client half with this Operation.name."""
        instance_name, slash, client_operation_id = name.rpartition("/")
        return self.half(instance_name if slash else None, client_operation_id)

    def forget_half(self, half: ClientHalf) -> None:
        """A client half is part of no listed operation; its name means nothing any more."""
        if self.by_client_id.get(half.client_operation_id) is half:
            del self.by_client_id[half.client_operation_id]
        else:
            del self.namesakes[half.name]

    # --- once for an event --------------------------------------------------------------------------------------------

    def flush(self) -> list[Change]:
        """Derives what was touched, and hands over the changes since the last time."""
        while self._touched_rows:
            touched, self._touched_rows = self._touched_rows, {}
            for row in touched.values():
                self._flush_row(row)
            self.expire()
        if self._touched_workers:
            for worker_id, appeared in self._touched_workers.items():
                worker = self.workers[worker_id]
                self._count_worker(worker_id, (worker.can_accept_work, worker.is_paused, worker.is_draining))
                self.emit(WorkerChanged, worker.arrival, worker_id, appeared)
            self._touched_workers.clear()
        if not self._changes:
            return []
        changes, self._changes = self._changes, []
        return changes

    def is_due(self) -> bool:
        """Whether there is something whose time has come."""
        return self.timers.next_at <= self.now or self.retention.next_at <= self.now

    def expire(self) -> None:
        """Drops completed operations whose time is over, or that are too many."""
        while self.retention.is_due(self.now, self.stages[Stage.COMPLETED]):
            finished_at, arrival = self.retention.pop()
            row = self.operations.get(arrival)
            if row is not None and row.finished_at == finished_at:
                self.drop(row, "retention")

    def _flush_row(self, row: Row) -> None:
        row.derive(self.now)
        if row.is_abandoned and not row.live and row.work is not Work.RUNNING:
            self.drop(row, "abandoned")
            return
        arrival, stage = row.arrival, row.stage
        before = row.counted
        if before is not stage:
            if before is not None:
                self.stages[before] -= 1
            self.stages[stage] += 1
            row.counted = stage
            self.tell(row, _SENTENCES[before, stage, row.worker_id is not None], row.worker_id)
            if stage is Stage.COMPLETED:
                self.retention.completed(self.now, arrival)
                self.settle_later(row)
        if stage is not Stage.COMPLETED and not row.live:
            self.abandon_later(row)
        self.emit(OperationChanged, arrival, row.operation_id, before, stage)

    def settle_later(self, row: Row) -> None:
        """Looks again, when every message of this moment must have come, whether its clients belong there."""
        if not row.has_settled_timer:
            row.has_settled_timer = True
            self.timers.set(self.now + SETTLING_NS, Due.SETTLED, row.arrival)

    def abandon_later(self, row: Row) -> None:
        """Looks whether anybody wants it when the scheduler would drop it (nativelink-facts 7)."""
        deadline = self.abandoned_at(row)
        if deadline is not None and not row.has_abandoned_timer:
            row.has_abandoned_timer = True
            self.timers.set(deadline, Due.ABANDONED, row.arrival)

    def abandoned_at(self, row: Row) -> int | None:
        """When an operation that nobody follows ends; None: not while things are as they are.

        One that no client was seen to ask for may well be followed past the taps: it ends that long after its last worker had it.
        """
        timeout = self.settings.client_action_timeout_s * NS_PER_S
        if row.clients:
            return row.kept_alive_at + timeout
        return row.work_changed_at + timeout if row.work is Work.REQUEUED else None

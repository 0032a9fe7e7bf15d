"""Workers, exactly as the scheduler keeps them (nativelink-facts 2, "Worker state"), and what they do to operations.

A worker is listed from the answer to its registration until its stream ends, it says good-bye or is sent away; no timer removes
it. Its own stream alone decides what it runs. An operation names it as long as it has the operation and nobody got it later.
"""

from __future__ import annotations

from functools import lru_cache

from gateway.model.changes import WORKER_REMOVALS, AttemptBegan, AttemptFailed, RegistrationRefused
from gateway.model.correlation import Correlation
from gateway.model.events import (
    DisconnectSent,
    DrainSet,
    ExecutionCompleted,
    KillRequested,
    OperationAssigned,
    Outcome,
    ResultReported,
    WorkerConnected,
    WorkerKeptAlive,
    WorkerLeaving,
    WorkerRefused,
    WorkerStreamEnded,
)
from gateway.model.halves import Row
from gateway.model.identity import Properties, StreamId
from gateway.model.lifecycle import Work
from gateway.model.records import Worker
from gateway.model.register import SETTLING_NS, Register

_RESOURCE_EXHAUSTED = 8
#: Of the largest unsigned 64-bit number.
_DIGITS = 20

#: What a story says of an operation whose worker was removed.
_LOST = {reason: f"lost by %s: {reason}" for reason in WORKER_REMOVALS}


class Workforce:
    """The workers' side of the model."""

    __slots__ = ("_correlation", "_leavers", "_register", "_removed", "by_stream", "refused")

    def __init__(self, register: Register, correlation: Correlation) -> None:
        self._register = register
        self._correlation = correlation
        #: Streams that got a worker id and are open -> worker id. Also those of workers that the scheduler has removed.
        self.by_stream: dict[StreamId, str] = {}
        #: Those workers, and of them those that left of their own will.
        self._removed: dict[str, StreamId] = {}
        self._leavers: set[str] = set()
        self.refused = 0

    # --- coming and going ---------------------------------------------------------------------------------------------

    def connected(self, event: WorkerConnected) -> None:
        """A registration was answered. Said again, with what was missed, after a gap."""
        register = self._register
        known = register.workers.get(event.worker_id)
        if known is not None and known.stream == event.stream:
            if known.properties is None:
                known.properties = event.properties
                known.max_inflight_tasks = event.max_inflight_tasks
                known.id_prefix = event.id_prefix
                register.touch_worker(known)
            return
        if known is not None:
            register.anomaly("worker_id_reused", known.id, f"registered again on stream {event.stream}")
            self.by_stream.pop(known.stream, None)
            self.remove(known, "replaced")
        if event.stream in self.by_stream:
            register.anomaly("worker_renamed", self.by_stream[event.stream], f"{event.stream} is {event.worker_id} from now on")
            self.end_stream(event.stream, "replaced")
        removed = self._removed.pop(event.worker_id, None)
        if removed is not None:
            del self.by_stream[removed]
        self._leavers.discard(event.worker_id)
        worker = Worker(
            id=event.worker_id,
            arrival=register.arrival(),
            stream=event.stream,
            connected_at=event.at,
            last_update_at=event.at,
            properties=event.properties,
            id_prefix=event.id_prefix,
            max_inflight_tasks=event.max_inflight_tasks,
            peer=event.peer,
            user_agent=event.user_agent,
            is_complete=event.properties is not None,
        )
        self.by_stream[event.stream] = worker.id
        register.add_worker(worker)
        register.tell(worker, "connected from %s", event.peer)

    def turned_away(self, event: WorkerRefused) -> None:
        """A registration was answered with an error; it is no worker."""
        self.refused += 1
        self._register.emit(
            RegistrationRefused, event.peer, event.id_prefix, event.properties, event.status_code, event.status_message
        )

    def kept_alive(self, event: WorkerKeptAlive) -> None:
        """Only this and registration refresh `last_update_at`."""
        worker = self._register.workers.get(event.worker_id)
        if worker is not None and event.last_at > worker.last_update_at:
            worker.last_update_at = min(event.last_at, self._register.now)
            self._register.touch_worker(worker)

    def leaving(self, event: WorkerLeaving) -> None:
        """The scheduler removes it at once, and counts none of the results that it may still send."""
        worker = self._worker(event.worker_id, "good-bye")
        if worker is not None:
            self._leavers.add(worker.id)
            self.remove(worker, "going away")

    def sent_away(self, event: DisconnectSent) -> Worker | None:
        """Evicted, or the scheduler stops. Returns the worker if it was listed."""
        worker = self._register.workers.get(event.worker_id)
        if worker is not None:
            self.remove(worker, "evicted")
        return worker

    def stream_ended(self, event: WorkerStreamEnded) -> None:
        """The end of the worker, if the scheduler has not removed it before."""
        worker = self._register.workers.get(event.worker_id)
        stream = worker.stream if worker is not None else self._removed.get(event.worker_id)
        if stream is not None:
            self.end_stream(stream, "stream ended")

    def end_stream(self, stream: StreamId, reason: str) -> None:
        """The stream of a worker is over: the end of the worker, if the scheduler has not removed it before."""
        worker_id = self.by_stream.pop(stream)
        worker = self._register.workers.get(worker_id)
        if worker is not None:
            self.remove(worker, reason)
        else:
            del self._removed[worker_id]
            self._leavers.discard(worker_id)

    def remove(self, worker: Worker, reason: str) -> None:
        """The scheduler keeps it no longer: what it ran is queued again."""
        for operation_id in worker.running:
            row = self._register.by_operation_id.get(operation_id)
            if row is not None and row.is_held_by(worker.id):
                self._register.tell(row, _LOST[reason], worker.id)
                self._fail(row, worker.id, None, counts=True)
        self._register.drop_worker(worker, reason)
        if worker.stream in self.by_stream:
            self._removed[worker.id] = worker.stream

    def drained(self, event: DrainSet) -> None:
        """The admin call is the only thing that changes draining."""
        worker = self._worker(event.worker_id, "admin call")
        if worker is not None and worker.is_draining is not event.draining:
            worker.is_draining = event.draining
            self._register.tell(worker, "draining" if event.draining else "no longer draining")
            self._register.touch_worker(worker)

    # --- what it runs -------------------------------------------------------------------------------------------------

    def assigned(self, event: OperationAssigned) -> None:
        """StartExecute."""
        register = self._register
        worker = self._worker(event.worker_id, f"StartExecute of {event.operation_id}")
        if worker is None:
            return
        if not event.operation_id:
            register.anomaly("unnamed", worker.id, "a StartExecute without operation id")
            return
        row = register.by_operation_id.get(event.operation_id)
        if row is not None:
            if row.holder not in {None, worker.id}:
                register.emit(AttemptFailed, row.arrival, event.operation_id, row.holder, "overtaken")
            if row.is_doubtful:
                self.release_doubtful(row, counts=False)
        if event.operation_id in worker.running:
            register.anomaly("assigned_twice", event.operation_id, f"{worker.id} had it already")
            self._forget(worker, event.operation_id)
        worker.running[event.operation_id] = event.platform
        register.tell(worker, "got %s", event.operation_id)
        register.touch_worker(worker)
        if row is None:
            row = self._correlation.row_for_run(event.operation_id, event.key, event.queued_at)
        waited_since = {Work.NONE: row.insert_at, Work.REQUEUED: row.work_changed_at}.get(row.work)
        row.assign(worker.id, register.now, register.event, event.platform)
        register.emit(AttemptBegan, row.arrival, event.operation_id, worker.id, waited_since)
        self._correlation.worked(row)

    def uploading(self, event: ExecutionCompleted) -> None:
        """ExecuteComplete gives the reservation back and keeps the entry."""
        worker = self._worker(event.worker_id, f"ExecuteComplete of {event.operation_id}")
        if worker is not None and event.operation_id in worker.running and event.operation_id not in worker.released:
            worker.released = (*worker.released, event.operation_id)
            self._register.touch_worker(worker)
            row = self._register.by_operation_id.get(event.operation_id)
            if row is not None and len(row.holders) == 1:
                row.is_doubtful = False

    def killed(self, event: KillRequested) -> None:
        """The worker keeps it until it reports."""
        row = self._register.by_operation_id.get(event.operation_id)
        if row is not None:
            self._register.tell(row, "kill sent to %s", event.worker_id)
            self._register.touch(row)

    def reported(self, event: ResultReported) -> None:
        """ExecuteResult."""
        register, outcome, operation_id = self._register, event.outcome, event.operation_id
        worker = register.workers.get(event.worker_id)
        if worker is None:
            if event.worker_id not in self._leavers:
                register.anomaly("late_result", operation_id, f"from {event.worker_id}, which is no longer connected")
            return
        if operation_id not in worker.running and worker.is_complete:
            register.anomaly("unknown_result", worker.id, f"of {operation_id}, which it did not have")
            return
        self._forget(worker, operation_id)
        worker.actions_completed += 1
        # can_accept_work asks for is_paused, which is clear here (nativelink-facts 2).
        worker.is_paused = False
        is_pressed = outcome.internal_error and outcome.status_code == _RESOURCE_EXHAUSTED
        worker.is_paused = bool(worker.running) and (is_pressed or not worker.can_accept_work)
        row = register.by_operation_id.get(operation_id)
        of_worker, of_row = _reports(outcome.internal_error, outcome.status_code, outcome.exit_code)
        # The text that its row has, where there is one: a story outlives many operations.
        register.tell(worker, of_worker, row.operation_id if row is not None else operation_id)
        if row is None or not row.is_held_by(worker.id):
            return
        register.tell(row, of_row, worker.id)
        if outcome.internal_error:
            self._fail(row, worker.id, outcome, counts=not is_pressed)
        elif row.holders[-1][0] != worker.id:
            self._overtaken(row, worker, outcome)
        else:
            if row.disputed is not None:
                register.anomaly("late_result", operation_id, f"another worker reported it before {worker.id}, which had it last")
            row.let_go(worker.id)
            row.is_doubtful = False
            row.finish(register.now, register.event, outcome)
            self._correlation.worked(row)

    def release_doubtful(self, row: Row, *, counts: bool) -> None:
        """What is known otherwise says that workers of whom something was missed have it no longer: their report was."""
        register = self._register
        for worker in [register.workers[worker_id] for worker_id, _ in row.holders]:
            if not worker.is_complete:
                self._forget(worker, row.operation_id)
                worker.actions_completed += counts
                row.release(worker.id, register.now, register.event)
        self._correlation.worked(row)

    def remaining_properties(self, worker: Worker) -> Properties | None:
        """Declared ones, of a repeated name the last, less what running actions hold of `minimum` ones; None: not known."""
        if worker.properties is None:
            return None
        left = dict(worker.properties)
        for operation_id, reserved in worker.running.items():
            if operation_id in worker.released:
                continue
            for name, value in dict(reserved).items():
                has, takes = _number(left.get(name, "")), _number(value)
                if name in self._register.settings.minimum_properties and has is not None and takes is not None:
                    left[name] = str(max(0, has - takes))
        return tuple(left.items())

    # --- inside -------------------------------------------------------------------------------------------------------

    def _worker(self, worker_id: str, what: str) -> Worker | None:
        worker = self._register.workers.get(worker_id)
        if worker is None and worker_id not in self._leavers:
            self._register.anomaly("unknown_worker", worker_id, f"{what} for a worker that is not connected")
        return worker

    def _forget(self, worker: Worker, operation_id: str) -> None:
        worker.running.pop(operation_id, None)
        if operation_id in worker.released:
            worker.released = tuple([each for each in worker.released if each != operation_id])
        if not worker.running:
            # It was paused by a report that left it something, and the report of that was missed (nativelink-facts 2).
            worker.is_paused = False
        self._register.touch_worker(worker)

    def _overtaken(self, row: Row, worker: Worker, outcome: Outcome) -> None:
        """A result of a worker, and another got the operation since: late, unless both were seen to get it at about one time."""
        register = self._register
        holder, assigned_at = row.holders[-1]
        row.release(worker.id, register.now, register.event)
        if register.now - assigned_at <= SETTLING_NS:
            row.disputed = outcome
        else:
            register.anomaly("late_result", row.operation_id, f"from {worker.id}, when {holder} had it")
        register.touch(row)

    def _fail(self, row: Row, worker_id: str, outcome: Outcome | None, *, counts: bool) -> None:
        """An attempt ended without a result."""
        register = self._register
        if row.holder == worker_id and row.work is Work.RUNNING:
            # Of any other it was said when the next one got it.
            reason = "worker lost" if outcome is None else "internal error"
            register.emit(AttemptFailed, row.arrival, row.operation_id, worker_id, reason)
        row.release(worker_id, register.now, register.event)
        if counts:
            row.failures += 1
            row.last_failure = outcome
        self._correlation.worked(row)


def _number(value: str) -> int | None:
    """Of an unsigned 64-bit number, as the scheduler reads `minimum` properties; None: it is none."""
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= _DIGITS else None


@lru_cache(256)
def _reports(internal_error: bool, status_code: int, exit_code: int | None) -> tuple[str, str]:
    """What the stories of worker and operation say of a result, one text for all that say the same."""
    told = f"internal error {status_code}" if internal_error else f"status {status_code}, exit code {exit_code}"
    return f"reported %s: {told}", f"%s reported {told}"

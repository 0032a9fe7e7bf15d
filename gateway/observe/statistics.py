"""What happened, added up: the model's changes come in, after every event; counts and histograms that only grow go out.

A subscriber of the change stream (`gateway.model.changes`), and nothing else: no clock, no I/O. It keeps what it needs to know of
what is listed, so the model may have something in it already, which then was not counted. It can be pickled.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import NamedTuple

from gateway.model.changes import (
    ATTEMPT_FAILURES,
    WORKER_REMOVALS,
    AnomalyFound,
    AttemptBegan,
    AttemptFailed,
    Change,
    OperationChanged,
    OperationRemoved,
    RecordsLost,
    RegistrationRefused,
    SchedulerRestarted,
    WorkerChanged,
    WorkerRemoved,
)
from gateway.model.events import Outcome, Stage
from gateway.model.records import ANOMALY_KINDS, Operation, Worker
from gateway.model.scheduler import SchedulerModel
from gateway.observe.waiting import Waiting

#: Upper bounds of both histograms, seconds: from what is answered at once to an hour.
BOUNDS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
_BOUNDS_NS = tuple(int(each * 1_000_000_000) for each in BOUNDS_S)

WORKER_STATES = ("accepting", "full", "paused", "draining", "unknown")
#: Reasons of OperationRemoved that are told of unfinished operations.
OPERATION_DROPS = ("abandoned", "scheduler restarted")
#: google.rpc.Code; status codes beyond are counted as UNKNOWN's.
_CODES = range(17)
_UNKNOWN_CODE = 2
EXITS = ("zero", "nonzero", "none")


class Result(NamedTuple):
    """What results are counted by."""

    #: google.rpc.Code; None: nobody was told how it ended, or that was not seen.
    status_code: int | None
    #: One of EXITS: the exit code of the command; "none" where the result has no ActionResult.
    exit: str


class Durations:
    """A histogram over BOUNDS_S."""

    __slots__ = ("counts", "sum_ns")

    def __init__(self) -> None:
        #: Each without those before; the last is of everything over the last bound.
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.sum_ns = 0

    def observe(self, duration_ns: int) -> None:
        """One more. Two machines' clocks are behind some of them: what seems to have ended before it began took no time."""
        duration_ns = max(duration_ns, 0)
        self.counts[bisect_left(_BOUNDS_NS, duration_ns)] += 1
        self.sum_ns += duration_ns


class Statistics:
    """Added up since it was made."""

    __slots__ = (
        "_completed",
        "_counted_early",
        "_worker_states",
        "anomalies",
        "attempts_failed",
        "cached_results",
        "execution_time",
        "operations_dropped",
        "queue_time",
        "records_missed",
        "results",
        "scheduler_restarts",
        "waiting",
        "worker_connections",
        "workers",
        "workers_lost",
        "workers_refused",
    )

    def __init__(self, model: SchedulerModel) -> None:
        """Begin at the model's state, of which only what is there is counted."""
        #: Connected workers by state.
        self.workers = dict.fromkeys(WORKER_STATES, 0)
        self.worker_connections = 0
        #: By reason, a word of WORKER_REMOVALS.
        self.workers_lost = dict.fromkeys(WORKER_REMOVALS, 0)
        #: Of every attempt: from when the action was queued, or queued again, until a worker got it.
        self.queue_time = Durations()
        #: Of every operation that a worker completed: from when that worker got it until its result.
        self.execution_time = Durations()
        #: Of operations, each once however many clients it has.
        self.results = {Result(code, each): 0 for code in _CODES for each in EXITS} | {Result(None, "none"): 0}
        self.cached_results = 0
        #: By reason, a word of ATTEMPT_FAILURES.
        self.attempts_failed = dict.fromkeys(ATTEMPT_FAILURES, 0)
        self.operations_dropped = dict.fromkeys(OPERATION_DROPS, 0)
        self.anomalies = dict.fromkeys(ANOMALY_KINDS, 0)
        self.scheduler_restarts = self.workers_refused = self.records_missed = 0
        self.waiting = Waiting()
        #: Arrival -> state.
        self._worker_states: dict[int, str] = {}
        #: Arrivals of listed operations whose result was counted.
        self._completed: set[int] = set()
        #: Results counted of operations that then turned out to be part of others.
        self._counted_early = 0
        for worker in model.workers.values():
            self._enter(worker)
        for operation in model.operations.values():
            if operation.stage is Stage.QUEUED:
                self._queued(operation, None, model.now)
            elif operation.is_finished:
                self._completed.add(operation.arrival)

    def count(self, changes: Iterable[Change], model: SchedulerModel) -> None:
        """Take in what one event changed, before the next is applied."""
        operations = model.operations
        for change in changes:
            match change:
                case OperationChanged():
                    operation = operations.get(change.arrival)
                    if operation is not None:
                        self._operation(operation, change)
                case WorkerChanged():
                    worker = model.workers.get(change.worker_id)
                    self.worker_connections += change.appeared
                    if worker is not None and worker.arrival == change.arrival:
                        self._enter(worker)
                case AttemptBegan():
                    if change.queued_since is not None:
                        self.queue_time.observe(change.at - change.queued_since)
                case AttemptFailed():
                    self.attempts_failed[change.reason] += 1
                case OperationRemoved():
                    self._gone(change)
                case _:
                    self._rare(change)

    def _rare(self, change: Change) -> None:
        match change:
            case WorkerRemoved():
                state = self._worker_states.pop(change.arrival, None)
                if state is not None:
                    self.workers[state] -= 1
                self.workers_lost[change.reason] = self.workers_lost.get(change.reason, 0) + 1
            case AnomalyFound():
                kind = change.anomaly.kind
                self.anomalies[kind] = self.anomalies.get(kind, 0) + 1
            case SchedulerRestarted():
                self.scheduler_restarts += 1
            case RegistrationRefused():
                self.workers_refused += 1
            case RecordsLost():
                self.records_missed += change.count

    def _enter(self, worker: Worker) -> None:
        before, state = self._worker_states.get(worker.arrival), _state(worker)
        if before != state:
            if before is not None:
                self.workers[before] -= 1
            self.workers[state] += 1
            self._worker_states[worker.arrival] = state

    def _operation(self, operation: Operation, change: OperationChanged) -> None:
        if change.stage is Stage.QUEUED:
            self._queued(operation, change.stage_before, change.at)
            return
        if change.stage_before is Stage.QUEUED:
            self.waiting.remove(change.arrival, change.at)
        if change.stage is Stage.COMPLETED and change.arrival not in self._completed:
            self._completed.add(change.arrival)
            self._finished(operation)

    def _queued(self, operation: Operation, stage_before: Stage | None, now: int) -> None:
        # What was taken from a worker waits since then.
        since = now if stage_before is Stage.EXECUTING or operation.insert_at is None else operation.insert_at
        self.waiting.put(operation.arrival, since, operation.platform_properties, now)

    def _finished(self, operation: Operation) -> None:
        if operation.assigned_at is not None and operation.finished_at is not None:
            self.execution_time.observe(operation.finished_at - operation.assigned_at)
        if self._counted_early:
            self._counted_early -= 1
            return
        outcome = operation.outcome
        self.results[_result(outcome)] += 1
        self.cached_results += outcome is not None and outcome.cached

    def _gone(self, change: OperationRemoved) -> None:
        self.waiting.remove(change.arrival, change.at)
        if change.arrival in self._completed:
            self._completed.remove(change.arrival)
            self._counted_early += change.reason.startswith("joined with")
        if change.reason in self.operations_dropped:
            self.operations_dropped[change.reason] += 1


def _state(worker: Worker) -> str:
    """The one thing that most keeps it from taking work."""
    if worker.is_draining:
        return "draining"
    if worker.is_paused:
        return "paused"
    if worker.max_inflight_tasks is None:
        return "unknown"
    return "accepting" if worker.can_accept_work else "full"


def _result(outcome: Outcome | None) -> Result:
    if outcome is None:
        return Result(None, "none")
    code = outcome.status_code if outcome.status_code in _CODES else _UNKNOWN_CODE
    return Result(code, "none" if outcome.exit_code is None else "nonzero" if outcome.exit_code else "zero")

"""A truthful little scheduler: plays workers, clients and their scheduler at random, and knows what is really so.

It writes what would be seen on the wire, connection by connection, the way a NativeLink does (nativelink-facts 2, 3 and 7): clients
may miss states that pass quickly, the first update may be EXECUTING already, retries may be exhausted without execution metadata.
What is seen of one step may then be told to a model in any order that keeps each connection's own.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from gateway.model import events
from gateway.model.events import Event, Outcome, Stage
from gateway.model.identity import ActionKey, StreamId
from gateway.model.scheduler import SchedulerModel
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, RUN, SECOND, START, key

MAX_RETRIES = 2
_RESOURCE_EXHAUSTED = 8


@dataclass
class _Operation:
    id: str
    key: ActionKey
    queued_at: int
    priority: int
    stage: Stage = QUEUED
    worker: str | None = None
    failures: int = 0
    ran: bool = False
    outcome: Outcome | None = None
    #: Client operation id -> stream that follows, None once it left.
    clients: dict[str, StreamId | None] = field(default_factory=dict)


@dataclass
class _Worker:
    id: str
    connection: int
    slots: int
    running: list[str] = field(default_factory=list)
    completed: int = 0
    is_paused: bool = False
    is_draining: bool = False

    @property
    def can_accept_work(self) -> bool:
        return not self.is_paused and not self.is_draining and (not self.slots or len(self.running) < self.slots)


class Reference:
    """`seen` grows by (connection, event), in the true order."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = START
        self.seen: list[tuple[int, Event]] = []
        self.workers: dict[str, _Worker] = {}
        self.operations: dict[str, _Operation] = {}
        #: (client operation id, scheduler's operation id), where the result names its queued_timestamp.
        self.proven: set[tuple[str, str]] = set()
        #: Clients that asked before this step: only those cancel, as what was never told apart cannot be.
        self._settled: list[tuple[str, str]] = []
        #: Client operation id -> the stage that it was told last.
        self._told: dict[str, Stage] = {}
        self._has_evicted = False
        self._numbers = 0

    # --- steps --------------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """A few things happen within a moment."""
        self._has_evicted = False
        self._settled = [
            (operation.id, client)
            for operation in self.operations.values()
            for client, stream in operation.clients.items()
            if stream is not None
        ]
        acts = [self._connect, self._execute, self._execute, self._execute, self._match, self._match, self._finish, self._finish]
        acts += [self._finish, self._fail, self._lose, self._cancel, self._drain, self._come_back]
        for _ in range(self.random.randint(1, 8)):
            self.now += self.random.randint(1, 1000)
            self.random.choice(acts)()

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _connect(self) -> None:
        if len(self.workers) >= 3:
            return
        number = 1000 + self._number()
        worker = _Worker(f"w{number}", number, self.random.choice([0, 1, 2]))
        self.workers[worker.id] = worker
        self._see(
            number,
            events.WorkerConnected(self.now, worker.id, StreamId(RUN, number, 1), (("cpu_count", "8"),), "w", worker.slots, "", ""),
        )

    def _execute(self) -> None:
        action = key(self.random.choice("ab"), cacheable=self.random.random() < 0.5)
        # A connection of its own, or one of a few that are shared: what is on one connection keeps its order.
        number = self._number()
        stream = StreamId(RUN, self.random.choice([number, 1 + number % 2]), number)
        priority = self.random.randint(0, 2)
        self._see(stream.connection, events.ExecuteRequested(self.now, stream, action, priority, None, "", ""))
        client = f"c{number}"
        found = next(
            (each for each in self.operations.values() if action.cacheable and each.key == action and each.stage is not COMPLETED),
            None,
        )
        if found is None:
            found = _Operation(f"op{number}", action, self.now, priority)
            self.operations[found.id] = found
        found.clients[client] = stream
        if self.random.random() < 0.3:
            self._match()
        self._tell(found, client)

    def _match(self) -> None:
        queued = [each for each in self.operations.values() if each.stage is QUEUED]
        free = [worker for worker in self.workers.values() if worker.can_accept_work]
        if not queued or not free:
            return
        operation = max(queued, key=lambda each: each.priority)
        worker = self.random.choice(free)
        worker.running.append(operation.id)
        operation.stage, operation.worker, operation.ran = EXECUTING, worker.id, True
        self._see(
            worker.connection,
            events.OperationAssigned(self.now, worker.id, operation.id, operation.key, operation.queued_at, (("cpu_count", "1"),)),
        )
        self._tell_all(operation)

    def _running(self) -> tuple[_Worker, _Operation] | None:
        pairs = [(worker, self.operations[id_]) for worker in self.workers.values() for id_ in worker.running]
        return self.random.choice(pairs) if pairs else None

    def _finish(self) -> None:
        found = self._running()
        if found is None:
            return
        worker, operation = found
        outcome = Outcome(exit_code=self.random.choice([0, 0, 3]), queued_at=operation.queued_at)
        self._see(worker.connection, events.ExecutionCompleted(self.now, worker.id, operation.id))
        self._see(worker.connection, events.ResultReported(self.now, worker.id, operation.id, outcome))
        self._take(worker, operation, pressed=False)
        self._complete(operation, outcome)

    def _fail(self) -> None:
        found = self._running()
        if found is None:
            return
        worker, operation = found
        pressed = self.random.random() < 0.3 or self._must_not_fail(operation)
        outcome = Outcome(status_code=_RESOURCE_EXHAUSTED if pressed else 13, internal_error=True)
        self._see(worker.connection, events.ResultReported(self.now, worker.id, operation.id, outcome))
        self._take(worker, operation, pressed=pressed)
        self._requeue(operation, counts=not pressed)

    def _lose(self) -> None:
        spared = {
            worker.id for worker in self.workers.values() if any(map(self._must_not_fail, map(self.operations.get, worker.running)))
        }
        if not self.workers.keys() - spared:
            return
        worker = self.workers.pop(self.random.choice(sorted(self.workers.keys() - spared)))
        how = self.random.random()
        if how < 0.3 and not self._has_evicted:
            # Several at once would be the scheduler's stop.
            self._has_evicted = True
            self._see(worker.connection, events.DisconnectSent(self.now, worker.id))
        elif how < 0.6:
            self._see(worker.connection, events.WorkerLeaving(self.now, worker.id))
        self._see(worker.connection, events.WorkerStreamEnded(self.now, worker.id, None))
        for id_ in worker.running:
            self._requeue(self.operations[id_], counts=True)

    def _cancel(self) -> None:
        if not self._settled:
            return
        operation_id, client = self._settled.pop(self.random.randrange(len(self._settled)))
        operation = self.operations[operation_id]
        stream = operation.clients[client]
        if stream is not None and operation.stage is not COMPLETED:
            operation.clients[client] = None
            self._see(stream.connection, events.FollowerLeft(self.now, stream, None))

    def _come_back(self) -> None:
        """WaitExecution of one that cancelled."""
        gone = [
            (operation, client)
            for operation in self.operations.values()
            for client, stream in operation.clients.items()
            if stream is None and operation.stage is not COMPLETED
        ]
        if gone:
            operation, client = self.random.choice(gone)
            number = self._number()
            stream = operation.clients[client] = StreamId(RUN, number, number)
            self._see(number, events.WaitRequested(self.now, stream, f"/{client}", None, "", ""))
            self._told.pop(client, None)
            self._tell(operation, client)

    def _drain(self) -> None:
        if self.workers:
            worker = self.random.choice(list(self.workers.values()))
            worker.is_draining = not worker.is_draining
            # On the worker's connection here: an admin connects after having seen the worker.
            self._see(worker.connection, events.DrainSet(self.now, worker.id, worker.is_draining))

    def _must_not_fail(self, operation: _Operation | None) -> bool:
        """Whose retries are exhausted is not told apart among uncacheable operations of one key: nothing on the wire says it."""
        assert operation is not None
        others = [each for each in self.operations.values() if each.key == operation.key and each.id != operation.id]
        is_last = operation.failures == MAX_RETRIES
        if operation.key.cacheable:
            # And if nobody hears of it, whether a client that asks next joined it.
            return is_last and not any(operation.clients.values())
        return is_last and any(each.stage is not COMPLETED for each in others)

    # --- what the scheduler does --------------------------------------------------------------------------------------

    def _take(self, worker: _Worker, operation: _Operation, *, pressed: bool) -> None:
        worker.running.remove(operation.id)
        worker.completed += 1
        worker.is_paused = False
        worker.is_paused = bool(worker.running) and (pressed or not worker.can_accept_work)

    def _requeue(self, operation: _Operation, *, counts: bool) -> None:
        operation.failures += counts
        operation.stage, operation.worker = QUEUED, None
        if operation.failures > MAX_RETRIES:
            self._complete(operation, Outcome(status_code=13, queued_at=self.random.choice([None, 0])))
        elif self.random.random() < 0.7:
            self._tell_all(operation)
        else:
            self._match()
            self._tell_all(operation)

    def _complete(self, operation: _Operation, outcome: Outcome) -> None:
        operation.stage, operation.outcome = COMPLETED, outcome
        self._tell_all(operation)

    def _tell_all(self, operation: _Operation) -> None:
        for client in operation.clients:
            self._tell(operation, client)

    def _tell(self, operation: _Operation, client: str) -> None:
        stream = operation.clients[client]
        if stream is None or (self._told.get(client) is operation.stage and self.random.random() < 0.7):  # said twice, sometimes
            return
        self._told[client] = operation.stage
        name = f"/{client}"
        update = events.OperationUpdated(self.now, stream, name, operation.stage, operation.key.digest, operation.outcome)
        self._see(stream.connection, update)
        if operation.stage is COMPLETED:
            operation.clients[client] = None
            self._see(stream.connection, events.FollowerLeft(self.now, stream, 0))
            if operation.outcome is not None and operation.outcome.queued_at:
                self.proven.add((client, operation.id))

    def _see(self, connection: int, event: Event) -> None:
        self.seen.append((connection, event))

    # --- comparing ----------------------------------------------------------------------------------------------------

    def differences(self, model: SchedulerModel) -> list[str]:
        """Where a model that was told everything, and to which nothing happened for a while, disagrees."""
        stages = Counter(each.stage.value for each in self.operations.values())
        shown = Counter(each.stage.value for each in model.operations.values())
        found = [] if stages == shown else [f"stages are {dict(shown)}, really {dict(stages)}"]
        counts = model.counts()
        counted = (counts.workers, counts.workers_accepting, counts.workers_paused, counts.workers_draining, counts.operations)
        workers = self.workers.values()
        really = (
            len(workers),
            sum(worker.can_accept_work for worker in workers),
            sum(worker.is_paused for worker in workers),
            sum(worker.is_draining for worker in workers),
            len(self.operations),
        )
        if counted != really:
            found.append(f"counts are {counted}, really {really}")
        for worker in workers:
            seen = model.workers.get(worker.id)
            if seen is None or (list(seen.running), seen.actions_completed) != (worker.running, worker.completed):
                found.append(f"{worker} is shown as {seen}")
        for operation in self.operations.values():
            row = model.operation(operation.id)
            is_certain = operation.key.cacheable or any(id_ == operation.id for _, id_ in self.proven)
            if operation.ran and (row is None or (is_certain and row.stage is not operation.stage)):
                found.append(f"{operation} is shown as {row}")
            elif is_certain and row is not None and operation.stage is EXECUTING and row.worker_id != operation.worker:
                found.append(f"{operation} is shown on {row.worker_id}")
        if (proven := proven_pairs(model)) != self.proven:
            found.append(f"proven are {sorted(proven ^ self.proven)} too many or too few")
        return found


def proven_pairs(model: SchedulerModel) -> set[tuple[str, str]]:
    """(client operation id, scheduler's operation id)."""
    return {
        (half.client_operation_id, row.scheduler_operation_id or "")
        for row in model._register.operations.values()
        for half in row.clients
        if half.is_proven
    }


def interleaved(seen: list[tuple[int, Event]], how: random.Random) -> list[Event]:
    """In another order that keeps each connection's own."""
    queues: dict[int, list[Event]] = {}
    for connection, event in reversed(seen):
        queues.setdefault(connection, []).append(event)
    told: list[Event] = []
    while queues:
        connection = how.choice(list(queues))
        # Bursts are as likely as single messages.
        length = min(how.choice([1, 1, 2, 5, 100]), len(queues[connection]))
        told += [queues[connection].pop() for _ in range(length)]
        if not queues[connection]:
            del queues[connection]
    return told


def quiet(now: int) -> int:
    """Later than everything of a step that ended `now`."""
    return now + 6 * SECOND

"""The model: events in, changes out. Every other module of this package is a part of it.

`apply` and `advance` are the only ways to change it. `apply` takes any event, whatever it claims: what contradicts the lifecycle
becomes an anomaly, and the model goes on with what was seen. Time is that of the events and never goes backwards. The same events
give the same state. Between two events the whole of it can be pickled; whoever loads it says under which settings it goes on.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

from gateway.model import events, invariants
from gateway.model.changes import Change, SchedulerRestarted
from gateway.model.correlation import Correlation
from gateway.model.events import Event, Stage
from gateway.model.followers import Followers
from gateway.model.gaps import Gaps
from gateway.model.halves import Row
from gateway.model.identity import ConnectionId, Properties
from gateway.model.lifecycle import Work
from gateway.model.records import Anomaly, Counts, Operation, Worker
from gateway.model.register import Register
from gateway.model.restarts import MOMENT_NS, RestartWatch, Verdict
from gateway.model.settings import ModelSettings
from gateway.model.timers import Due
from gateway.model.workforce import Workforce


class SchedulerModel:
    """One scheduler, as far as its clients' and workers' streams show it."""

    #: All but the handlers is the state.
    __slots__ = (
        "_correlation",
        "_followers",
        "_gaps",
        "_handlers",
        "_register",
        "_restarts",
        "_workforce",
        "observed_since",
        "up_since",
    )

    def __init__(self, settings: ModelSettings) -> None:
        self._register = Register(settings)
        self._correlation = Correlation(self._register)
        self._workforce = Workforce(self._register, self._correlation)
        self._followers = Followers(self._register, self._correlation, self._workforce)
        self._gaps = Gaps(self._register, self._workforce, self._followers)
        self._restarts = RestartWatch(settings.worker_timeout_s)
        #: Unix nanoseconds of the first event; None: there was none.
        self.observed_since: int | None = None
        #: Later of first observation and when it was last seen to come up, Unix nanoseconds. While it is down: since when.
        self.up_since: int | None = None
        #: An event that is not here, such as ConnectionOpened, says nothing but the time.
        self._handlers = self._handling()

    def _handling(self) -> dict[type[Event], Callable[[Any], object]]:
        return {
            events.ExecuteRequested: self._followers.execute_requested,
            events.WaitRequested: self._followers.wait_requested,
            events.OperationUpdated: self._operation_updated,
            events.FollowerLeft: self._follower_left,
            events.WorkerConnected: self._worker_connected,
            events.WorkerRefused: self._worker_refused,
            events.WorkerKeptAlive: self._workforce.kept_alive,
            events.WorkerLeaving: self._workforce.leaving,
            events.OperationAssigned: self._workforce.assigned,
            events.KillRequested: self._workforce.killed,
            events.ExecutionCompleted: self._workforce.uploading,
            events.ResultReported: self._workforce.reported,
            events.DisconnectSent: self._disconnect_sent,
            events.WorkerStreamEnded: self._workforce.stream_ended,
            events.DrainSet: self._workforce.drained,
            events.ConnectionClosed: self._connection_closed,
            events.ConnectRefused: self._connect_refused,
            events.ActionRead: self._action_read,
            events.MessageUnread: self._gaps.unread,
            events.ReadingStopped: self._gaps.reading_stopped,
            events.RecordsMissed: self._gaps.missed,
            events.StreamsConfirmed: self._streams_confirmed,
            events.RunEnded: self._run_ended,
        }

    def __getstate__(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self.__slots__ if name != "_handlers"}

    def __setstate__(self, state: dict[str, object]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._handlers = self._handling()

    # --- the way in ---------------------------------------------------------------------------------------------------

    def apply(self, event: Event) -> list[Change]:
        """What became different by the event, and by the time that it shows. Never raises."""
        self._move_to(event.at)
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
        return self._register.flush()

    def advance(self, at: int) -> list[Change]:
        """What became different because it is `at`, Unix nanoseconds; a time before the latest known one changes nothing."""
        register = self._register
        if at <= register.now and not register.is_due():
            # Nearly always: the event that was just applied had this time.
            return []
        self._move_to(at)
        return self._register.flush()

    def configure(self, settings: ModelSettings) -> list[Change]:
        """Go on under these settings; deadlines that are set already pass as they were set."""
        self._register.configure(settings)
        self._restarts.configure(settings.worker_timeout_s)
        self._register.expire()
        return self._register.flush()

    # --- what a reader may ask ----------------------------------------------------------------------------------------

    @property
    def settings(self) -> ModelSettings:
        """Those under which it goes on."""
        return self._register.settings

    @property
    def now(self) -> int:
        """The latest time known, Unix nanoseconds; 0: none."""
        return self._register.now

    @property
    def workers(self) -> Mapping[str, Worker]:
        """Connected workers by id, in the order in which they connected."""
        return self._register.workers

    @property
    def operations(self) -> Mapping[int, Operation]:
        """Listed operations by arrival."""
        return self._register.operations

    @property
    def anomalies(self) -> deque[Anomaly]:
        """The latest, oldest first."""
        return self._register.anomalies

    @property
    def anomaly_counts(self) -> Counter[str]:
        """All that there were, by kind."""
        return self._register.anomaly_counts

    @property
    def records_missed(self) -> int:
        """Lost between taps and model."""
        return self._gaps.records_missed

    @property
    def workers_refused(self) -> int:
        """Registrations that were answered with an error."""
        return self._workforce.refused

    @property
    def is_partial(self) -> bool:
        """A gap has not healed: something may run of which nothing was seen."""
        return self._gaps.is_partial

    def operation(self, any_id: str) -> Operation | None:
        """By any id of it, the scheduler's or a client's, with or without `{instance_name}/`. None: not listed."""
        register = self._register
        found = register.by_operation_id.get(any_id)
        if found is not None:
            return found
        half = register.half_named(any_id) or register.by_client_id.get(any_id)
        if half is not None:
            return half.row
        instance_name, slash, id_ = any_id.rpartition("/")
        found = register.by_operation_id.get(id_) if slash else None
        return found if found is not None and found.key is not None and found.key.instance_name == instance_name else None

    def other_ids(self, operation: Operation) -> tuple[str, ...]:
        """Every id of it besides `operation_id`, without instance name: clients' ids, and what it showed before."""
        ids = dict.fromkeys(client.client_operation_id for client in operation.clients)
        if operation.previous_operation_id is not None:
            ids[operation.previous_operation_id] = None
        ids.pop(operation.operation_id, None)
        return tuple(ids)

    def remaining_properties(self, worker: Worker) -> Properties | None:
        """Declared ones less what running actions hold of `minimum` ones; None: not known."""
        return self._workforce.remaining_properties(worker)

    def counts(self) -> Counts:
        """As of the last event."""
        register, sees_workers = self._register, self.settings.sees_workers
        return Counts(
            workers=len(register.workers) if sees_workers else None,
            workers_accepting=register.accepting if sees_workers else None,
            workers_paused=register.paused if sees_workers else None,
            workers_draining=register.draining if sees_workers else None,
            operations=len(register.operations),
            queued=register.stages[Stage.QUEUED] if self.settings.sees_clients else None,
            executing=register.stages[Stage.EXECUTING],
            completed=register.stages[Stage.COMPLETED],
        )

    def validate(self) -> None:
        """Derives every index and count a second time. Raises AssertionError, with the story, where they differ."""
        invariants.check(self._register)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _move_to(self, at: int) -> None:
        register = self._register
        if self.observed_since is None:
            self.observed_since = self.up_since = at
        register.now = max(register.now, at)
        register.event += 1
        if register.is_due():
            self._take_due()

    def _take_due(self) -> None:
        register = self._register
        for due, subject in register.timers.take(register.now):
            if due is Due.UNCONFIRMED:
                self._gaps.lose_unconfirmed()
            elif due is Due.HEALED:
                self._gaps.heal()
            elif subject in register.operations:
                self._look_at(register.operations[subject], due)
        register.expire()

    def _look_at(self, row: Row, due: Due) -> None:
        if due is Due.ABANDONED:
            if self._followers.abandon(row):
                if row.is_doubtful:
                    self._workforce.release_doubtful(row, counts=False)
                if row.work is not Work.RUNNING and not row.live:
                    self._register.drop(row, "abandoned")
            return
        if row.is_doubtful and row.work is Work.RUNNING and row.is_over:
            self._workforce.release_doubtful(row, counts=True)
        self._correlation.settle(row)

    # --- what takes more than one part --------------------------------------------------------------------------------

    def _worker_connected(self, event: events.WorkerConnected) -> None:
        self._answered(event.stream.connection_id, is_client=False)
        self._workforce.connected(event)

    def _worker_refused(self, event: events.WorkerRefused) -> None:
        if event.status_code is not None:
            self._answered(event.stream.connection_id, is_client=False)
        self._workforce.turned_away(event)

    def _operation_updated(self, event: events.OperationUpdated) -> None:
        if self._followers.updated(event):
            self._answered(event.stream.connection_id, is_client=True)

    def _follower_left(self, event: events.FollowerLeft) -> None:
        if self._followers.left(event):
            self._answered(event.stream.connection_id, is_client=True)

    def _disconnect_sent(self, event: events.DisconnectSent) -> None:
        worker = self._workforce.sent_away(event)
        if worker is not None:
            self._judged(self._restarts.sent_away(worker, self.now, has_workers=bool(self.workers)))

    def _connection_closed(self, event: events.ConnectionClosed) -> None:
        self._gaps.connection_closed(event.connection)
        self._judged(self._restarts.closed(event, self.now, has_workers=bool(self.workers)))

    def _connect_refused(self, _event: events.ConnectRefused) -> None:
        self._judged(self._restarts.refused(self.now, has_workers=bool(self.workers)))

    def _streams_confirmed(self, event: events.StreamsConfirmed) -> None:
        self._gaps.confirmed(event)
        self._restarts.forget(event.run, but=event.connections)

    def _run_ended(self, event: events.RunEnded) -> None:
        self._gaps.run_ended(event)
        self._restarts.forget(event.run)

    def _action_read(self, event: events.ActionRead) -> None:
        for row in self._register.pools.read(event):
            self._register.touch(row)

    def _answered(self, connection: ConnectionId, *, is_client: bool) -> None:
        if self._restarts.answered(connection, is_client=is_client):
            self.up_since = self.now

    def _ended_by_restart(self, row: Row) -> bool:
        """Its last attempt was lost in the moment of the restart: nobody counted it, and nobody was told that it is over."""
        is_of_this_moment = self.now - row.work_changed_at <= MOMENT_NS
        return row.is_counted_out and is_of_this_moment and not any(half.done for half in row.clients)

    def _judged(self, verdict: Verdict) -> None:
        if verdict is Verdict.NOTHING:
            return
        register = self._register
        if not self.settings.keeps_operations:
            for row in list(register.operations.values()):
                if row.is_over and not self._ended_by_restart(row):
                    self._correlation.seal(row)
                else:
                    register.drop(row, "scheduler restarted")
        if verdict is Verdict.RESTART:
            self.up_since = register.now
            register.emit(SchedulerRestarted)

"""Events with defaults, and a scene that tells them to a model which is validated after each."""

from __future__ import annotations

from gateway.model import events
from gateway.model.changes import Change
from gateway.model.events import Event, Outcome, Stage
from gateway.model.identity import ActionKey, ConnectionId, Digest, Properties, StreamId
from gateway.model.records import Operation, Worker
from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings

SECOND = 1_000_000_000
#: 2024-01-01, Unix nanoseconds: when every scene begins.
START = 1_704_067_200 * SECOND
RUN = "run-1"

QUEUED, EXECUTING, COMPLETED = Stage.QUEUED, Stage.EXECUTING, Stage.COMPLETED


def digest(name: str = "action") -> Digest:
    """A different one for each name."""
    return Digest("sha256", name.encode().hex().ljust(64, "0")[:64], 142)


def key(name: str = "action", *, cacheable: bool = True, instance: str = "") -> ActionKey:
    return ActionKey(instance, digest(name), cacheable)


def stream(connection: int, number: int = 1, run: str = RUN) -> StreamId:
    return StreamId(run, connection, number)


def ok(queued_at: int | None = None, **more: object) -> Outcome:
    """An execution that ended well."""
    return Outcome(exit_code=0, queued_at=queued_at, **more)  # type: ignore[arg-type] # names are checked by Outcome


def error(code: int = 13) -> Outcome:
    """A worker's internal_error."""
    return Outcome(status_code=code, internal_error=True)


class Scene:
    """A model, a clock, and verbs for what can be seen on the wire."""

    def __init__(self, **settings: object) -> None:
        self.model = SchedulerModel(ModelSettings(**settings))  # type: ignore[arg-type] # names are checked by ModelSettings
        self.now = START
        self.changes: list[Change] = []

    def tell(self, event: Event) -> list[Change]:
        """What became different."""
        changes = self.model.apply(event)
        self.model.validate()
        self.changes += changes
        return changes

    def wait(self, seconds: float) -> list[Change]:
        """Time goes on and nothing happens."""
        self.now += round(seconds * SECOND)
        changes = self.model.advance(self.now)
        self.model.validate()
        self.changes += changes
        return changes

    # --- clients ------------------------------------------------------------------------------------------------------

    def request(self, client: int, action: ActionKey, *, priority: int = 0, number: int = 1) -> list[Change]:
        return self.tell(
            events.ExecuteRequested(self.now, stream(client, number), action, priority, None, f"client:{client}", "bazel")
        )

    def update(
        self,
        client: int,
        stage: Stage,
        outcome: Outcome | None = None,
        *,
        number: int = 1,
        name: str = "",
        named: Digest | None = None,
    ) -> list[Change]:
        """Clients are called after their connection: `/c1`."""
        return self.tell(events.OperationUpdated(self.now, stream(client, number), name or f"/c{client}", stage, named, outcome))

    def execute(self, client: int, action: ActionKey, stage: Stage = QUEUED, *, priority: int = 0, number: int = 1) -> list[Change]:
        """A request and its first update."""
        self.request(client, action, priority=priority, number=number)
        return self.update(client, stage, number=number)

    def done(self, client: int, outcome: Outcome | None = None, *, number: int = 1) -> list[Change]:
        """The last update and the end of the stream."""
        changes = self.update(client, COMPLETED, outcome or ok(), number=number)
        return changes + self.leave(client, 0, number=number)

    def leave(self, client: int, status_code: int | None = None, *, number: int = 1) -> list[Change]:
        return self.tell(events.FollowerLeft(self.now, stream(client, number), status_code))

    def follow(self, client: int, name: str, *, number: int = 1) -> list[Change]:
        """WaitExecution."""
        return self.tell(events.WaitRequested(self.now, stream(client, number), name, None, f"client:{client}", "bazel"))

    # --- workers ------------------------------------------------------------------------------------------------------

    def connect(
        self,
        worker: str = "w1",
        *,
        connection: int = 101,
        slots: int | None = 0,
        properties: Properties | None = (("cpu_count", "8"),),
        run: str = RUN,
    ) -> list[Change]:
        return self.tell(
            events.WorkerConnected(
                self.now, worker, stream(connection, run=run), properties, "w", slots, f"worker:{connection}", "tonic"
            )
        )

    def assign(
        self,
        operation: str,
        action: ActionKey,
        *,
        worker: str = "w1",
        queued_at: int | None = None,
        platform: Properties = (("cpu_count", "1"),),
    ) -> list[Change]:
        return self.tell(events.OperationAssigned(self.now, worker, operation, action, queued_at, platform))

    def report(self, operation: str, outcome: Outcome | None = None, *, worker: str = "w1") -> list[Change]:
        return self.tell(events.ResultReported(self.now, worker, operation, outcome or ok()))

    def end(self, worker: str = "w1") -> list[Change]:
        return self.tell(events.WorkerStreamEnded(self.now, worker, None))

    def evict(self, worker: str = "w1") -> list[Change]:
        return self.tell(events.DisconnectSent(self.now, worker))

    def keep_alive(self, worker: str = "w1") -> list[Change]:
        return self.tell(events.WorkerKeptAlive(self.now, worker, self.now, 1))

    def drain(self, worker: str = "w1", *, draining: bool = True) -> list[Change]:
        return self.tell(events.DrainSet(self.now, worker, draining))

    # --- connections --------------------------------------------------------------------------------------------------

    def close(self, connection: int, *, by_upstream: bool, run: str = RUN) -> list[Change]:
        return self.tell(events.ConnectionClosed(self.now, ConnectionId(run, connection), by_upstream))

    def refuse(self) -> list[Change]:
        return self.tell(events.ConnectRefused(self.now, "workers"))

    def miss(self, count: int = 7, run: str = RUN) -> list[Change]:
        return self.tell(events.RecordsMissed(self.now, run, count))

    def confirm(self, *streams: StreamId, run: str = RUN) -> list[Change]:
        """Exactly these, and their connections, are open."""
        connections = frozenset(each.connection_id for each in streams)
        return self.tell(events.StreamsConfirmed(self.now, run, frozenset(streams), connections))

    # --- what is shown ------------------------------------------------------------------------------------------------

    def operation(self, any_id: str) -> Operation:
        found = self.model.operation(any_id)
        assert found is not None, any_id
        return found

    def worker(self, worker: str = "w1") -> Worker:
        return self.model.workers[worker]

    @property
    def stages(self) -> list[str]:
        """Of the listed operations, by arrival."""
        return [operation.stage.value for operation in self.model.operations.values()]

    def anomaly_kinds(self) -> list[str]:
        return [anomaly.kind for anomaly in self.model.anomalies]

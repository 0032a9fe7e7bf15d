"""Whatever is claimed to have happened, in whatever order: the model never raises, and its invariants hold.

It may be saved and loaded at any moment, and go on under other settings: what it says from then on is what one says that was not.
"""

from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from gateway.model import events
from gateway.model.changes import Change, OperationChanged, OperationRemoved, WorkerChanged, WorkerRemoved
from gateway.model.events import Event, Outcome, Stage
from gateway.model.identity import ActionKey, ConnectionId, Digest, Properties, StreamId
from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings
from tests.model.builders import SECOND, START, digest, key
from tests.model.saving import saved

runs = st.sampled_from(["run-1", "run-2"])
streams = st.builds(StreamId, runs, st.integers(1, 4), st.sampled_from([1, 3]))
connections = st.builds(ConnectionId, runs, st.integers(1, 4))
workers = st.sampled_from(["w1", "w2", "w3", ""])
operations = st.sampled_from(["op1", "op2", "op3", "op4", ""])
names = st.sampled_from(["/c1", "/c2", "main/c1", "c3", "a/b/c4", "/", ""])
keys = st.builds(
    lambda name, cacheable, instance: key(name, cacheable=cacheable, instance=instance),
    st.sampled_from("ab"),
    st.booleans(),
    st.sampled_from(["", "main"]),
)
digests = st.sampled_from([None, digest("a"), digest("b")])
queued_ats = st.sampled_from([None, 0, 1, 2, 3, -1])
codes = st.sampled_from([None, 0, 5, 8, 9])
outcomes = st.builds(
    Outcome,
    status_code=st.sampled_from([0, 8, 13]),
    internal_error=st.booleans(),
    cached=st.sampled_from([False, False, True]),
    queued_at=queued_ats,
)
properties = st.sampled_from([None, (), (("cpu_count", "8"), ("cpu_count", "4")), (("cpu_count", "many"),)])


class Model(RuleBasedStateMachine):
    @initialize(sees_clients=st.booleans(), keeps=st.booleans(), completed_max=st.sampled_from([0, 1, 3, 100]))
    def begin(self, *, sees_clients: bool, keeps: bool, completed_max: int) -> None:
        self.model = SchedulerModel(
            ModelSettings(
                sees_clients=sees_clients,
                keeps_operations=keeps,
                completed_max=completed_max,
                client_action_timeout_s=20,
                completed_s=15,
                max_job_retries=1,
                anomalies_max=4,
                story_max=4,
                minimum_properties=frozenset({"cpu_count"}),
            )
        )
        #: Is told the same, and never saved.
        self.undisturbed = saved(self.model)
        self.now = START
        self.number = 0
        self.told_operations: dict[int, Stage] = {}
        self.told_workers: dict[int, str] = {}

    def follow(self, told: list[Change]) -> None:
        """A reader that only hears of changes knows what is listed, and each operation's stage."""
        for change in told:
            self.number += 1
            assert change.number == self.number
            if isinstance(change, OperationChanged):
                assert self.told_operations.get(change.arrival) is change.stage_before
                self.told_operations[change.arrival] = change.stage
            elif isinstance(change, OperationRemoved):
                del self.told_operations[change.arrival]
            elif isinstance(change, WorkerChanged):
                assert (change.arrival not in self.told_workers) is change.appeared
                self.told_workers[change.arrival] = change.worker_id
            elif isinstance(change, WorkerRemoved):
                del self.told_workers[change.arrival]
        assert self.told_operations == {arrival: each.stage for arrival, each in self.model.operations.items()}
        assert self.told_workers == {each.arrival: each.id for each in self.model.workers.values()}

    def tell(self, event: Event) -> None:
        changes = self.model.apply(event)
        assert changes == self.undisturbed.apply(event)
        self.follow(changes)
        self.model.validate()
        for operation in self.model.operations.values():
            self.model.other_ids(operation)
            ids = [client.name for client in operation.clients]
            if operation.scheduler_operation_id is not None:
                ids.append(operation.scheduler_operation_id)
            assert {self.model.operation(id_) for id_ in ids} == {operation}
        for worker in self.model.workers.values():
            self.model.remaining_properties(worker)

    @rule(seconds=st.sampled_from([0.001, 1, 3, 6, 11, 25, 100, -5]))
    def wait(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)
        changes = self.model.advance(self.now)
        assert changes == self.undisturbed.advance(self.now)
        self.follow(changes)
        self.model.validate()

    @rule(stream=streams, action=keys, priority=st.integers(-1, 1))
    def execute(self, stream: StreamId, action: ActionKey, priority: int) -> None:
        self.tell(events.ExecuteRequested(self.now, stream, action, priority, None, "", ""))

    @rule(stream=streams, name=names)
    def wait_execution(self, stream: StreamId, name: str) -> None:
        self.tell(events.WaitRequested(self.now, stream, name, None, "", ""))

    @rule(stream=streams, name=names, stage=st.sampled_from(Stage), named=digests)
    def update(self, stream: StreamId, name: str, stage: Stage, named: Digest | None) -> None:
        self.tell(events.OperationUpdated(self.now, stream, name, stage, named, None))

    @rule(stream=streams, action=keys, name=names, stage=st.sampled_from([Stage.QUEUED, Stage.EXECUTING]))
    def ask(self, stream: StreamId, action: ActionKey, name: str, stage: Stage) -> None:
        self.execute(stream, action, 0)
        self.tell(events.OperationUpdated(self.now, stream, name, stage, None, None))

    @rule(stream=streams, name=names, outcome=outcomes, named=digests)
    def done(self, stream: StreamId, name: str, outcome: Outcome, named: Digest | None) -> None:
        self.tell(events.OperationUpdated(self.now, stream, name, Stage.COMPLETED, named, outcome))

    @rule(stream=streams, code=codes)
    def leave(self, stream: StreamId, code: int | None) -> None:
        self.tell(events.FollowerLeft(self.now, stream, code))

    @rule(worker=workers, stream=streams, declared=properties, slots=st.sampled_from([None, 0, 1]))
    def connect(self, worker: str, stream: StreamId, declared: Properties | None, slots: int | None) -> None:
        self.tell(events.WorkerConnected(self.now, worker, stream, declared, "", slots, "", ""))

    @rule(worker=workers, operation=operations, action=keys, queued_at=queued_ats)
    def assign(self, worker: str, operation: str, action: ActionKey, queued_at: int | None) -> None:
        self.tell(events.OperationAssigned(self.now, worker, operation, action, queued_at, (("cpu_count", "1"),)))

    @rule(worker=workers, operation=operations, outcome=outcomes)
    def report(self, worker: str, operation: str, outcome: Outcome) -> None:
        self.tell(events.ResultReported(self.now, worker, operation, outcome))

    @rule(
        worker=workers,
        what=st.sampled_from(
            [
                lambda at, id_: events.WorkerKeptAlive(at, id_, at, 1),
                events.WorkerLeaving,
                events.DisconnectSent,
                lambda at, id_: events.WorkerStreamEnded(at, id_, None),
                lambda at, id_: events.DrainSet(at, id_, draining=True),
            ]
        ),
    )
    def worker(self, worker: str, what: Callable[[int, str], Event]) -> None:
        self.tell(what(self.now, worker))

    @rule(worker=workers, operation=operations, what=st.sampled_from([events.ExecutionCompleted, events.KillRequested]))
    def speak_of(self, worker: str, operation: str, what: Callable[[int, str, str], Event]) -> None:
        self.tell(what(self.now, worker, operation))

    @rule(connection=connections, by_upstream=st.booleans())
    def close(self, connection: ConnectionId, *, by_upstream: bool) -> None:
        self.tell(events.ConnectionClosed(self.now, connection, by_upstream))

    @rule()
    def refuse(self) -> None:
        self.tell(events.ConnectRefused(self.now, "workers"))

    @rule(action=keys)
    def read(self, action: ActionKey) -> None:
        self.tell(events.ActionRead(self.now, action.instance_name, action.digest, None, None, 5, ()))

    @rule(connection=connections)
    def blind(self, connection: ConnectionId) -> None:
        self.tell(events.ReadingStopped(self.now, connection, "HTTP2"))

    @rule(stream=streams)
    def unread(self, stream: StreamId) -> None:
        self.tell(events.MessageUnread(self.now, stream, "too large"))

    @rule(run=runs)
    def miss(self, run: str) -> None:
        self.tell(events.RecordsMissed(self.now, run, 3))

    @rule(run=runs, listed=st.frozensets(streams, max_size=6))
    def confirm(self, run: str, listed: frozenset[StreamId]) -> None:
        mine = frozenset(each for each in listed if each.run == run)
        self.tell(events.StreamsConfirmed(self.now, run, mine, frozenset(each.connection_id for each in mine)))

    @rule(run=runs)
    def end_run(self, run: str) -> None:
        self.tell(events.RunEnded(self.now, run))

    @rule()
    def save_and_load(self) -> None:
        self.model = saved(self.model)
        self.model.validate()
        self.follow([])

    @rule(completed_max=st.sampled_from([0, 1, 3, 100]), completed_s=st.sampled_from([0, 15]))
    def configure(self, completed_max: int, completed_s: int) -> None:
        changed = replace(self.model.settings, completed_max=completed_max, completed_s=completed_s)
        changes = self.model.configure(changed)
        assert changes == self.undisturbed.configure(changed)
        self.follow(changes)
        self.model.validate()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=40, suppress_health_check=list(HealthCheck))

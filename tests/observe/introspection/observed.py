"""An observer without sockets: a scripted tap in front, the published state behind."""

from __future__ import annotations

from gateway.config.types import Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe.introspection.answers import Answers
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.state import PublishedState
from gateway.observe.links import LinkState
from gateway.observe.observer import Observer, model_settings
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator
from gateway.pb import introspection_pb2 as pb
from tests.observe.records import EPOCH, ScriptedTap, config, execute_request, operation, registration, result, start_action


class Observed:
    """Everything of the observe process but its sockets."""

    def __init__(self, settings: Config | None = None, *, epoch: str = "epoch-1") -> None:
        self.config = settings or config()
        self.tap = ScriptedTap()
        self.model = SchedulerModel(model_settings(self.config))
        self.translator = Translator(self.config)
        self.fresh = True
        self.statistics = Statistics(self.model)
        overview = Overview(self.config, self.model, self.statistics, self._links, lambda: self.translator.foreign)
        self.state = PublishedState(self.model, overview, History(epoch))
        self.feed = Feed(self.state)
        self.answers = Answers(self.model, self.feed)
        self.observer = Observer(self.model, self.statistics, {"tap-0": self.translator}, self.feed)
        self.play()

    def _links(self) -> dict[str, LinkState]:
        problem = None if self.fresh else "the test says so"
        return {"tap-0": LinkState(0.1, is_fresh=self.fresh, problem=problem, run=self.translator.run)}

    def play(self) -> None:
        """What the tap has said since the last time is observed."""
        self.observer.receive("tap-0", self.tap.records)
        self.tap.records.clear()
        self.model.validate()

    def publish(self) -> list[pb.WatchResponse]:
        """What is observed is published."""
        self.play()
        return [pb.WatchResponse.FromString(message) for message in self.state.publish()]

    def queued(self, name: str, number: int, *, priority: int = 0) -> tuple[int, int]:
        """A client asks for action `number`, and it is queued; returns its connection and stream."""
        hash_ = f"{number:064x}"
        connection, stream = self.tap.execute(execute_request(hash_, priority=priority))
        self.tap.down(connection, stream, operation(name, 2, hash_))
        return connection, stream

    def assigned(self, worker: tuple[int, int], operation_id: str, number: int) -> None:
        """A worker gets action `number`."""
        request = execute_request(f"{number:064x}", function=1)
        self.tap.down(*worker, start_action(operation_id, request, queued_ns=EPOCH + number, cpu_count="1"))

    def finished(self, worker: tuple[int, int], operation_id: str, number: int) -> None:
        """A worker reports action `number`."""
        self.tap.up(*worker, result(operation_id, queued_ns=EPOCH + number))

    def worker(self, worker_id: str, slots: int = 0) -> tuple[int, int]:
        """A worker registers."""
        return self.tap.worker(worker_id, registration(slots=slots, cpu_count="8"))


class Replica:
    """What a subscriber makes of WatchResponses."""

    def __init__(self) -> None:
        self.revision = pb.Revision()
        self.workers: dict[int, pb.Worker] = {}
        self.operations: dict[int, pb.Operation] = {}
        self.scheduler = pb.Scheduler()
        self.snapshots = 0
        self._whole = False

    def take(self, response: pb.WatchResponse) -> None:
        """One message; checks what the contract promises of it."""
        if response.HasField("snapshot"):
            self._begin(response.snapshot)
            self._put(response.snapshot)
        else:
            self._change(response.changes)
            self._put(response.changes)

    def _begin(self, chunk: pb.SnapshotChunk) -> None:
        if chunk.first:
            self.workers.clear()
            self.operations.clear()
            self.snapshots += 1
        else:
            assert chunk.revision == self.revision, "the chunks of a snapshot belong together"
        assert chunk.HasField("scheduler") == chunk.last
        self._whole = chunk.last

    def _change(self, batch: pb.ChangeBatch) -> None:
        assert self._whole, "nothing comes within a snapshot"
        assert batch.revision.epoch == self.revision.epoch
        arrivals = [*batch.removed_workers, *batch.removed_operations]
        arrivals += [worker.arrival for worker in batch.workers] + [operation.arrival for operation in batch.operations]
        assert len(arrivals) == len(set(arrivals)), "an entity occurs at most once"
        assert batch.revision.number - self.revision.number >= bool(arrivals), "what changed has a new number"
        for arrival in batch.removed_workers:
            self.workers.pop(arrival, None)
        for arrival in batch.removed_operations:
            self.operations.pop(arrival, None)

    def _put(self, message: pb.SnapshotChunk | pb.ChangeBatch) -> None:
        self.revision = message.revision
        self.workers.update((worker.arrival, worker) for worker in message.workers)
        self.operations.update((operation.arrival, operation) for operation in message.operations)
        if message.HasField("scheduler"):
            self.scheduler = message.scheduler

    @property
    def is_whole(self) -> bool:
        """A snapshot was read to its end."""
        return self._whole

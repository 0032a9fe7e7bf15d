"""What is published: every entity encoded once, under revision numbers. Changes of the model in, messages of Watch out.

A revision counts batches. Between two of them the model may be ahead of what is published; `publish` catches up. Since entities
are kept as immutable bytes, a snapshot is a list of references: consistent, however long its chunks take to send.

A model that was loaded from a checkpoint is published whole, unless its history is there too: then subscribers go on from where
they were (`history`).

The taps' totals, the statistics and drains are no part of a revision: a batch that brings nothing else has the number of the batch
before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from gateway.model.changes import Change, OperationChanged, OperationRemoved, WorkerChanged, WorkerRemoved
from gateway.model.scheduler import SchedulerModel
from gateway.observe.introspection import shape
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview, OverviewBytes
from gateway.observe.wire import field
from gateway.pb import introspection_pb2 as pb

#: Entities of one message: some 300 kB, far below the 4 MB that a client accepts by default.
CHUNK = 500


class PublishedState:
    """The state of one epoch."""

    def __init__(self, model: SchedulerModel, overview: Overview, history: History, *, is_published: bool = False) -> None:
        """Begin.

        Args:
            model: what is published; may have something in it already.
            overview: the rest of it.
            history: of the epoch; the revisions of this state come after it.
            is_published: what is in the model is the latest revision of `history`. Otherwise it is new.
        """
        self._model = model
        self._overview = overview
        self.history = history
        #: Arrival -> encoded, as of `number`.
        self.workers: dict[int, bytes] = {}
        self.operations: dict[int, bytes] = {}
        self.scheduler = OverviewBytes(b"", b"")
        #: A Drains, encoded, as it is, and as it was published last; None: nothing is drained here.
        self.drains: bytes | None = None
        self._drains: bytes | None = None
        #: Changed since they were encoded: arrival -> worker id, arrivals.
        self._dirty_workers = {worker.arrival: worker.id for worker in model.workers.values()}
        self._dirty_operations: dict[int, None] = dict.fromkeys(model.operations)
        #: Encoded, to be published.
        self._fresh_workers: dict[int, bytes] = {}
        self._fresh_operations: dict[int, bytes] = {}
        self._gone_workers: list[int] = []
        self._gone_operations: list[int] = []
        if is_published:
            self._encode_all()
            self.workers, self._fresh_workers = self._fresh_workers, {}
            self.operations, self._fresh_operations = self._fresh_operations, {}

    @property
    def epoch(self) -> str:
        """Of its revisions."""
        return self.history.epoch

    @property
    def number(self) -> int:
        """Of the latest revision."""
        return self.history.number

    def mark(self, changes: Iterable[Change]) -> None:
        """The model changed."""
        for change in changes:
            match change:
                case OperationChanged():
                    self._dirty_operations[change.arrival] = None
                case WorkerChanged():
                    self._dirty_workers[change.arrival] = change.worker_id
                case OperationRemoved():
                    self._dirty_operations.pop(change.arrival, None)
                    self._fresh_operations.pop(change.arrival, None)
                    if change.arrival in self.operations:
                        self._gone_operations.append(change.arrival)
                case WorkerRemoved():
                    self._dirty_workers.pop(change.arrival, None)
                    self._fresh_workers.pop(change.arrival, None)
                    if change.arrival in self.workers:
                        self._gone_workers.append(change.arrival)
                case _:
                    pass  # shown by the overview

    @property
    def waiting(self) -> int:
        """Of what changed and is not encoded, the larger kind."""
        return max(len(self._dirty_workers), len(self._dirty_operations))

    def encode(self, limit: int) -> bool:
        """Encode at most `limit` of what changed; returns whether that was all."""
        model = self._model
        for arrival in list(islice(self._dirty_operations, limit)):
            del self._dirty_operations[arrival]
            operation = model.operations.get(arrival)
            if operation is not None:
                self._fresh_operations[arrival] = shape.operation(model, operation).SerializeToString()
        for arrival, worker_id in list(islice(self._dirty_workers.items(), limit)):
            del self._dirty_workers[arrival]
            worker = model.workers.get(worker_id)
            if worker is not None and worker.arrival == arrival:
                self._fresh_workers[arrival] = shape.worker(worker).SerializeToString()
        return not self._dirty_operations and not self._dirty_workers

    def publish(self) -> list[bytes]:
        """Make the model's state the published one; returns it as WatchResponses, none where nothing is new."""
        self._encode_all()
        workers = _new(self._fresh_workers, self.workers)
        operations = _new(self._fresh_operations, self.operations)
        gone_workers, gone_operations = self._gone_workers, self._gone_operations
        self._fresh_workers, self._fresh_operations, self._gone_workers, self._gone_operations = {}, {}, [], []
        before, self.scheduler = self.scheduler, self._overview.encode()
        drains = None if self._drains == self.drains else self.drains
        self._drains = self.drains
        messages = []
        if gone_workers or gone_operations or workers or operations:
            kinds = [(arrival, encoded, True) for arrival, encoded in workers.items()]
            kinds += [(arrival, encoded, False) for arrival, encoded in operations.items()]
            for start in range(0, len(kinds) or 1, CHUNK):
                part = kinds[start : start + CHUNK]
                self.history.number += 1
                self._keep(part, [] if start else gone_workers, [] if start else gone_operations)
                is_last = start + CHUNK >= len(kinds)
                scheduler = self.scheduler.message if is_last and before != self.scheduler else None
                messages.append(
                    self._batch(
                        (encoded for _, encoded, is_worker in part if is_worker),
                        (encoded for _, encoded, is_worker in part if not is_worker),
                        [] if start else gone_workers,
                        [] if start else gone_operations,
                        scheduler,
                        drains if is_last else None,
                    )
                )
        elif before != self.scheduler or drains is not None:
            self.history.number += before.lasting != self.scheduler.lasting
            messages.append(self._batch((), (), (), (), self.scheduler.message, drains))
        return messages

    def heartbeat(self) -> bytes:
        """A batch without changes."""
        return self._batch((), (), (), (), None)

    def since(self, number: int) -> bytes | None:
        """What takes a subscriber from that revision of this epoch to the published one; None: it needs a snapshot."""
        difference = self.history.since(number)
        if difference is None:
            return None
        return self._batch(
            (self.workers[arrival] for arrival in difference.changed if arrival in self.workers),
            (self.operations[arrival] for arrival in difference.changed if arrival in self.operations),
            difference.gone_workers,
            difference.gone_operations,
            self.scheduler.message,
            self._drains,
        )

    def snapshot(self) -> Iterator[bytes]:
        """The published state as WatchResponses; what is published later does not change it."""
        workers, operations = list(self.workers.values()), list(self.operations.values())
        revision = pb.Revision(epoch=self.epoch, number=self.number)
        return _chunks(revision, workers, operations, self.scheduler.message, self._drains)

    def _keep(self, part: list[tuple[int, bytes, bool]], gone_workers: list[int], gone_operations: list[int]) -> None:
        """Make a batch part of the state, under its number."""
        for arrival, encoded, is_worker in part:
            (self.workers if is_worker else self.operations)[arrival] = encoded
            self.history.change(arrival)
        for gone, entities, is_worker in ((gone_workers, self.workers, True), (gone_operations, self.operations, False)):
            for arrival in gone:
                entities.pop(arrival, None)
                self.history.remove(arrival, is_worker=is_worker)

    def _encode_all(self) -> None:
        self.encode(len(self._dirty_operations) + len(self._dirty_workers))

    def _batch(
        self,
        workers: Iterable[bytes],
        operations: Iterable[bytes],
        gone_workers: Iterable[int],
        gone_operations: Iterable[int],
        scheduler: bytes | None,
        drains: bytes | None = None,
    ) -> bytes:
        """A WatchResponse with a ChangeBatch."""
        frame = pb.ChangeBatch(
            revision=pb.Revision(epoch=self.epoch, number=self.number),
            removed_workers=gone_workers,
            removed_operations=gone_operations,
        )
        batch = b"".join(
            (
                frame.SerializeToString(),
                *field(pb.ChangeBatch.WORKERS_FIELD_NUMBER, workers),
                *field(pb.ChangeBatch.OPERATIONS_FIELD_NUMBER, operations),
                *field(pb.ChangeBatch.SCHEDULER_FIELD_NUMBER, () if scheduler is None else (scheduler,)),
                *field(pb.ChangeBatch.DRAINS_FIELD_NUMBER, () if drains is None else (drains,)),
            )
        )
        return b"".join(field(pb.WatchResponse.CHANGES_FIELD_NUMBER, (batch,)))


def _new(fresh: dict[int, bytes], published: dict[int, bytes]) -> dict[int, bytes]:
    """What looks different from outside; not every change of the model does."""
    return {arrival: encoded for arrival, encoded in fresh.items() if published.get(arrival) != encoded}


def _chunks(
    revision: pb.Revision, workers: list[bytes], operations: list[bytes], scheduler: bytes, drains: bytes | None
) -> Iterator[bytes]:
    total = len(workers) + len(operations)
    for start in range(0, total or 1, CHUNK):
        last = start + CHUNK >= total
        of_workers = workers[start : start + CHUNK]
        of_operations = operations[max(0, start - len(workers)) : max(0, start + CHUNK - len(workers))]
        frame = pb.SnapshotChunk(revision=revision, first=not start, last=last)
        chunk = b"".join(
            (
                frame.SerializeToString(),
                *field(pb.SnapshotChunk.WORKERS_FIELD_NUMBER, of_workers),
                *field(pb.SnapshotChunk.OPERATIONS_FIELD_NUMBER, of_operations),
                *field(pb.SnapshotChunk.SCHEDULER_FIELD_NUMBER, (scheduler,) if last else ()),
                *field(pb.SnapshotChunk.DRAINS_FIELD_NUMBER, (drains,) if last and drains is not None else ()),
            )
        )
        yield b"".join(field(pb.WatchResponse.SNAPSHOT_FIELD_NUMBER, (chunk,)))

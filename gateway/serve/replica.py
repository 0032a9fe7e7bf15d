"""The replica: rows of a snapshot and of changes come in, rows and encoded answers go out.

Everything here is synchronous and belongs to one event loop: changes are applied between two requests, never during one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

from gateway.pb import introspection_pb2 as pb
from gateway.query.filter import OperationFilter
from gateway.query.order import STAGES
from gateway.query.page import Page, page
from gateway.serve.bodies import KEPT_BYTES, Bodies, ListBody, json_list
from gateway.serve.indexes import Ids, SortedRows, fingerprint_of, page_of
from gateway.serve.queries import OperationsQuery, WorkersQuery
from gateway.serve.rows import OperationRow, Row, WorkerRow

_key = attrgetter("key")
_AnyRow = TypeVar("_AnyRow", bound=Row)


class OutOfSequenceError(Exception):
    """A batch that does not continue the replica's state: only a new snapshot helps."""


@dataclass(frozen=True, slots=True)
class Changes:
    """A ChangeBatch of introspection.proto, its entities made into rows."""

    epoch: str
    number: int
    workers: Sequence[WorkerRow] = ()
    operations: Sequence[OperationRow] = ()
    #: Arrival numbers.
    removed_workers: Sequence[int] = ()
    removed_operations: Sequence[int] = ()
    #: None: unchanged; so with drains.
    scheduler: pb.Scheduler | None = None
    drains: pb.Drains | None = None


class Difference(NamedTuple, Generic[_AnyRow]):
    """One entity at two revisions; the two rows are not equal."""

    #: None: it is new.
    before: _AnyRow | None
    #: None: it is no longer listed.
    after: _AnyRow | None


AnyDifference = Difference[WorkerRow] | Difference[OperationRow]


class State(NamedTuple):
    """What an answer is made from."""

    #: The number of the last revision that may have changed the answer; it never goes back.
    revision: int
    #: Another for other rows, and for the same rows the same, in this process and in any other.
    fingerprint: int


@dataclass(frozen=True, slots=True)
class Differences:
    """What changes made of the replica, in the order of what they say: who is gone comes first."""

    workers: Sequence[Difference[WorkerRow]]
    operations: Sequence[Difference[OperationRow]]


class Replica:
    """The state of one epoch. Every index has the revision that last changed it."""

    def __init__(self, epoch: str, number: int, *, kept_bytes: int = KEPT_BYTES) -> None:
        self.epoch = epoch
        #: Of the last batch, or of the snapshot.
        self.number = number
        #: As upstream sent it last.
        self.scheduler = pb.Scheduler()
        #: All drains, as upstream sent them last; None: it drains none.
        self.drains: pb.Drains | None = None
        #: The number at which any operation last changed.
        self.operations_revision = number
        #: {arrival: row}
        self._workers: dict[int, WorkerRow] = {}
        self._operations: dict[int, OperationRow] = {}
        self._worker_ids: Ids[WorkerRow] = Ids()
        self._operation_ids: Ids[OperationRow] = Ids()
        self._sorted_workers: SortedRows[WorkerRow] = SortedRows(number)
        self._by_stage: dict[str, SortedRows[OperationRow]] = {stage: SortedRows(number) for stage in STAGES}
        #: {worker_id: its operations, running and completed}; a worker without any is not here.
        self._by_worker: dict[str, SortedRows[OperationRow]] = {}
        #: Answers to lists, as long as they are true.
        self.bodies = Bodies(kept_bytes)

    # What comes in.

    def load(self, workers: Iterable[WorkerRow], operations: Iterable[OperationRow]) -> None:
        """Put rows in, or in the place of those with the same arrival number, as of the replica's number."""
        for worker in workers:
            self._put_worker(worker)
        for operation in operations:
            self._put_operation(operation)

    def apply(self, changes: Changes) -> Differences:
        """Take the replica from its number to that of the changes; returns what became different.

        Raises:
            OutOfSequenceError: another epoch, a number that goes back, or rows that change while the number stays (bodies are kept
                by number, so that would show an old state for the new one). Nothing was applied.
        """
        epoch, number = changes.epoch, changes.number
        has_rows = bool(changes.workers or changes.operations or changes.removed_workers or changes.removed_operations)
        if epoch != self.epoch or number < self.number or (has_rows and number == self.number):
            raise OutOfSequenceError(f"revision {epoch}/{number} came after {self.epoch}/{self.number}")
        self.number = number
        workers = [Difference(gone, None) for gone in map(self._remove_worker, changes.removed_workers) if gone is not None]
        operations = [
            Difference(gone, None) for gone in map(self._remove_operation, changes.removed_operations) if gone is not None
        ]
        workers += filter(None, map(self._put_worker, changes.workers))
        operations += filter(None, map(self._put_operation, changes.operations))
        if changes.scheduler is not None:
            self.scheduler = changes.scheduler
        if changes.drains is not None:
            self.drains = changes.drains
        return Differences(workers, operations)

    def stage_counts(self) -> dict[str, int]:
        """Operations by stage."""
        return {stage: len(rows) for stage, rows in self._by_stage.items()}

    def _put_worker(self, row: WorkerRow) -> Difference[WorkerRow] | None:
        if self._workers.get(row.arrival) == row:
            return None
        before = self._remove_worker(row.arrival)
        self._workers[row.arrival] = row
        self._worker_ids.add(row)
        self._sorted_workers.add(row, self.number)
        return Difference(before, row)

    def _remove_worker(self, arrival: int) -> WorkerRow | None:
        row = self._workers.pop(arrival, None)
        if row is not None:
            self._worker_ids.remove(row)
            self._sorted_workers.remove(row, self.number)
        return row

    def _put_operation(self, row: OperationRow) -> Difference[OperationRow] | None:
        if self._operations.get(row.arrival) == row:
            return None
        before = self._remove_operation(row.arrival)
        self._operations[row.arrival] = row
        self._operation_ids.add(row)
        self._by_stage[row.stage].add(row, self.number)
        if row.worker_id is not None:
            self._by_worker.setdefault(row.worker_id, SortedRows(self.number)).add(row, self.number)
        self.operations_revision = self.number
        return Difference(before, row)

    def _remove_operation(self, arrival: int) -> OperationRow | None:
        row = self._operations.pop(arrival, None)
        if row is None:
            return None
        self._operation_ids.remove(row)
        self._by_stage[row.stage].remove(row, self.number)
        if row.worker_id is not None:
            of_worker = self._by_worker[row.worker_id]
            of_worker.remove(row, self.number)
            if not of_worker:
                del self._by_worker[row.worker_id]
        self.operations_revision = self.number
        return row

    def parts(self) -> list[object]:
        """All that is large: lists of the rows, then the indexes. For whoever has put another in its place."""
        rows: list[object] = [list(self._workers.values()), list(self._operations.values())]
        indexes = [self._workers, self._operations, self._worker_ids, self._operation_ids, self._by_worker, self._sorted_workers]
        return [*rows, *indexes, *self._by_stage.values()]

    # What goes out.

    def worker(self, id_: str) -> WorkerRow | None:
        """The worker with this id; None: there is none."""
        return self._worker_ids.get(id_)

    def operation(self, id_: str) -> OperationRow | None:
        """The operation with this id, any of its ids, with or without `{instance_name}/`; None: there is none.

        An instance name ends at the last slash (nativelink-facts 3).
        """
        row = self._operation_ids.get(id_)
        if row is None:
            instance_name, slash, plain = id_.rpartition("/")
            row = self._operation_ids.get(plain) if slash else None
            if row is not None and row.instance_name != instance_name:
                row = None
        return row

    @property
    def state_of_workers(self) -> State:
        """Of the list of workers."""
        return State(self._sorted_workers.revision, self._sorted_workers.fingerprint)

    def page_of_workers(self, query: WorkersQuery) -> Page[WorkerRow]:
        """A page of the workers, whatever the query's filter looks for."""
        return page_of([self._sorted_workers], limit=query.limit, after=query.after)

    def page_of_operations(self, query: OperationsQuery) -> Page[OperationRow]:
        """A page of the operations; of the query's filter only stage and worker count."""
        wanted, limit, after = query.filter, query.limit, query.after
        if wanted.worker_id is None:
            return page_of(self._stages(wanted), limit=limit, after=after)
        of_worker = self._by_worker.get(wanted.worker_id)
        if of_worker is None:
            return Page((), "", 0)
        if wanted.stages is None:
            return page_of([of_worker], limit=limit, after=after)
        return page([row for row in of_worker.rows() if row.stage in wanted.stages], _key, limit=limit, after=after)

    def workers(self) -> list[WorkerRow]:
        """All, in order."""
        return self._sorted_workers.rows()

    def operations(self, wanted: OperationFilter) -> list[OperationRow]:
        """At least all that the filter lets through, in order."""
        if wanted.worker_id is not None:
            of_worker = self._by_worker.get(wanted.worker_id)
            return of_worker.rows() if of_worker is not None else []
        # Copied once, and nowhere by the interpreter: so many rows are milliseconds during which nobody else gets a turn.
        return list(chain.from_iterable(self._stages(wanted)))

    def keep(self, query: WorkersQuery | OperationsQuery, revision: int, found: Page[_AnyRow]) -> ListBody:
        """The answer with a page, kept for as long as the revision is the last one."""
        body = ListBody(json_list(row.json for row in found.rows), found.total, found.next_token)
        self.bodies.put(query, revision, body)
        return body

    def state_of(self, wanted: OperationFilter) -> State:
        """Of the list of operations that the filter lets through."""
        if wanted.worker_id is not None:
            of_worker = self._by_worker.get(wanted.worker_id)
            # A worker's index goes with its last row; that was some change of operations.
            return State(of_worker.revision, of_worker.fingerprint) if of_worker is not None else State(self.operations_revision, 0)
        lists = self._stages(wanted)
        revision = self.operations_revision if wanted.stages is None else max((each.revision for each in lists), default=0)
        return State(revision, fingerprint_of(lists))

    def _stages(self, wanted: OperationFilter) -> list[SortedRows[OperationRow]]:
        """Lists of stages; one behind the other they are in order: the stage is what a key begins with."""
        return [self._by_stage[stage] for stage in STAGES if wanted.stages is None or stage in wanted.stages]

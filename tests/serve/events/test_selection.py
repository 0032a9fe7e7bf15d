from __future__ import annotations

from gateway.pb import introspection_pb2 as pb
from gateway.query.filter import OperationFilter, WorkerFilter
from gateway.serve.events.selection import Seen, Selection
from gateway.serve.replica import Difference
from gateway.serve.rows import operation_row, worker_row
from tests.serve.builders import operation, worker

QUEUED = operation_row(operation(1))
EXECUTING = operation_row(operation(1, pb.STAGE_EXECUTING))
COMPLETED = operation_row(operation(1, pb.STAGE_COMPLETED))
ONLY_QUEUED = Selection(WorkerFilter(), OperationFilter(stages=frozenset({"Queued"})))


def test_without_a_filter_everything_is_seen() -> None:
    everything = Selection(WorkerFilter(), OperationFilter())
    of_worker = worker_row(worker(2))
    assert everything.see(Difference(None, QUEUED)) == Seen(QUEUED, removed=False)
    assert everything.see(Difference(QUEUED, None)) == Seen(QUEUED, removed=True)
    assert everything.see(Difference(None, of_worker)) == Seen(of_worker, removed=False)
    assert everything.see(Difference(of_worker, None)) == Seen(of_worker, removed=True)
    assert everything.see(Difference(QUEUED, EXECUTING)) == Seen(EXECUTING, removed=False)


def test_what_enters_a_filter_appears_and_what_leaves_it_is_removed_as_it_is_then() -> None:
    assert ONLY_QUEUED.see(Difference(EXECUTING, QUEUED)) == Seen(QUEUED, removed=False)
    assert ONLY_QUEUED.see(Difference(QUEUED, EXECUTING)) == Seen(EXECUTING, removed=True)
    assert ONLY_QUEUED.see(Difference(QUEUED, None)) == Seen(QUEUED, removed=True)


def test_what_neither_was_nor_is_in_the_filter_is_not_seen() -> None:
    assert ONLY_QUEUED.see(Difference(EXECUTING, COMPLETED)) is None
    assert ONLY_QUEUED.see(Difference(None, EXECUTING)) is None
    assert ONLY_QUEUED.see(Difference(EXECUTING, None)) is None


def test_a_filter_is_about_its_own_kind() -> None:
    of_worker = worker_row(worker(2))
    assert ONLY_QUEUED.see(Difference(None, of_worker)) == Seen(of_worker, removed=False)
    assert Selection(None, OperationFilter()).see(Difference(None, of_worker)) is None
    assert Selection(WorkerFilter(), None).see(Difference(None, QUEUED)) is None
    named = Selection(WorkerFilter(id_prefix="worker-2"), None)
    assert named.see(Difference(None, of_worker)) is not None
    assert named.see(Difference(None, worker_row(worker(3)))) is None

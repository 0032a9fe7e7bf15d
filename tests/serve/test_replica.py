import json
import random
import sys
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.pb import introspection_pb2 as pb
from gateway.query.filter import OperationFilter
from gateway.query.order import OPERATION_KEY_LENGTH, STAGES
from gateway.query.page import decode_token
from gateway.serve.bodies import ListBody
from gateway.serve.queries import OperationsQuery, WorkersQuery
from gateway.serve.replica import Changes, Differences, OutOfSequenceError, Replica
from gateway.serve.rows import OperationRow, WorkerRow, operation_row, worker_row
from tests.serve.builders import operation, worker

STAGE_NUMBERS = [pb.STAGE_UNKNOWN, pb.STAGE_CACHE_CHECK, pb.STAGE_QUEUED, pb.STAGE_EXECUTING, pb.STAGE_COMPLETED]
FILTERS = [
    OperationFilter(stages, worker_id)
    for stages, worker_id in product(
        [None, frozenset[str](), *(frozenset({stage}) for stage in STAGES), frozenset({"Queued", "Executing"})],
        [None, "worker-0", "worker-1", "worker-9"],
    )
]


def list_operations(replica: Replica, query: OperationsQuery) -> ListBody:
    """As the list handlers do it."""
    revision = replica.state_of(query.filter).revision
    return replica.bodies.get(query, revision) or replica.keep(query, revision, replica.page_of_operations(query))


def list_workers(replica: Replica) -> ListBody:
    return replica.keep(WorkersQuery(), replica.state_of_workers.revision, replica.page_of_workers(WorkersQuery()))


def array(*elements: bytes) -> bytes:
    return b"[" + b",".join(elements) + b"]"


def random_operation(chance: random.Random, arrival: int) -> OperationRow:
    made = operation(
        arrival,
        chance.choice(STAGE_NUMBERS),
        id_=f"op-{chance.randrange(12)}",
        worker_id=chance.choice([None, "worker-0", "worker-1"]),
        priority=chance.choice([None, 0, 1]),
        insert=chance.choice([None, 1, 2]),
        instance_name=chance.choice(["", "main", "a/b"]),
    )
    for name in ("assigned", "finished"):
        if chance.random() < 0.7:
            getattr(made, name).seconds = chance.randrange(3)
    if chance.random() < 0.5:
        made.other_ids.append(f"other-{chance.randrange(5)}")
    return operation_row(made)


class Naive:
    """What the replica has to be equal to: rows, looked through from end to end."""

    def __init__(self) -> None:
        self.workers: dict[int, WorkerRow] = {}
        self.operations: dict[int, OperationRow] = {}

    def agrees_with(self, replica: Replica) -> None:
        workers = sorted(self.workers.values(), key=lambda row: row.key)
        body = list_workers(replica)
        assert (body.json, body.total) == (array(*(row.json for row in workers)), len(workers))
        for wanted in FILTERS:
            rows = sorted((row for row in self.operations.values() if wanted.matches(row)), key=lambda row: row.key)
            for limit in (0, 3, 1_000):
                page = list_operations(replica, OperationsQuery(wanted, limit))
                assert [row for row in replica.operations(wanted) if wanted.matches(row)] == rows
                assert page.json == array(*(row.json for row in rows[:limit]))
                assert page.total == len(rows)
                assert bool(page.next_token) == (0 < limit < len(rows))
        for n in range(12):
            self.found(replica, f"op-{n}", {row.json for row in self.operations.values() if f"op-{n}" in row.ids})
        for n in range(5):
            self.found(replica, f"other-{n}", {row.json for row in self.operations.values() if f"other-{n}" in row.ids})
        for arrival in range(30):
            row = self.workers.get(arrival)
            assert replica.worker(f"worker-{arrival}") == row

    @staticmethod
    def found(replica: Replica, id_: str, claimants: set[bytes]) -> None:
        answer = replica.operation(id_)
        assert answer.json in claimants if answer is not None else not claimants


@given(seed=st.integers(0, 2**32), batches=st.integers(1, 8), most=st.integers(0, 12))
def test_the_replica_equals_a_naive_model_after_any_batches(seed: int, batches: int, most: int) -> None:
    chance = random.Random(seed)
    naive, number = Naive(), 5
    replica = Replica("epoch", number)
    for arrival in range(chance.randrange(10)):
        naive.operations[arrival] = random_operation(chance, arrival)
        naive.workers[arrival] = worker_row(worker(arrival, connected=chance.choice([None, 1, 2])))
    replica.load(naive.workers.values(), naive.operations.values())
    naive.agrees_with(replica)
    for _ in range(batches):
        number += chance.randrange(1, 4)
        arrivals = chance.sample(range(30), chance.randrange(most + 1))
        gone = {arrival for arrival in arrivals if chance.random() < 0.3}
        operations = {arrival: random_operation(chance, arrival) for arrival in arrivals if arrival not in gone}
        workers = {
            arrival: worker_row(worker(arrival, connected=chance.choice([None, 1, 2])))
            for arrival in arrivals
            if arrival not in gone and chance.random() < 0.5
        }
        before = {wanted: replica.state_of(wanted).revision for wanted in FILTERS}
        replica.apply(Changes("epoch", number, list(workers.values()), list(operations.values()), list(gone), list(gone)))
        naive.operations = {arrival: row for arrival, row in naive.operations.items() if arrival not in gone} | operations
        naive.workers = {arrival: row for arrival, row in naive.workers.items() if arrival not in gone} | workers
        assert all(before[wanted] <= replica.state_of(wanted).revision <= number for wanted in FILTERS)
        naive.agrees_with(replica)
    # A process that begins with this state knows nothing of what led here, and its fingerprints are the same.
    other = Replica("epoch", number)
    other.load(naive.workers.values(), naive.operations.values())
    assert other.state_of_workers.fingerprint == replica.state_of_workers.fingerprint
    for wanted in FILTERS:
        assert other.state_of(wanted).fingerprint == replica.state_of(wanted).fingerprint


@given(seed=st.integers(0, 2**32), limit=st.integers(1, 7), churn=st.integers(0, 4))
def test_pages_put_together_are_the_whole_list_while_others_come_and_go(seed: int, limit: int, churn: int) -> None:
    chance = random.Random(seed)

    def come(arrival: int) -> OperationRow:
        return operation_row(operation(arrival, chance.choice(STAGE_NUMBERS), priority=chance.randrange(3)))

    replica = Replica("epoch", 1)
    rows = {arrival: come(arrival) for arrival in range(20)}
    replica.load((), rows.values())
    stayed = set(rows)
    seen: list[int] = []
    token = ""
    # Rows that come behind the cursor as fast as pages are read would make the list endless.
    for number in range(2, 60):
        page = list_operations(replica, OperationsQuery(limit=limit, after=decode_token(token, OPERATION_KEY_LENGTH)))
        seen += [int(element["operation_id"].removeprefix("op-")) for element in json.loads(page.json)]
        token = page.next_token
        if not token:
            break
        gone = chance.sample(sorted(rows), min(churn, len(rows)))
        new = {arrival: come(arrival) for arrival in range(100 * number, 100 * number + churn)} if number < 10 else {}
        replica.apply(Changes("epoch", number, operations=list(new.values()), removed_operations=gone))
        stayed -= set(gone)
        rows = {arrival: row for arrival, row in rows.items() if arrival not in gone} | new
    assert not token
    assert len(seen) == len(set(seen))
    assert stayed <= set(seen)


def test_a_body_is_made_once_for_a_revision_and_again_when_its_own_rows_change() -> None:
    replica = Replica("epoch", 1)
    replica.load((), map(operation_row, [operation(1), operation(2, pb.STAGE_EXECUTING, worker_id="w")]))
    queued, executing = (OperationsQuery(OperationFilter(frozenset({stage}))) for stage in ("Queued", "Executing"))
    of_worker = OperationsQuery(OperationFilter(worker_id="w"))
    bodies = [list_operations(replica, query).json for query in (queued, executing, of_worker)]
    replica.apply(Changes("epoch", 2, operations=[operation_row(operation(3))]))
    again = [list_operations(replica, query).json for query in (queued, executing, of_worker)]
    assert [before is after for before, after in zip(bodies, again, strict=True)] == [False, True, True]


def test_an_entity_that_says_nothing_new_changes_no_revision() -> None:
    replica = Replica("epoch", 1)
    replica.load([worker_row(worker(1))], [operation_row(operation(2))])
    before = list_operations(replica, OperationsQuery()).json
    replica.apply(Changes("epoch", 2, workers=[worker_row(worker(1))], operations=[operation_row(operation(2))]))
    assert replica.number == 2
    assert replica.operations_revision == 1
    assert list_operations(replica, OperationsQuery()).json is before


@pytest.mark.parametrize(
    "changes",
    [
        Changes("other", 6),
        Changes("epoch", 4),
        Changes("epoch", 5, workers=[worker_row(worker(1))]),
        Changes("epoch", 5, operations=[operation_row(operation(1))]),
        Changes("epoch", 5, removed_workers=[1]),
        Changes("epoch", 5, removed_operations=[1]),
    ],
)
def test_what_does_not_continue_the_state_is_refused_whole(changes: Changes) -> None:
    replica = Replica("epoch", 5)
    with pytest.raises(OutOfSequenceError):
        replica.apply(changes)
    assert replica.number == 5
    assert list_operations(replica, OperationsQuery()).total == list_workers(replica).total == 0


def test_a_batch_without_rows_may_keep_its_number_and_bring_the_scheduler() -> None:
    replica = Replica("epoch", 5)
    replica.apply(Changes("epoch", 5, scheduler=pb.Scheduler(name="MAIN")))
    replica.apply(Changes("epoch", 5))
    assert replica.scheduler.name == "MAIN"


def test_the_removal_of_what_is_not_there_is_no_change() -> None:
    replica = Replica("epoch", 1)
    replica.apply(Changes("epoch", 2, removed_workers=[7], removed_operations=[7]))
    assert replica.operations_revision == 1


def test_an_operation_is_found_by_any_of_its_ids_with_or_without_its_instance_name() -> None:
    made = operation(1, id_="scheduler-id", instance_name="a/b")
    made.client_operation_id = "client-1"
    made.previous_operation_id = "client-1"
    made.other_ids.append("client-2")
    replica = Replica("epoch", 1)
    replica.load((), [operation_row(made), operation_row(operation(2, id_="with/slash"))])
    for id_ in ("scheduler-id", "client-1", "client-2"):
        assert replica.operation(id_) == replica.operation(f"a/b/{id_}") == operation_row(made)
        assert replica.operation(f"/{id_}") is replica.operation(f"b/{id_}") is None
    assert replica.operation("with/slash") is not None
    assert replica.operation("") is None


def test_an_operation_without_any_id_is_listed_and_cannot_be_looked_up() -> None:
    replica = Replica("epoch", 1)
    replica.load((), [operation_row(operation(1, id_=""))])
    assert replica.operation("") is replica.operation("/") is None
    assert list_operations(replica, OperationsQuery()).total == 1


def test_its_parts_are_all_that_keeps_its_rows() -> None:
    replica = Replica("e", 1)
    replica.load([worker_row(worker(1))], [operation_row(operation(2, worker_id="worker-1"))])
    rows, operations, *indexes = replica.parts()
    assert rows == [replica.worker("worker-1")]
    assert operations == [replica.operation("op-2")]
    kept = sys.getrefcount(replica.operation("op-2"))
    del replica, indexes
    assert isinstance(operations, list)
    assert sys.getrefcount(operations[0]) < kept


def test_what_changes_made_different_is_told_gone_ones_first() -> None:
    replica = Replica("epoch", 1)
    workers, operations = [worker_row(worker(n)) for n in (1, 2)], [operation_row(operation(n)) for n in (3, 4, 5)]
    replica.load(workers, operations)
    moved, new = operation_row(operation(4, pb.STAGE_EXECUTING)), worker_row(worker(6))
    differences = replica.apply(
        Changes("epoch", 2, [new, workers[1]], [operations[2], moved], removed_workers=[1, 99], removed_operations=[3, 99])
    )
    assert differences.workers == [(workers[0], None), (None, new)]
    assert differences.operations == [(operations[0], None), (operations[1], moved)]
    assert replica.apply(Changes("epoch", 3)) == Differences([], [])

from __future__ import annotations

import asyncio

import pytest

from gateway.pb import introspection_pb2 as pb
from gateway.query.filter import OperationFilter, WorkerFilter
from gateway.query.order import OPERATION_KEY_LENGTH
from gateway.query.page import decode_token
from gateway.serve import search as module
from gateway.serve.problems import ProblemError
from gateway.serve.queries import OperationsQuery, WorkersQuery
from gateway.serve.replica import Changes, Replica
from gateway.serve.rows import operation_row, worker_row
from gateway.serve.search import Search
from tests.serve.builders import operation, properties, worker

EVEN = OperationFilter(properties=(("even", "True"),))


def some_operation(number: int) -> pb.Operation:
    made = operation(number)
    made.platform_properties.CopyFrom(properties(even=str(number % 2 == 0)))
    return made


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    """A hundred operations, looked through in slices of ten."""
    monkeypatch.setattr(module, "_SLICE", 10)
    replica = Replica("epoch", 1)
    replica.load(
        [worker_row(worker(1, "a-1")), worker_row(worker(2, "b-1"))], [operation_row(some_operation(n)) for n in range(100)]
    )
    return replica


async def test_what_no_index_has_is_found_in_pages(replica: Replica) -> None:
    search, token, found = Search(), "", list[int]()
    while True:
        query = OperationsQuery(EVEN, limit=20, after=decode_token(token, OPERATION_KEY_LENGTH))
        state, page = await search.operations(replica, query)
        assert (state.revision, page.total) == (1, 50)
        found += [row.arrival for row in page.rows]
        token = page.next_token
        if not token:
            break
    assert found == list(range(0, 100, 2))
    _, workers = await search.workers(replica, WorkersQuery(WorkerFilter(id_prefix="b-")))
    assert [row.id for row in workers.rows] == ["b-1"]


async def test_others_get_their_turn_and_the_answer_is_of_the_moment_when_it_began(replica: Replica) -> None:
    searching = asyncio.create_task(Search().operations(replica, OperationsQuery(EVEN)))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not searching.done()
    replica.apply(Changes("epoch", 2, operations=[operation_row(some_operation(1_000))]))
    state, page = await searching
    assert (state.revision, page.total) == (1, 50)
    state, page = await Search().operations(replica, OperationsQuery(EVEN))
    assert (state.revision, page.total) == (2, 51)


async def test_only_so_many_wait(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    search = Search()
    running = [asyncio.create_task(search.operations(replica, OperationsQuery(EVEN))) for _ in range(module._AT_ONCE + 2)]
    await asyncio.sleep(0)
    with pytest.raises(ProblemError, match="2 searches are waiting") as refused:
        await search.operations(replica, OperationsQuery(EVEN))
    assert refused.value.status == 503
    assert {page.total for _, page in await asyncio.gather(*running)} == {50}
    assert (await search.operations(replica, OperationsQuery(EVEN)))[1].total == 50

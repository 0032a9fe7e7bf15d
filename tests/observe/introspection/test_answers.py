"""Get and List, without a socket."""

from __future__ import annotations

import asyncio

import pytest

from gateway.observe.introspection import answers as module
from gateway.observe.introspection.errors import InvalidError
from gateway.pb import introspection_pb2 as pb
from tests.observe.introspection.observed import Observed


async def operations(observed: Observed, request: pb.ListOperationsRequest) -> pb.ListOperationsResponse:
    return pb.ListOperationsResponse.FromString(await observed.answers.list_operations(request))


async def workers(observed: Observed, request: pb.ListWorkersRequest) -> pb.ListWorkersResponse:
    return pb.ListWorkersResponse.FromString(await observed.answers.list_workers(request))


async def test_pages_add_up_to_the_list_in_its_order() -> None:
    observed = Observed()
    for number in range(5):
        observed.queued(f"main/c-{number}", number, priority=number % 2)
    observed.play()
    found: list[str] = []
    request = pb.ListOperationsRequest(page_size=2)
    while True:
        answer = await operations(observed, request)
        assert answer.total == 5
        found += [operation.client_operation_id for operation in answer.operations]
        request.page_token = answer.next_page_token
        if not answer.next_page_token:
            break
    assert found == ["c-1", "c-3", "c-0", "c-2", "c-4"]
    for number in range(3):
        observed.worker(f"w-{number}")
    observed.play()
    first = await workers(observed, pb.ListWorkersRequest(page_size=2))
    second = await workers(observed, pb.ListWorkersRequest(page_size=2, page_token=first.next_page_token, view=pb.FULL))
    assert [worker.id for worker in [*first.workers, *second.workers]] == ["w-0", "w-1", "w-2"]
    assert second.next_page_token == ""
    assert second.workers[0].detail.remaining_properties.properties[0].value == "8"


async def test_filters_apply_before_pages() -> None:
    observed = Observed()
    worker = observed.worker("w-1")
    for number in range(4):
        observed.queued(f"main/c-{number}", number)
    observed.assigned(worker, "op-2", 2)
    observed.play()
    executing = await operations(observed, pb.ListOperationsRequest(stages=[pb.STAGE_EXECUTING], page_size=1))
    assert (executing.total, executing.next_page_token) == (1, "")
    assert executing.operations[0].operation_id == "op-2"
    of_worker = await operations(observed, pb.ListOperationsRequest(worker_id="w-1", view=pb.FULL))
    assert [operation.operation_id for operation in of_worker.operations] == ["op-2"]
    assert of_worker.operations[0].detail.attempts == 1
    assert of_worker.operations[0].detail.story
    nobodys = await operations(observed, pb.ListOperationsRequest(worker_id="w-2"))
    assert nobodys.total == 0


async def test_an_operation_is_found_by_each_of_its_ids() -> None:
    observed = Observed()
    observed.queued("main/c-1", 1)
    observed.assigned(observed.worker("w-1"), "op-1", 1)
    observed.play()
    for id_ in ("op-1", "c-1", "main/c-1"):
        operation = pb.Operation.FromString(await observed.answers.get_operation(pb.GetOperationRequest(id=id_, view=pb.FULL)))
        assert operation.operation_id == "op-1"
        assert operation.detail.clients[0].user_agent == "test/1"
    worker = pb.Worker.FromString(await observed.answers.get_worker(pb.GetWorkerRequest(id="w-1", view=pb.FULL)))
    assert worker.running_operations == ["op-1"]
    assert worker.detail.remaining_properties.properties[0] == pb.Property(name="cpu_count", value="7")
    assert not pb.Worker.FromString(await observed.answers.get_worker(pb.GetWorkerRequest(id="w-1"))).HasField("detail")


async def test_what_goes_away_while_a_full_page_is_made_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FULL_SLICE", 1)
    observed = Observed()
    observed.worker("w-1")
    second, _ = observed.worker("w-2")
    observed.queued("main/c-1", 1)
    second_client, _ = observed.queued("main/c-2", 2)
    observed.play()
    listing = asyncio.create_task(workers(observed, pb.ListWorkersRequest(view=pb.FULL)), name="workers")
    listing_operations = asyncio.create_task(operations(observed, pb.ListOperationsRequest(view=pb.FULL)), name="operations")
    await asyncio.sleep(0)
    observed.tap.close(second)
    observed.tap.close(second_client)
    observed.tap.tick(100)
    observed.play()
    assert [worker.id for worker in (await listing).workers] == ["w-1"]
    assert [operation.client_operation_id for operation in (await listing_operations).operations] == ["c-1"]


async def found_operations(observed: Observed, **wanted: object) -> list[str]:
    answer = await operations(observed, pb.ListOperationsRequest(**wanted))  # type: ignore[arg-type]  # a test's own words
    return [operation.client_operation_id for operation in answer.operations]


async def test_every_filter_of_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILTER_SLICE", 1)
    observed = Observed()
    worker = observed.worker("w-1")
    for number in range(3):
        observed.queued(f"main/c-{number}", number)
    observed.assigned(worker, "op-1", 1)
    observed.finished(worker, "op-1", 1)
    observed.play()
    first = await operations(observed, pb.ListOperationsRequest())
    by_client = {each.client_operation_id: each for each in first.operations}
    assert await found_operations(observed, digest_hash=f"{2:064x}") == ["c-2"]
    assert await found_operations(observed, instance_name="other") == []
    assert await found_operations(observed, instance_name="main") == ["c-0", "c-2", "c-1"]
    assert await found_operations(observed, status_code=0) == ["c-1"]
    assert await found_operations(observed, properties=[pb.Property(name="cpu_count", value="1")]) == ["c-1"]
    assert await found_operations(observed, inserted_by=by_client["c-1"].insert) == ["c-1"]
    assert await found_operations(observed, tool_invocation_id="nobody's") == []
    assert await found_operations(observed, action_mnemonic="None") == []
    assert await found_operations(observed, target_prefix="//") == []
    assert await found_operations(observed, arrivals=[by_client["c-2"].arrival, 999]) == ["c-2"]


async def test_every_filter_of_workers() -> None:
    observed = Observed()
    observed.worker("linux-1", slots=1)
    busy = observed.worker("linux-2", slots=1)
    observed.queued("main/c", 1)
    observed.play()
    observed.assigned(busy, "op-1", 1)
    observed.play()

    async def found(**wanted: object) -> list[str]:
        answer = await workers(observed, pb.ListWorkersRequest(**wanted))  # type: ignore[arg-type]  # a test's own words
        return [worker.id for worker in answer.workers]

    assert await found(states=[pb.FULL_UP]) == ["linux-2"]
    assert await found(states=[pb.ACTIVE, pb.PAUSED]) == ["linux-1"]
    assert await found(id_prefix="linux-2") == ["linux-2"]
    assert await found(properties=[pb.Property(name="cpu_count", value="8")]) == ["linux-1", "linux-2"]
    assert await found(properties=[pb.Property(name="cpu_count", value="4")]) == []
    with pytest.raises(InvalidError, match="states: 9 is no WorkerState"):
        await found(states=[9])
    arrival = (await workers(observed, pb.ListWorkersRequest())).workers[0].arrival
    assert await found(arrivals=[arrival], view=pb.FULL) == ["linux-1"]

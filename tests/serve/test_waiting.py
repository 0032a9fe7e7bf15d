"""GET /api/v1/operations/{id}?wait_for=STAGE over HTTP, and what no script can bring about by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from gateway.serve import waiting
from gateway.serve.authentication.token_file import change_tokens
from gateway.serve.ongoing import Ongoing
from gateway.serve.problems import ProblemError
from gateway.serve.queries import Wait
from gateway.serve.replica import Changes, Replica
from gateway.serve.role import bind, run
from gateway.serve.rows import operation_row
from gateway.serve.waiting import REACHED, TIMED_OUT, WAITED, Waiting
from tests.serve.authentication.showing import new_token, shown
from tests.serve.builders import operation
from tests.serve.implementer import Implementer
from tests.serve.metrics.scraped import of, samples
from tests.serve.running import PATIENCE_S, Answer, Client, serving
from tests.serve.test_routes import fill, golden


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


async def until_waiting(client: Client, count: int, headers: str = "") -> None:
    await client.until(
        "/metrics",
        lambda answer: of(samples(answer.body), "nativelink_gateway_waiting_requests") == {"": float(count)},
        headers,
    )


@asynccontextmanager
async def asked(client: Client, *addresses: str) -> AsyncIterator[list[asyncio.Task[Answer]]]:
    """Requests that wait."""
    tasks = [asyncio.create_task(client.get(address), name=address) for address in addresses]
    await until_waiting(client, len(tasks))
    yield tasks
    await asyncio.gather(*tasks)
    await until_waiting(client, 0)


@pytest.mark.parametrize("word", ["completed", "executing", "Completed"])
async def test_what_is_there_already_is_not_waited_for(client: Client, word: str) -> None:
    answer = await client.get(f"/api/v1/operations/client-op-4?wait_for={word}")
    assert (answer.status, answer.headers[WAITED]) == (200, REACHED)
    assert json.loads(answer.body)["is_finished"] is True


async def test_the_answer_comes_as_soon_as_the_operation_is_there_under_whatever_id(
    client: Client, implementer: Implementer
) -> None:
    addresses = ("/api/v1/operations/op-3?wait_for=executing", "/api/v1/operations/op-3?wait_for=completed&timeout=300")
    async with asked(client, *addresses) as (executing, completed):
        moved = operation(3, pb.STAGE_EXECUTING, id_="scheduler-3", worker_id="worker-123")
        implementer.set(operations=[moved])
        answer = await executing
        assert (answer.status, answer.headers[WAITED]) == (200, REACHED)
        assert json.loads(answer.body)["operation_id"] == "scheduler-3"
        assert not completed.done()
        moved.stage = pb.STAGE_COMPLETED
        implementer.set(operations=[moved])
        answer = await completed
        assert (answer.status, answer.headers[WAITED]) == (200, REACHED)
        assert json.loads(answer.body)["stage"] == "Completed"


async def test_when_the_time_is_up_the_answer_is_the_operation_as_it_is_then(client: Client) -> None:
    for timeout in ("0", "0.05"):
        answer = await client.get(f"/api/v1/operations/op-456?wait_for=completed&timeout={timeout}")
        assert (answer.status, answer.body, answer.headers[WAITED]) == (200, golden("operation"), TIMED_OUT)


async def test_a_wait_may_ask_for_everything_that_is_known(client: Client) -> None:
    answer = await client.get("/api/v1/operations/op-456?view=full&wait_for=executing")
    assert (answer.status, answer.headers[WAITED]) == (200, REACHED)
    assert "story" in json.loads(answer.body)


async def test_head_waits_too(client: Client, implementer: Implementer) -> None:
    waiting = asyncio.create_task(client.get("/api/v1/operations/op-3?wait_for=executing", method="HEAD"), name="head")
    await until_waiting(client, 1)
    implementer.set(operations=[operation(3, pb.STAGE_EXECUTING)])
    answer = await waiting
    assert (answer.status, answer.body, answer.headers[WAITED]) == (200, b"", REACHED)


async def test_an_operation_that_goes_meanwhile_is_404_that_says_so(client: Client, implementer: Implementer) -> None:
    async with asked(client, "/api/v1/operations/op-3?wait_for=completed") as (task,):
        implementer.set(gone_operations=[3])
        answer = await task
    assert (answer.status, answer.body) == (404, golden("error_went_while_waiting"))


async def test_an_operation_that_is_not_there_is_not_waited_for(client: Client) -> None:
    answer = await client.get("/api/v1/operations/op-457?wait_for=completed")
    assert (answer.status, answer.body) == (404, golden("error_no_operation"))


async def test_a_new_epoch_may_number_operations_anew(client: Client, implementer: Implementer) -> None:
    addresses = ("/api/v1/operations/op-3?wait_for=executing", "/api/v1/operations/op-456?wait_for=completed")
    async with asked(client, *addresses) as (renumbered, gone):
        implementer.begin_epoch("epoch-2")
        implementer.operations = {50: operation(50, id_="op-3"), 3: operation(3, id_="another")}
        await implementer.stop()
        await implementer.start()
        assert (await gone).status == 404
        implementer.set(operations=[operation(3, pb.STAGE_EXECUTING, id_="another")])
        implementer.set(operations=[operation(50, pb.STAGE_EXECUTING, id_="op-3")])
        answer = await renumbered
    assert (answer.status, answer.headers[WAITED]) == (200, REACHED)
    assert json.loads(answer.body)["operation_id"] == "op-3"


async def test_while_upstream_is_away_a_wait_goes_on_and_its_answer_says_how_old_it_is(
    client: Client, implementer: Implementer
) -> None:
    async with asked(client, "/api/v1/operations/op-3?wait_for=executing&timeout=300") as (task,):
        await implementer.stop()
        await client.until("/api/v1/workers", lambda answer: "Age" in answer.headers)
        answer = await client.get("/api/v1/operations/op-3?wait_for=executing&timeout=0.01")
        assert (answer.status, answer.headers[WAITED]) == (200, TIMED_OUT)
        assert "Age" in answer.headers
        implementer.set(operations=[operation(3, pb.STAGE_EXECUTING)])
        await implementer.start()
        answer = await task
    assert (answer.status, answer.headers[WAITED]) == (200, REACHED)


async def test_a_client_that_goes_leaves_nothing_behind(client: Client) -> None:
    address = f"http://127.0.0.1:{client.port}/api/v1/operations/op-3?wait_for=completed"
    async with aiohttp.ClientSession() as session:
        task = asyncio.create_task(session.get(address), name="a client that goes")
        await until_waiting(client, 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await until_waiting(client, 0)


@pytest.mark.parametrize(
    "ends", [{"operations": [operation(3, pb.STAGE_EXECUTING)]}, {"gone_operations": [3]}], ids=["reached", "gone"]
)
async def test_who_waits_with_a_token_that_is_revoked_meanwhile_is_refused_in_the_end(
    config: Config, implementer: Implementer, ends: dict[str, Any]
) -> None:
    fill(implementer)
    await implementer.start()
    revoked, kept = (shown(new_token(config, name=name)) for name in ("revoked", "kept"))
    address = "/api/v1/operations/op-3"
    async with serving(config) as client:
        task = asyncio.create_task(client.get(f"{address}?wait_for=executing&timeout=300", headers=revoked), name="waiting")
        await until_waiting(client, 1, headers=kept)
        change_tokens(config.tokens_file, lambda known: [each for each in known if each.name != "revoked"])
        await client.until(address, lambda answer: answer.status == 401, headers=revoked)
        assert not task.done()
        implementer.set(**ends)
        answer = await task
    assert (answer.status, WAITED in answer.headers) == (401, False)


async def test_one_too_many_is_503(client: Client, implementer: Implementer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 2)
    addresses = ["/api/v1/operations/op-3?wait_for=completed"] * 2
    async with asked(client, *addresses):
        answer = await client.get(addresses[0])
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert answer.body == golden("error_too_many_wait")
        assert (await client.get("/api/v1/operations/op-3")).status == 200
        implementer.set(gone_operations=[3])


async def test_waits_are_no_latencies(client: Client) -> None:
    for _ in range(2):
        await client.get("/api/v1/operations/op-456?wait_for=completed&timeout=0")
    await client.get("/api/v1/operations/op-456")
    counts = of(samples(await client.body("/metrics")), "nativelink_gateway_http_request_duration_seconds_count")
    assert counts["2xx /api/v1/operations/{id}"] == 1
    assert counts["2xx other"] == 0


async def test_stopping_ends_waits_at_once(config: Config, implementer: Implementer) -> None:
    fill(implementer)
    await implementer.start()
    # Far more than the patience of this test.
    config = replace(config, stop_timeout_s=PATIENCE_S * 20)
    listener = bind(config)
    client = Client(listener.getsockname()[1])
    stop = asyncio.Event()
    role = asyncio.create_task(run(config, listener, stop), name="role")
    await client.until("/readyz", lambda answer: answer.status == 200)
    waiting = asyncio.create_task(client.get("/api/v1/operations/op-3?wait_for=completed"), name="waiting")
    await until_waiting(client, 1)
    stop.set()
    async with asyncio.timeout(PATIENCE_S):
        await role
    assert (await waiting).headers[WAITED] == TIMED_OUT


async def test_once_it_is_closed_nobody_waits() -> None:
    waiting = Waiting(Ongoing())
    waiting.close()
    row = operation_row(operation(1))
    assert await waiting.until("op-1", row, Wait(frozenset({"Completed"}), 300)) == (row, TIMED_OUT)


async def test_an_operation_that_completes_and_goes_in_one_batch_of_many_is_seen_to_complete() -> None:
    """The future has its result before the waiter runs: what comes next does not take it back."""
    replica = Replica("epoch", 1)
    replica.load((), [operation_row(operation(1)), operation_row(operation(2))])
    waiting = Waiting(ongoing := Ongoing())
    row, other = replica.operation("op-1"), replica.operation("op-2")
    assert row is not None
    assert other is not None
    wait = Wait(frozenset({"Completed"}), 300)
    first = asyncio.create_task(waiting.until("op-1", row, wait), name="first")
    second = asyncio.create_task(waiting.until("op-2", other, wait), name="second")
    await asyncio.sleep(0)
    assert ongoing.waiting == 2
    completed = operation_row(operation(1, pb.STAGE_COMPLETED))
    waiting.go_on(replica, replica.apply(Changes("epoch", 2, operations=[completed])))
    waiting.go_on(replica, replica.apply(Changes("epoch", 3, removed_operations=[1, 2])))
    assert await first == (completed, REACHED)
    with pytest.raises(ProblemError, match="went while it was waited for"):
        await second
    assert ongoing.waiting == 0

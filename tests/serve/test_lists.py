"""Lists beyond the documented ones: filters, and everything that is known."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import grpc
import pytest

from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from gateway.serve import upstream as upstream_module
from tests.serve.builders import NOW, documented_worker, operation, properties, worker
from tests.serve.implementer import Implementer
from tests.serve.running import Client, serving


def fill(implementer: Implementer) -> None:
    operations = []
    for number in range(250):
        made = operation(number + 10, pb.STAGE_QUEUED, id_=f"op-{number}", insert=NOW - number)
        made.platform_properties.CopyFrom(properties(pool="even" if number % 2 == 0 else "odd"))
        made.target_ids.append(f"//pkg{number % 5}:t")
        operations.append(made)
    implementer.set([documented_worker(), worker(6, "other")], operations)


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


async def ids(client: Client, address: str) -> list[str]:
    return [each.get("operation_id") or each["id"] for each in json.loads(await client.body(address))]


async def test_filters_hold_all_at_once_and_before_limits(client: Client) -> None:
    address = "/api/v1/operations?property.pool=odd&target=//pkg1:&stage=queued,executing&limit=3"
    answer = await client.get(address)
    assert answer.headers["X-Total-Count"] == "25"
    assert len(json.loads(answer.body)) == 3
    assert 'rel="next"' in answer.headers["Link"]
    again = await client.get(address, headers=f"If-None-Match: {answer.headers['ETag']}\r\n")
    assert again.status == 304


async def test_an_age_is_counted_from_the_insertion(client: Client) -> None:
    assert await ids(client, "/api/v1/operations?min_age_s=247") == ["op-249", "op-248", "op-247"]


async def test_workers_are_filtered_too(client: Client) -> None:
    assert await ids(client, "/api/v1/workers?state=active&property.OSFamily=Linux") == ["worker-123"]
    assert await ids(client, "/api/v1/workers?id_prefix=oth") == ["other"]


async def test_in_full_a_page_is_fetched_in_pieces_and_kept_for_the_moment(client: Client, implementer: Implementer) -> None:
    address = "/api/v1/operations?view=full&limit=250"
    answer = await client.get(address)
    shown = json.loads(answer.body)
    assert [each["operation_id"] for each in shown] == await ids(client, "/api/v1/operations?limit=250")
    assert shown[0]["clients"] == []
    assert [len(question.arrivals) for question in implementer.questions] == [100, 100, 50]
    assert await client.body(address) == answer.body
    assert len(implementer.questions) == 3
    assert "ETag" not in answer.headers
    workers = json.loads(await client.body("/api/v1/workers?view=full"))
    assert [(each["id"], each["peer"]) for each in workers] == [("worker-123", ""), ("other", "")]


@pytest.mark.parametrize("address", ["/api/v1/operations/op-7", "/api/v1/workers/worker-123"])
async def test_one_entity_in_full(client: Client, address: str) -> None:
    plain, full = await client.body(address), await client.body(f"{address}?view=full")
    assert full.startswith(plain[:-1])
    assert len(full) > len(plain)


async def test_what_went_meanwhile_is_not_found(client: Client, implementer: Implementer) -> None:
    implementer.operations.clear()
    assert (await client.get("/api/v1/operations/op-7?view=full")).status == 404
    assert (await client.get("/api/v1/operations/op-7")).status == 200


@pytest.mark.parametrize(("code", "status"), [(grpc.StatusCode.DEADLINE_EXCEEDED, 504), (grpc.StatusCode.RESOURCE_EXHAUSTED, 503)])
async def test_upstreams_refusals_become_http_statuses(
    client: Client, implementer: Implementer, code: grpc.StatusCode, status: int
) -> None:
    implementer.refuse_lists_with = code
    answer = await client.get("/api/v1/workers/worker-123?view=full")
    assert answer.status == status
    assert "error" in json.loads(answer.body)


async def test_without_upstream_there_is_nothing_in_full(client: Client, implementer: Implementer) -> None:
    await implementer.stop()
    answer = await client.until("/api/v1/workers?view=full", lambda answer: answer.status == 503)
    assert "which is away" in json.loads(answer.body)["error"]
    assert (await client.get("/api/v1/workers")).status == 200


class Hanging(Implementer):
    """It is there, and never answers what is asked of lists."""

    async def _asked(self, request: pb.ListWorkersRequest | pb.ListOperationsRequest, context: grpc.ServicerContext) -> None:
        await super()._asked(request, context)
        await asyncio.Event().wait()


async def test_who_asked_an_upstream_that_is_given_up_is_told_so(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "SILENCE_LIMIT_S", 1.0)
    implementer = Hanging(f"unix:{config.introspection_socket}")
    fill(implementer)
    async with implementer, serving(config) as client:
        answer = await client.get("/api/v1/workers?view=full")
        assert implementer.questions
        assert answer.status == 503
        assert "which is away" in json.loads(answer.body)["error"]

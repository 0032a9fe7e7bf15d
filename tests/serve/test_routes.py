"""Every route and every error, byte for byte: tests/golden/NAME.json is the body, this file has the rest."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import quote

import pytest
import zstandard

from gateway.config.types import Address, Config, Introspection
from gateway.pb import introspection_pb2 as pb
from gateway.serve.encodings import LEAST_BYTES
from tests.serve.builders import documented_operation, documented_scheduler, documented_worker, operation, properties, worker
from tests.serve.implementer import Implementer
from tests.serve.running import Answer, Client, eventually, serving

GOLDEN = Path(__file__).parent.parent / "golden"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().removesuffix(b"\n")


def fill(implementer: Implementer) -> None:
    """The documentation's examples, and entities of which next to nothing is known."""
    documented = documented_operation()
    queued = operation(3, id_="op-3", priority=7, insert=1_640_995_210)
    queued.platform_properties.CopyFrom(pb.Properties())
    completed = operation(4, pb.STAGE_COMPLETED, id_="", worker_id="worker-123", instance_name="main")
    completed.client_operation_id = "client-op-4"
    completed.action_digest.hash = "f00d"
    bare = worker(5, "worker 5/ä?", connected=1_640_995_100)
    bare.properties.CopyFrom(properties(pool="old"))
    bare.properties.properties.add(name="pool", value='new "one"')
    implementer.set(
        [documented_worker(), bare, worker(6)],
        [documented, queued, completed, operation(7, pb.STAGE_CACHE_CHECK), operation(8, pb.STAGE_UNKNOWN)],
        documented_scheduler(),
    )


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


SUCCESSES = [
    ("/api/v1/workers", "workers"),
    ("/api/v1/workers/worker-123", "worker"),
    ("/api/v1/workers/worker%205%2F%C3%A4%3F", "worker_hardly_known"),
    ("/api/v1/workers/worker%205/%C3%A4%3F", "worker_hardly_known"),
    ("/api/v1/operations", "operations"),
    ("/api/v1/operations?stage=queued", "operations_queued"),
    ("/api/v1/operations?stage=EXECUTING&worker_id=worker-123", "operations_executing"),
    ("/api/v1/operations?stage=Cache_Check", "operations_cache_check"),
    ("/api/v1/operations?worker_id=worker-123", "operations_of_worker"),
    ("/api/v1/operations?worker_id=nobody", "operations_none"),
    ("/api/v1/operations?limit=0", "operations_none"),
    ("/api/v1/operations/op-456", "operation"),
    ("/api/v1/operations/main/op-456", "operation"),
    ("/api/v1/operations/main%2Fclient-op-456", "operation"),
    ("/api/v1/operations/client-op-457", "operation"),
    ("http://localhost/api/v1/operations/client-op-456", "operation"),
    ("/api/v1/operations//op-3", "operation_hardly_known"),
    ("/api/v1/operations/%2Fop-3", "operation_hardly_known"),
    ("/api/v1/scheduler/status", "status"),
    ("/api/v1/scheduler/metrics", "metrics"),
    ("/api/v1/system/health", "health"),
    ("/livez", "livez"),
    ("/readyz", "readyz"),
    ("/api/v1", "index"),
]

ERRORS = [
    ("/api/v1/workers/worker-124", 404, "error_no_worker"),
    ("/api/v1/operations/op-457", 404, "error_no_operation"),
    ("/api/v1/operations/other/op-456", 404, "error_no_operation_of_instance"),
    ("/api/v1/nothing", 404, "error_no_path"),
    ("/api/v1/workers/", 404, "error_no_path_slash"),
    ("/api/v1/operations?stage=running", 400, "error_stage"),
    ("/api/v1/operations?stage=", 400, "error_stage_empty"),
    ("/api/v1/operations?limit=100001", 400, "error_limit"),
    ("/api/v1/operations?limit=-1", 400, "error_limit_negative"),
    ("/api/v1/operations?limit=many", 400, "error_limit_no_number"),
    ("/api/v1/operations?page_token=x", 400, "error_page_token"),
    ("/api/v1/operations?stages=queued", 400, "error_unknown_parameter"),
    ("/api/v1/operations?stage=queued&stage=queued", 400, "error_repeated_parameter"),
    ("/api/v1/operations/op-456?wait_for=queued", 400, "error_wait_for"),
    ("/api/v1/operations/op-456?wait_for=completed&timeout=301", 400, "error_timeout"),
    ("/api/v1/operations/op-456?timeout=1", 400, "error_timeout_alone"),
    ("/api/v1/operations/op-456?waitfor=completed", 400, "error_unknown_parameter_of_operation"),
    ("/api/v1/system/health?verbose=1", 400, "error_no_parameters"),
    ("/api/v1/workers/%ff", 400, "error_not_utf8"),
]


@pytest.mark.parametrize(("address", "name"), SUCCESSES, ids=[address for address, _ in SUCCESSES])
async def test_a_route_answers_its_golden_bytes(client: Client, address: str, name: str) -> None:
    answer = await client.get(address)
    assert (answer.status, answer.body) == (200, golden(name))
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(("address", "status", "name"), ERRORS, ids=[address for address, _, _ in ERRORS])
async def test_an_error_answers_its_golden_bytes(client: Client, address: str, status: int, name: str) -> None:
    answer = await client.get(address)
    assert (answer.status, answer.body) == (status, golden(name))
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/api/v1/workers", "workers"),
        ("/api/v1/workers/worker-123", "worker"),
        ("/api/v1/workers/worker-124", "error"),
        ("/api/v1/operations", "operations"),
        ("/api/v1/operations/op-456", "operation"),
        ("/api/v1/scheduler/status", "status"),
        ("/api/v1/scheduler/metrics", "metrics"),
        ("/api/v1/system/health", "health"),
    ],
)
async def test_the_documentations_examples_come_out_as_they_are_printed_there(
    config: Config, implementer: Implementer, address: str, name: str
) -> None:
    """tests/golden/documented/ has the blocks of monitoring-api.md; only its white space is not ours."""
    printed = (GOLDEN / "documented" / f"{name}.json").read_text(encoding="utf-8").replace("worker-123 not", "worker-124 not")
    implementer.set([documented_worker()], [documented_operation()], documented_scheduler())
    await implementer.start()
    async with serving(config) as client:
        assert (await client.get(address)).body == json.dumps(json.loads(printed), separators=(",", ":")).encode()


def test_every_golden_file_is_of_some_route_or_error_and_valid_json() -> None:
    used = {name for _, name in SUCCESSES} | {name for _, _, name in ERRORS} | OTHER_GOLDEN
    assert {path.stem for path in GOLDEN.glob("*.json")} == used
    for name in used:
        json.loads(golden(name))


#: Goldens of the tests below, of other modules of tests, and of folders: events, connections, description.
OTHER_GOLDEN = {
    "error_foreign_host",
    "openapi",
    "error_method",
    "error_not_ready",
    "error_no_credential",
    "error_all_connections",
    "error_late_head",
    "error_long_head",
    "error_peer_connections",
    "error_not_http",
    "error_line_too_long",
    "error_internal",
    "error_went_while_waiting",
    "error_too_many_wait",
    "error_kind",
    "error_unknown_parameter_of_events",
    "error_since",
    "error_filter_of_other_kind",
    "error_filter_of_other_kind_workers",
    "error_too_many_listen",
    "health_unhealthy_nothing_known",
    "health_degraded_away",
    "health_degraded_upstream",
    "health_unhealthy_upstream",
    "health_notes",
    "status_nothing_observed",
    "metrics_nothing_observed",
}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
async def test_another_method_is_405_that_names_the_allowed_ones(client: Client, method: str) -> None:
    for address in ("/api/v1/operations", "/api/v1/operations/op-456", "/livez"):
        answer = await client.get(address, method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
        assert answer.body == golden("error_method").replace(b"POST", method.encode())
    assert (await client.get("/api/v1/nothing", method=method)).status == 404


@pytest.mark.parametrize("address", [address for address, _ in SUCCESSES] + [address for address, _, _ in ERRORS])
async def test_head_is_get_without_the_body(client: Client, address: str) -> None:
    get, head = await client.get(address), await client.get(address, method="HEAD")
    assert head.body == b""
    assert (head.status, head.headers) == (get.status, get.headers | {"Date": head.headers["Date"]})


async def test_a_list_says_its_total_and_the_way_to_the_next_page(client: Client) -> None:
    answer = await client.get("/api/v1/operations?limit=2")
    ids = [row["operation_id"] for row in json.loads(answer.body)]
    assert answer.headers["X-Total-Count"] == "5"
    while "Link" in answer.headers:
        link = answer.headers["Link"]
        assert link.startswith("</api/v1/operations?limit=2&page_token=")
        assert link.endswith('>; rel="next"')
        answer = await client.get(link[1 : link.index(">")])
        assert answer.headers["X-Total-Count"] == "5"
        ids += [row["operation_id"] for row in json.loads(answer.body)]
    assert ids == ["op-456", "op-7", "op-8", "op-3", None]


async def test_the_way_on_keeps_the_other_parameters(client: Client, implementer: Implementer) -> None:
    implementer.set(operations=[operation(n, pb.STAGE_EXECUTING, worker_id="worker ä&/+") for n in (20, 21, 22)])
    address = f"/api/v1/operations?worker_id={quote('worker ä&/+', safe='')}&limit=2&stage=executing"
    answer = await client.until(address, lambda answer: answer.headers.get("X-Total-Count") == "3")
    link = answer.headers["Link"]
    assert link.startswith("</api/v1/operations?worker_id=worker+%C3%A4%26%2F%2B&limit=2&stage=executing&page_token=")
    answer = await client.get(link[1 : link.index(">")])
    assert [row["operation_id"] for row in json.loads(answer.body)] == ["op-22"]
    assert "Link" not in answer.headers


async def test_workers_are_paged_only_where_a_limit_is_given(client: Client) -> None:
    answer = await client.get("/api/v1/workers")
    assert answer.headers["X-Total-Count"] == "3"
    assert "Link" not in answer.headers
    answer = await client.get("/api/v1/workers?limit=2")
    first = json.loads(answer.body)
    link = answer.headers["Link"]
    rest = await client.get(link[1 : link.index(">")])
    assert [row["id"] for row in first + json.loads(rest.body)] == ["worker-123", "worker 5/ä?", "worker-6"]


async def test_a_change_upstream_is_what_the_next_answers_show(client: Client, implementer: Implementer) -> None:
    scheduler = documented_scheduler()
    scheduler.counts.executing = 11
    implementer.set([worker(9)], [operation(2, pb.STAGE_COMPLETED, id_="op-456")], scheduler, gone_workers=[1])
    await client.until("/api/v1/workers/worker-9", lambda answer: answer.status == 200)
    assert (await client.get("/api/v1/workers/worker-123")).status == 404
    assert json.loads(await client.body("/api/v1/operations/op-456"))["is_finished"] is True
    assert json.loads(await client.body("/api/v1/scheduler/status"))["executing_operations"] == 11
    assert json.loads(await client.body("/api/v1/scheduler/metrics"))["operations"]["executing"] == 11


async def test_before_the_first_snapshot_data_is_503_and_health_says_why(config: Config) -> None:
    nowhere = Config(
        http=config.http,
        scheduler_name=config.scheduler_name,
        taps=(),
        cas=None,
        state_dir=config.state_dir,
        introspection=Introspection(endpoint=Address("127.0.0.1", 1)),
    )

    def steady(body: bytes) -> bytes:
        """Without gRPC's own words for a connection that was refused."""
        start, end = body.index(b"("), body.rindex(b"). Start")
        return body[: start + 1] + b"WHY" + body[end:]

    async with serving(nowhere, ready=False) as client:

        async def was_tried() -> bool:
            return b"UNAVAILABLE" in (await client.get("/readyz")).body

        await eventually(was_tried)
        for address in ("workers", "workers/a", "operations", "operations/a", "scheduler/status", "scheduler/metrics"):
            answer = await client.get(f"/api/v1/{address}")
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
            assert steady(answer.body) == golden("error_not_ready")
        assert steady((await client.get("/readyz")).body) == golden("error_not_ready")
        health = await client.get("/api/v1/system/health")
        assert (health.status, steady(health.body)) == (503, golden("health_unhealthy_nothing_known"))
        assert await client.body("/livez") == golden("livez")


async def test_what_upstream_says_of_its_health_is_shown(client: Client, implementer: Implementer) -> None:
    async def health_of(health: pb.Health) -> Answer:
        before = await client.get("/api/v1/system/health")
        implementer.set(scheduler=pb.Scheduler(health=health))
        return await client.until("/api/v1/system/health", lambda answer: answer.body != before.body)

    degraded = await health_of(pb.Health(status=pb.Health.DEGRADED, reasons=["Look here."], notes=["By the way."]))
    assert (degraded.status, degraded.body) == (200, golden("health_degraded_upstream"))
    unhealthy = await health_of(pb.Health(status=pb.Health.UNHEALTHY, reasons=["No tap."]))
    assert (unhealthy.status, unhealthy.body) == (503, golden("health_unhealthy_upstream"))
    healthy = await health_of(pb.Health(status=pb.Health.HEALTHY, notes=["By the way."]))
    assert (healthy.status, healthy.body) == (200, golden("health_notes"))
    assert await client.body("/api/v1/scheduler/status") == golden("status_nothing_observed")
    assert await client.body("/api/v1/scheduler/metrics") == golden("metrics_nothing_observed")


async def test_while_upstream_is_away_its_last_state_is_shown_with_its_age(client: Client, implementer: Implementer) -> None:
    assert "Age" not in (await client.get("/api/v1/workers")).headers
    await implementer.stop()
    answer = await client.until("/api/v1/workers", lambda answer: "Age" in answer.headers)
    assert (answer.status, answer.body) == (200, golden("workers"))
    assert answer.headers["Age"].isdigit()
    for address in ("/api/v1/operations/op-456", "/api/v1/scheduler/status", "/api/v1/scheduler/metrics"):
        assert "Age" in (await client.get(address)).headers
    assert (await client.get("/readyz")).status == 200
    await implementer.start()
    await client.until("/api/v1/workers", lambda answer: "Age" not in answer.headers)


async def asked_again(client: Client, address: str, headers: str = "", method: str = "GET") -> tuple[Answer, Answer]:
    """A first answer, and what a client that kept it gets."""
    first = await client.get(address, headers=headers)
    again = await client.get(address, headers=f"{headers}If-None-Match: {first.headers['ETag']}\r\n", method=method)
    return first, again


@pytest.mark.parametrize(
    "address", ["/api/v1/workers", "/api/v1/operations?limit=2", "/api/v1/workers/worker-123", "/api/v1/operations/op-456"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_a_client_has_is_not_sent_again(client: Client, address: str, method: str) -> None:
    first, again = await asked_again(client, address, method=method)
    assert (again.status, again.body) == (304, b"")
    assert again.headers["ETag"] == first.headers["ETag"]
    assert "Content-Length" not in again.headers
    assert again.headers.get("Vary") == first.headers.get("Vary")


async def test_a_change_is_sent(client: Client, implementer: Implementer) -> None:
    first, _ = await asked_again(client, "/api/v1/workers")
    implementer.set(workers=[worker(9, "worker-9")])
    tag = first.headers["ETag"]
    answer = await client.until("/api/v1/workers", lambda answer: answer.headers["ETag"] != tag)
    assert b"worker-9" in answer.body
    assert (await client.get("/api/v1/workers", headers=f"If-None-Match: {tag}\r\n")).status == 200


async def test_documents_about_everything_have_no_tag(client: Client) -> None:
    for address in ("/api/v1/scheduler/status", "/api/v1/scheduler/metrics", "/api/v1/system/health"):
        assert "ETag" not in (await client.get(address)).headers


@pytest.mark.parametrize(("coding", "read"), [("gzip", gzip.decompress), ("zstd", zstandard.ZstdDecompressor().decompress)])
async def test_a_list_is_compressed_for_who_wants_it_so(client: Client, coding: str, read: Callable[[bytes], bytes]) -> None:
    address = "/api/v1/operations"
    plain = await client.get(address)
    encoded, again = await asked_again(client, address, f"Accept-Encoding: {coding}\r\n")
    assert len(plain.body) >= LEAST_BYTES
    assert encoded.headers["Content-Encoding"] == coding
    assert read(encoded.body) == plain.body
    assert plain.headers["Vary"] == encoded.headers["Vary"] == "Authorization, Accept-Encoding"
    assert plain.headers["ETag"] != encoded.headers["ETag"]
    assert again.status == 304
    head = await client.get(address, headers=f"Accept-Encoding: {coding}\r\n", method="HEAD")
    assert (head.body, head.headers["Content-Length"]) == (b"", str(len(encoded.body)))


async def test_what_is_short_is_never_compressed(client: Client) -> None:
    answer = await client.get("/api/v1/operations?limit=0", headers="Accept-Encoding: gzip\r\n")
    assert (answer.body, "Content-Encoding" in answer.headers) == (b"[]", False)

"""The routes of drains over real sockets, against an implementer that the test scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from gateway.config.trust import Role
from gateway.config.types import Address, Config, Introspection
from gateway.pb import introspection_pb2 as pb
from gateway.serve.drains import asking, body
from tests.serve.authentication.showing import new_token, shown
from tests.serve.builders import documented_drain
from tests.serve.drains.test_audit import lines
from tests.serve.implementer import Implementer
from tests.serve.running import Client, parse, serving
from tests.serve.test_routes import fill

GOLDEN = Path(__file__).parents[2] / "golden" / "drains"
DRAIN_ID = "0c6b2f9d41aa"
JSON = "Content-Type: application/json\r\n"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.json").read_bytes().removesuffix(b"\n")


@pytest.fixture
def operator(config: Config) -> str:
    return shown(new_token(config, Role.OPERATOR, "deployer"))


@pytest.fixture
def reader(config: Config) -> str:
    return shown(new_token(config, Role.READER, "grafana"))


@pytest.fixture
async def client(config: Config, operator: str, reader: str, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    implementer.drains[DRAIN_ID] = documented_drain()
    await implementer.start()
    async with serving(config) as client:
        yield client


CHANGES = [
    ("/api/v1/workers/worker-123/drain", "", "drain", pb.DrainRequest(worker_id="worker-123")),
    ("/api/v1/workers/worker%205%2F%C3%A4%3F/drain", "{}", "drain", pb.DrainRequest(worker_id="worker 5/ä?")),
    ("/api/v1/workers/worker%205/%C3%A4%3F/drain", " ", "drain", pb.DrainRequest(worker_id="worker 5/ä?")),
    ("/api/v1/drain", '{"id_prefix":"worker-"}', "drain", pb.DrainRequest(id_prefix="worker-")),
    (
        "/api/v1/drain",
        '{"id_prefix":"pod-","until_gone":true}',
        "drain",
        pb.DrainRequest(id_prefix="pod-", until_gone=True),
    ),
    (
        "/api/v1/drain",
        '{"property":{"pool":"old"}}',
        "drain",
        pb.DrainRequest(property=pb.Property(name="pool", value="old")),
    ),
    ("/api/v1/workers/worker-123/undrain", "", "undrained", pb.UndrainRequest(worker_id="worker-123")),
    (f"/api/v1/drains/{DRAIN_ID}/cancel", '{"undrain":false}', "drain_cancelled", pb.CancelDrainRequest(id=DRAIN_ID)),
    (f"/api/v1/drains/{DRAIN_ID}/cancel", '{"undrain":true}', "drain_cancelled", pb.CancelDrainRequest(id=DRAIN_ID, undrain=True)),
]


@pytest.mark.parametrize(("address", "said", "name", "asked"), CHANGES)
async def test_a_change_is_asked_for_and_answered_with_what_it_led_to(
    client: Client,
    config: Config,
    implementer: Implementer,
    operator: str,
    address: str,
    said: str,
    name: str,
    asked: pb.DrainRequest | pb.UndrainRequest | pb.CancelDrainRequest,
) -> None:
    answer = await client.post(address, said, f"{JSON}{operator}Idempotency-Key: k-1\r\n")
    assert (answer.status, answer.body) == (200, golden(name))
    asked.requested_by, asked.idempotency_key = "token deployer", "k-1"
    assert implementer.changes == [asked]
    before, after = lines(config.state_dir / "audit.log")
    assert (before["event"], after["event"], after["status"], after["drain"]) == ("requested", "answered", 200, DRAIN_ID)
    assert (before["name"], before["method"], before["change"]) == ("deployer", "POST", after["change"])
    assert "nlg_" not in (config.state_dir / "audit.log").read_text()


async def test_drains_are_listed_without_their_workers_and_one_has_them(client: Client, operator: str) -> None:
    assert (await client.get("/api/v1/drains", headers=operator)).body == golden("drains")
    assert (await client.get(f"/api/v1/drains/{DRAIN_ID}", headers=operator)).body == golden("drain")
    missing = await client.get("/api/v1/drains/none/of/them", headers=operator)
    assert (missing.status, missing.body) == (404, golden("error_no_drain"))


BAD_BODIES = [
    ("/api/v1/drain", "", "error_drain_selector"),
    ("/api/v1/drain", '{"id_prefix":"a","property":{"a":"b"}}', "error_drain_selector"),
    ("/api/v1/drain", '{"id_prefx":"a"}', "error_drain_key"),
    ("/api/v1/drain", '{"id_prefix":7}', "error_drain_type"),
    ("/api/v1/drain", '{"id_prefix":""}', "error_drain_empty"),
    ("/api/v1/drain", '{"property":{"a":"b","c":"d"}}', "error_drain_two_properties"),
    ("/api/v1/drain", "{", "error_drain_json"),
    ("/api/v1/drain", "[]", "error_drain_object"),
    ("/api/v1/drain", '{"id_prefix":"\\ud800"}', "error_drain_json_text"),
    ("/api/v1/workers/worker-123/drain", '{"undrain":true}', "error_drain_no_keys"),
    (f"/api/v1/drains/{DRAIN_ID}/cancel", "{}", "error_cancel_missing"),
]


@pytest.mark.parametrize(("address", "said", "name"), BAD_BODIES)
async def test_a_wrong_body_is_told_what_would_be_right(
    client: Client, implementer: Implementer, operator: str, address: str, said: str, name: str
) -> None:
    answer = await client.post(address, said, f"{JSON}{operator}")
    assert (answer.status, answer.body) == (400, golden(name))
    assert implementer.changes == []


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json; charset=latin1\r\n",
        f"{JSON}Content-Encoding: gzip\r\n",
    ],
)
async def test_only_json_that_says_so_is_read(client: Client, implementer: Implementer, operator: str, headers: str) -> None:
    answer = await client.post("/api/v1/drain", '{"id_prefix":"a"}', f"{headers}{operator}")
    assert (answer.status, answer.body) == (415, golden("error_not_json"))
    assert implementer.changes == []


async def test_a_body_is_bounded_whether_it_says_so_or_not(client: Client, implementer: Implementer, operator: str) -> None:
    large = json.dumps({"id_prefix": "x" * body.BODY_MAX})
    assert (await client.post("/api/v1/drain", large, f"{JSON}{operator}")).status == 413
    chunked = f"{JSON}{operator}Transfer-Encoding: chunked\r\n"
    head = f"POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\n{chunked}Connection: close\r\n\r\n"
    answer = parse(await client.exchange(head.encode() + b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large.encode())))
    assert (answer.status, answer.body) == (413, golden("error_too_large"))
    assert implementer.changes == []


@pytest.mark.parametrize("key", ["", "x" * 201, "ä", "a\tb"])
async def test_a_key_is_visible_ascii_of_some_length(client: Client, operator: str, key: str) -> None:
    answer = await client.post("/api/v1/drain", '{"id_prefix":"a"}', f"{JSON}{operator}Idempotency-Key: {key}\r\n")
    assert (answer.status, answer.body) == (400, golden("error_idempotency_key"))


STATUSES = [
    (grpc.StatusCode.INVALID_ARGUMENT, 400),
    (grpc.StatusCode.NOT_FOUND, 404),
    (grpc.StatusCode.FAILED_PRECONDITION, 409),
    (grpc.StatusCode.ABORTED, 409),
    (grpc.StatusCode.RESOURCE_EXHAUSTED, 409),
    (grpc.StatusCode.ALREADY_EXISTS, 422),
    (grpc.StatusCode.UNIMPLEMENTED, 501),
    (grpc.StatusCode.UNKNOWN, 502),
    (grpc.StatusCode.INTERNAL, 502),
    (grpc.StatusCode.UNAVAILABLE, 503),
]


@pytest.mark.parametrize(("code", "status"), STATUSES)
async def test_what_observe_says_becomes_a_status_and_is_written_down(
    client: Client, config: Config, implementer: Implementer, operator: str, code: grpc.StatusCode, status: int
) -> None:
    implementer.refuse_drains_with = (code, "this is why")
    answer = await client.post("/api/v1/drain", '{"id_prefix":"a"}', f"{JSON}{operator}")
    assert (answer.status, json.loads(answer.body)) == (status, {"error": "this is why"})
    assert ("Retry-After" in answer.headers) == (status == 503)
    after = lines(config.state_dir / "audit.log")[-1]
    assert (after["status"], after["drain"], after["error"]) == (status, None, "this is why")
    assert (await client.get("/api/v1/drains", headers=operator)).status == status


async def test_an_answer_that_is_late_may_have_been_done(client: Client, implementer: Implementer, operator: str) -> None:
    implementer.refuse_drains_with = (grpc.StatusCode.DEADLINE_EXCEEDED, "late")
    answer = await client.post("/api/v1/drain", '{"id_prefix":"a"}', f"{JSON}{operator}")
    assert answer.status == 504
    assert b"it may be done all the same" in answer.body


async def test_another_implementer_that_drains_nothing_is_501(client: Client, implementer: Implementer, operator: str) -> None:
    implementer.refuse_drains_with = (grpc.StatusCode.UNIMPLEMENTED, asking._NO_METHOD)
    answer = await client.get("/api/v1/drains", headers=operator)
    assert answer.status == 501
    assert b"drains no workers" in answer.body


async def test_what_cannot_be_written_down_is_not_asked_for(
    client: Client, config: Config, implementer: Implementer, operator: str
) -> None:
    (config.state_dir / "audit.log").mkdir()
    answer = await client.post("/api/v1/drain", '{"id_prefix":"a"}', f"{JSON}{operator}")
    assert answer.status == 503
    assert b"audit log cannot be written" in answer.body
    assert implementer.changes == []


async def test_while_observe_is_away_nothing_is_changed(config: Config, operator: str) -> None:
    nowhere = replace(config, introspection=Introspection(endpoint=Address("127.0.0.1", 1)))
    async with serving(nowhere, ready=False) as client:
        answer = await client.post("/api/v1/drain", '{"id_prefix":"a"}', f"{JSON}{operator}")
    assert answer.status == 503
    assert [line["event"] for line in lines(config.state_dir / "audit.log")] == ["requested", "answered"]


async def test_who_may_not_is_written_down_and_asks_for_nothing(
    client: Client, config: Config, implementer: Implementer, reader: str
) -> None:
    for headers, status in ((reader, 403), ("", 401), ("Authorization: Bearer nlg_wrong_secret\r\n", 401)):
        assert (await client.post("/api/v1/drain", '{"id_prefix":"a"}', f"{JSON}{headers}")).status == status
    assert (await client.get("/api/v1/drains", headers=reader)).status == 200
    refused = lines(config.state_dir / "audit-refused.log")
    assert [line["status"] for line in refused] == [403, 401, 401]
    assert not (config.state_dir / "audit.log").exists()
    assert "secret" not in (config.state_dir / "audit-refused.log").read_text()
    assert implementer.changes == []


async def test_a_change_goes_on_although_who_asked_for_it_goes_away(
    client: Client, config: Config, implementer: Implementer, operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits, goes_on = asyncio.Event(), asyncio.Event()
    answer = implementer.Drain

    async def drain(request: pb.DrainRequest, context: grpc.ServicerContext) -> pb.Drain:
        waits.set()
        await goes_on.wait()
        return await answer(request, context)

    # The server asks the implementer for its method at each call.
    monkeypatch.setattr(implementer, "slow_drain", drain)
    _, writer = await asyncio.open_connection("127.0.0.1", client.port)
    said = b'{"id_prefix":"a"}'
    head = f"POST /api/v1/drain HTTP/1.1\r\nHost: localhost\r\n{JSON}{operator}Content-Length: {len(said)}\r\n\r\n"
    writer.write(head.encode() + said)
    async with asyncio.timeout(90):
        await waits.wait()
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.1)
        goes_on.set()
        log: Path = config.state_dir / "audit.log"
        while len(lines(log)) < 2:  # noqa: ASYNC110 - what is waited for is another task's file
            await asyncio.sleep(0.01)
    assert lines(log)[-1]["status"] == 200


def test_every_golden_file_is_used() -> None:
    used = {name for _, _, name, _ in CHANGES} | {name for _, _, name in BAD_BODIES}
    used |= {"drains", "error_no_drain", "error_not_json", "error_too_large", "error_idempotency_key"}
    assert {path.stem for path in GOLDEN.glob("*.json")} == used

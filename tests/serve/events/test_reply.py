"""GET /api/v1/events over HTTP: what a client sees that keeps up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from gateway.config.types import Authentication, Config
from gateway.pb import introspection_pb2 as pb
from gateway.serve import upstream
from gateway.serve.authentication.token_file import change_tokens
from gateway.serve.events import publisher, reply
from gateway.serve.reply import SECURITY
from gateway.serve.role import bind, run
from tests.serve.authentication.showing import new_token, shown
from tests.serve.builders import documented_drain, documented_scheduler, operation, worker
from tests.serve.events.listening import Event, Listener, listening
from tests.serve.implementer import Implementer
from tests.serve.metrics.scraped import of, samples
from tests.serve.running import PATIENCE_S, Client, eventually, parse, serving
from tests.serve.test_routes import fill, golden
from tests.serve.test_server import addresses_of_this_machine

GOLDEN = Path(__file__).parents[2] / "golden" / "events.txt"
CLIENTS = "nativelink_gateway_event_clients"


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    """The state is revision epoch-1-2."""
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


async def until_metric(client: Client, name: str, value: float, labels: str = "") -> None:
    await client.until("/metrics", lambda answer: of(samples(answer.body), name)[labels] == value)


async def test_a_stream_is_these_bytes(client: Client, implementer: Implementer) -> None:
    """tests/golden/events.txt: the beginning, each kind of event, and another epoch."""
    expected = GOLDEN.read_bytes()
    async with listening(client) as listener:
        await listener.next()
        await until_told(listener, b"event: health")
        scheduler = documented_scheduler()
        scheduler.counts.executing = 13
        implementer.set([worker(9)], [operation(3, pb.STAGE_EXECUTING, id_="scheduler-3")], gone_workers=[6], gone_operations=[4])
        await listener.next(4)
        implementer.set(scheduler=scheduler)
        await until_told(listener, b'"executing_operations":13')
        implementer.tell_drains(documented_drain())
        await until_told(listener, b"event: drain")
        implementer.begin_epoch("epoch 2")
        implementer.send(grpc.StatusCode.UNAVAILABLE)
        await listener.next(2)
        await until_told(listener, b"event: drain", times=2)
        assert listener.raw == expected


async def until_told(listener: Listener, what: bytes, *, times: int = 1) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while listener.raw.count(what) < times or not listener.raw.endswith(b"\n\n"):
            await listener._read()


async def test_the_head_is_exactly_these_bytes_for_get_and_head(client: Client) -> None:
    response = await client.exchange(b"HEAD /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Cache-Control: private, no-cache\r\nVary: Authorization, Accept-Encoding\r\n"
        + SECURITY.encode()
        + b"\r\nDate: "
        + parse(response).headers["Date"].encode()
        + b"\r\nX-Accel-Buffering: no\r\nConnection: close\r\n\r\n"
    )
    assert response == head
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    async with asyncio.timeout(PATIENCE_S):
        got = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readuntil(b"\n\n") == b"retry: 2000\n\n"
    writer.close()
    await writer.wait_closed()
    assert {line for line in got.splitlines() if not line.startswith(b"Date")} == {
        line for line in head.splitlines() if not line.startswith(b"Date")
    }


async def test_http_1_0_gets_events_too(config: Config, implementer: Implementer) -> None:
    fill(implementer)
    await implementer.start()
    token = new_token(config)
    async with serving(config) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
        writer.write(f"GET /api/v1/events HTTP/1.0\r\n{shown(token)}\r\n".encode())
        async with asyncio.timeout(PATIENCE_S):
            await reader.readuntil(b"event: snapshot\n")
        writer.close()
        await writer.wait_closed()


async def test_a_client_goes_on_from_the_id_that_it_read_last(client: Client, implementer: Implementer) -> None:
    async with listening(client) as listener:
        (marker,) = await listener.next()
        assert (marker.type, marker.last_event_id, marker.data) == ("snapshot", "epoch-1-2", {"epoch": "epoch-1", "revision": 2})
        assert listener.parser.retry_ms == 2_000
        implementer.set(operations=[operation(20)])
        (before,) = await listener.next()
    implementer.set(operations=[operation(21)])
    implementer.set(gone_operations=[20])
    await until_metric(client, "nativelink_gateway_state_revision", 5)
    assert before.last_event_id == "epoch-1-3"
    for query, header in (("", "epoch-1-3"), ("?since=epoch-1-3", None), ("?since=epoch-1-2", "epoch-1-3")):
        async with listening(client, query, last_event_id=header) as listener:
            assert await listener.names(2) == ["operation op-21", "operation_removed op-20"]
    async with listening(client, "?since=epoch-1-5") as listener:
        implementer.set(operations=[operation(22)])
        assert await listener.names(1) == ["operation op-22"]


async def test_nobody_can_go_on_from_a_place_that_is_not_in_the_log(client: Client) -> None:
    for header, query in (
        ("epoch-0-2", ""),
        ("epoch-1-1", ""),
        ("epoch-1-99", ""),
        ("nonsense", ""),
        ("17", "?since=epoch-1-2"),
        (None, "?since=epoch-0-2"),
    ):
        async with listening(client, query, last_event_id=header) as listener:
            reset, marker = await listener.next(2)
            assert (reset.type, reset.data, reset.last_event_id) == ("reset", {"reason": "not_in_log"}, "")
            assert (marker.type, marker.last_event_id) == ("snapshot", "epoch-1-2")
    await until_metric(client, "nativelink_gateway_event_resets_total", 6, "not_in_log")


async def test_an_empty_last_event_id_is_none(client: Client) -> None:
    async with listening(client, last_event_id="") as listener:
        assert await listener.names(1) == ["snapshot"]


async def test_another_epoch_resets_whoever_listens(client: Client, implementer: Implementer) -> None:
    async with listening(client, "?kind=operations") as listener:
        await listener.next()
        implementer.begin_epoch("epoch-2")
        await implementer.stop()
        await implementer.start()
        reset, marker = await listener.next(2)
        assert (reset.type, reset.data) == ("reset", {"reason": "not_continued"})
        assert (marker.type, marker.last_event_id) == ("snapshot", "epoch-2-1")
        implementer.set(operations=[operation(20)])
        assert await listener.names(1) == ["operation op-20"]
    async with listening(client, last_event_id="epoch-1-2") as listener:
        assert await listener.names(2) == ["reset", "snapshot"]


async def test_while_upstream_is_away_the_stream_goes_on_says_so_and_misses_nothing(
    client: Client, implementer: Implementer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "TICK_S", 0.02)
    monkeypatch.setattr(publisher, "HEARTBEAT_S", 0.1)
    monkeypatch.setattr(upstream, "STALE_AFTER_S", 0.1)
    async with listening(client) as listener:
        implementer.tick()
        await implementer.stop()
        health = await listener._next(("health",))
        while health.data["health"]["status"] == "healthy":
            health = await listener._next(("health",))
        assert health.data["health"]["status"] == "degraded"
        assert "is away" in health.data["health"]["reasons"][0]
        comments = listener.parser.comments
        await listener.until_comments(comments + 3)
        implementer.set(operations=[operation(20)])
        implementer.set(gone_operations=[20, 3])
        await implementer.start()
        events: list[Event] = []
        while len(events) < 3:
            event = await listener._next(("operation", "health"))
            if event.type == "health":
                health = event
            else:
                events.append(event)
        assert sorted(event.name for event in events) == ["operation op-20", "operation_removed op-20", "operation_removed op-3"]
        monkeypatch.setattr(upstream, "STALE_AFTER_S", PATIENCE_S)
        while health.data["health"]["status"] != "healthy":
            health = await listener._next(("health",))
        assert "reset" not in listener.raw.decode()


async def test_what_leaves_a_filter_is_removed_and_what_enters_it_appears(client: Client, implementer: Implementer) -> None:
    async with listening(client, "?kind=operations&stage=queued,cache_check&instance=main") as listener:
        await listener.next()
        there = operation(20, instance_name="main")
        implementer.set(operations=[there, operation(21), operation(22, pb.STAGE_EXECUTING, instance_name="main")])
        there.stage = pb.STAGE_EXECUTING
        implementer.set(operations=[there])
        implementer.set(operations=[operation(22, instance_name="main")])
        implementer.set(gone_operations=[20, 21, 22])
        events = await listener.next(4)
    assert [event.name for event in events] == [
        "operation op-20",
        "operation_removed op-20",
        "operation op-22",
        "operation_removed op-22",
    ]
    assert [event.data["operation"]["stage"] for event in events] == ["Queued", "Executing", "Queued", "Queued"]


async def test_workers_have_filters_of_their_own(client: Client, implementer: Implementer) -> None:
    async with listening(client, "?kind=workers&state=paused&id_prefix=worker-2") as listener:
        await listener.next()
        paused = worker(20)
        paused.is_paused = True
        other = worker(30)
        other.is_paused = True
        implementer.set([paused, other, worker(21)], [operation(40)])
        paused.is_paused = False
        implementer.set([paused])
        assert await listener.names(2) == ["worker worker-20", "worker_removed worker-20"]


async def test_kinds_are_chosen(client: Client, implementer: Implementer) -> None:
    async with listening(client, "?kind=scheduler") as listener:
        implementer.set([worker(9)], [operation(20)])
        scheduler = documented_scheduler()
        scheduler.counts.queued = 11
        implementer.set(scheduler=scheduler)
        await until_told(listener, b'"queued_operations":11')
        assert {event.type for event in listener.parser.events} == {"snapshot", "scheduler"}


async def test_a_heartbeat_comes_where_nothing_is_told_and_moves_the_place_to_come_back_to(
    client: Client, implementer: Implementer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "TICK_S", 0.01)
    monkeypatch.setattr(publisher, "HEARTBEAT_S", 0.05)
    async with listening(client, "?kind=operations&digest=nobody") as listener:
        await listener.next()
        implementer.set(operations=[operation(20)])
        async with asyncio.timeout(PATIENCE_S):
            while listener.parser.last_event_id != "epoch-1-3":
                await listener._read()
        assert listener.parser.comments
        assert not listener.parser.events


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("?kind=worker", "error_kind"),
        ("?stages=queued", "error_unknown_parameter_of_events"),
        ("?since=5", "error_since"),
        ("?kind=workers&stage=queued", "error_filter_of_other_kind"),
        ("?kind=operations&id_prefix=a", "error_filter_of_other_kind_workers"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_error_answers_its_golden_bytes(client: Client, query: str, name: str, method: str) -> None:
    answer = await client.get(f"/api/v1/events{query}", method=method)
    assert (answer.status, answer.body) == (400, golden(name) if method == "GET" else b"")
    assert answer.headers["Content-Type"] == "application/json"


async def test_another_method_is_405(client: Client) -> None:
    answer = await client.get("/api/v1/events", method="POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_before_the_first_snapshot_there_is_nothing_to_continue(config: Config) -> None:
    async with serving(config, ready=False) as client:
        answer = await client.get("/api/v1/events")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_peer_that_may_not_read_may_not_listen(config: Config, implementer: Implementer) -> None:
    own = addresses_of_this_machine()
    if not own or own[0].startswith("127."):
        pytest.skip("this machine has no address but loopback")
    await implementer.start()
    for authentication, status in ((Authentication.AUTO, 401), (Authentication.NONE, 200)):
        http = replace(config.http, host="0.0.0.0")
        async with serving(replace(config, http=http, authentication=authentication)) as client:
            assert (await Client(client.port, own[0]).get("/api/v1/events", method="HEAD")).status == status


async def test_a_stream_ends_when_the_token_that_opened_it_is_revoked(
    config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reply, "AGAIN_S", 0.05)
    await implementer.start()
    tokens = [new_token(config, name=name) for name in ("revoked", "kept")]
    async with serving(config) as client:
        streams = []
        for token in tokens:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
            writer.write(f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{shown(token)}\r\n".encode())
            async with asyncio.timeout(PATIENCE_S):
                await reader.readuntil(b"event: snapshot\n")
            streams.append((reader, writer))
        change_tokens(config.tokens_file, lambda known: [each for each in known if each.name != "revoked"])
        async with asyncio.timeout(PATIENCE_S):
            await streams[0][0].read()
        implementer.set(operations=[operation(20)])
        async with asyncio.timeout(PATIENCE_S):
            await streams[1][0].readuntil(b"op-20")
        for _, writer in streams:
            writer.close()
            await writer.wait_closed()


async def test_one_client_too_many_is_503(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "CLIENTS_MAX", 2)
    async with listening(client) as first, listening(client) as second:
        await first.next()
        await second.next()
        answer = await client.get("/api/v1/events")
        assert (answer.status, answer.headers["Retry-After"], answer.body) == (503, "1", golden("error_too_many_listen"))
        await until_metric(client, CLIENTS, 2)
        await until_metric(client, "nativelink_gateway_event_clients_refused_total", 1)
    await until_metric(client, CLIENTS, 0)
    async with listening(client) as again:
        await again.next()


async def test_a_client_that_goes_leaves_nothing_behind(client: Client, implementer: Implementer) -> None:
    await client.get("/livez")
    tasks = len(asyncio.all_tasks())
    for _ in range(5):
        async with listening(client) as listener:
            await listener.next()
            await until_metric(client, CLIENTS, 1)
        implementer.set(operations=[operation(20, priority=implementer.number)])
        await until_metric(client, CLIENTS, 0)

    async def are_gone() -> bool:
        return len(asyncio.all_tasks()) <= tasks

    await eventually(are_gone)


async def test_what_was_sent_is_counted_for_each_client(client: Client, implementer: Implementer) -> None:
    assert of(samples(await client.body("/metrics")), "nativelink_gateway_events_total") == {"": 0}
    async with listening(client, "?kind=operations") as first, listening(client, "?kind=operations") as second:
        await first.next()
        await second.next()
        implementer.set(operations=[operation(20), operation(21)])
        assert await first.names(2) == await second.names(2)
        await until_metric(client, "nativelink_gateway_events_total", 4)
    counts = of(samples(await client.body("/metrics")), "nativelink_gateway_http_request_duration_seconds_count")
    assert counts["2xx /api/v1/events"] == 2


async def test_stopping_ends_streams_at_once(config: Config, implementer: Implementer) -> None:
    await implementer.start()
    # Far more than the patience of this test.
    config = replace(config, stop_timeout_s=PATIENCE_S * 20)
    listener = bind(config)
    client = Client(listener.getsockname()[1])
    stop = asyncio.Event()
    role = asyncio.create_task(run(config, listener, stop), name="role")
    await client.until("/readyz", lambda answer: answer.status == 200)
    async with listening(client) as first, listening(client) as second:
        await first.next()
        await second.next()
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await role
        assert {event.type for event in await first.rest()} <= {"scheduler", "health"}
        await second.rest()

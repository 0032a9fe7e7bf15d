"""Several serve processes, here each on a port of its own: a client whose connections jump between them sees one gateway."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.types import Config, Serve
from gateway.pb import introspection_pb2 as pb
from gateway.serve import siblings as module
from gateway.serve.siblings import Siblings
from tests.serve.builders import operation, worker
from tests.serve.events.listening import listening
from tests.serve.implementer import Implementer
from tests.serve.metrics.scraped import Samples, busy_scheduler, of, samples
from tests.serve.running import Client, serving
from tests.serve.test_routes import fill

DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
CONNECTED = "nativelink_gateway_upstream_connected"
REVISION = "nativelink_gateway_state_revision"
LISTS = ("/api/v1/workers", "/api/v1/operations", "/api/v1/operations?stage=executing", "/api/v1/operations?limit=2&instance=main")


@pytest.fixture
def config(config: Config) -> Config:
    return replace(config, serve=Serve(processes=2))


@pytest.fixture
async def first(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    """It has seen how the state came to be."""
    await implementer.start()
    async with serving(config, process=0) as client:
        fill(implementer)
        implementer.set([worker(9)], [operation(300), operation(301)], busy_scheduler())
        implementer.set(gone_workers=[9], gone_operations=[300])
        await until_at(client, 4)
        yield client


@pytest.fixture
async def second(config: Config, first: Client) -> AsyncIterator[Client]:
    """It begins with a snapshot."""
    async with serving(config, process=1) as client:
        yield client


async def until_at(client: Client, number: int) -> None:
    """Until this process has got to a revision."""
    await client.until("/api/v1/workers", lambda answer: answer.headers.get("X-Revision") == f"epoch-1-{number}")


async def scrape(client: Client) -> Samples:
    return samples(await client.body("/metrics"))


@pytest.mark.parametrize("address", LISTS)
async def test_a_list_is_the_same_with_the_same_tag_and_pages(first: Client, second: Client, address: str) -> None:
    one, other = await first.get(address), await second.get(address)
    assert one.status == 200
    assert len(one.body) > 2
    assert one.body == other.body
    for header in ("ETag", "Link", "X-Total-Count", "X-Revision"):
        assert one.headers.get(header) == other.headers.get(header)
    for client in (first, second):
        assert (await client.get(address, headers=f"If-None-Match: {one.headers['ETag']}\r\n")).status == 304


async def test_one_entity_has_the_same_tag(first: Client, second: Client) -> None:
    one, other = [await client.get("/api/v1/workers/worker-123") for client in (first, second)]
    assert (one.body, one.headers["ETag"]) == (other.body, other.headers["ETag"])


async def test_events_go_on_with_another_process_or_begin_anew(first: Client, second: Client, implementer: Implementer) -> None:
    async with listening(first, "?kind=operations") as listener:
        (marker,) = await listener.next()
        implementer.set(operations=[operation(400), operation(401)])
        await listener.next(2)
        last = listener.parser.last_event_id
    assert (marker.last_event_id, last) == ("epoch-1-4", "epoch-1-5")
    implementer.set(operations=[operation(402)])
    await until_at(second, 6)
    async with listening(second, "?kind=operations", last_event_id=last) as listener:
        assert await listener.names(1) == ["operation op-402"]
    # Before the second one began.
    async with listening(second, "?kind=operations", last_event_id="epoch-1-3") as listener:
        assert await listener.names(2) == ["reset", "snapshot"]
    async with listening(first, "?kind=operations", last_event_id="epoch-1-3") as listener:
        assert (await listener.names(1))[0].startswith("operation_removed ")


async def test_whichever_is_scraped_tells_of_all(first: Client, second: Client, config: Config) -> None:
    for _ in range(3):
        await second.get("/livez")
    # A scrape is kept for a moment; this one has not been asked yet.
    found = await scrape(first)
    counts = of(found, "nativelink_gateway_http_request_duration_seconds_count")
    assert (counts["2xx /livez"], counts["2xx serve-1 /livez"]) == (0, 3)
    assert of(found, CONNECTED) == {"": 1, "serve-1": 1}
    assert of(found, REVISION) == {"": 4, "serve-1": 4}
    assert of(found, "nativelink_worker_connections_total") == {"": 20}
    of_second = [name for name, labels in found if ("process", "serve-1") in labels and "http_request_duration" not in name]
    assert f"every further `serve` process adds {len(of_second)}," in DOCUMENT
    assert {key for key, _ in found} == {key for key, _ in await scrape(second)}
    for path in config.serve_sockets:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_process_that_is_not_there_follows_nothing(first: Client) -> None:
    found = await scrape(first)
    assert of(found, CONNECTED) == {"": 1, "serve-1": 0}
    assert of(found, REVISION) == {"": 4}


async def test_a_process_that_hangs_holds_up_nobody_for_long(
    first: Client, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ANSWER_S", 0.1)
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(config.serve_sockets[1]))
        hanging.listen()
        assert of(await scrape(first), CONNECTED) == {"": 1, "serve-1": 0}


async def test_counters_do_not_go_back_when_the_process_that_is_asked_is_behind(
    first: Client, second: Client, implementer: Implementer
) -> None:
    statistics = busy_scheduler()
    statistics.statistics.worker_connections = 1_000
    # Only the second one hears of it.
    implementer.send_last(pb.WatchResponse(changes=pb.ChangeBatch(revision=implementer.revision, scheduler=statistics)))
    await second.until("/metrics", lambda answer: of(samples(answer.body), "nativelink_worker_connections_total") == {"": 1_000})
    assert of(await scrape(first), "nativelink_worker_connections_total") == {"": 1_000}


async def test_where_there_can_be_no_socket_the_others_go_without(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sockets = [tmp_path / "none" / f"serve-{number}.sock" for number in range(2)]
    siblings = Siblings(sockets, 1)
    async with siblings.answering(lambda: b"here"):
        assert await Siblings(sockets, 0).ask() == {"serve-1": None}
    assert f"/metrics of other serve processes has nothing of this one: {sockets[1]}: No such file or directory" in caplog.text


async def test_a_process_that_is_alone_has_no_socket(tmp_path: Path) -> None:
    siblings = Siblings([tmp_path / "serve-0.sock"], 0)
    async with siblings.answering(lambda: b"here"):
        assert await siblings.ask() == {}
        assert not os.listdir(tmp_path)  # noqa: PTH208 - a Path would be read in an async function


async def test_a_socket_that_a_dead_process_left_is_taken_over(tmp_path: Path) -> None:
    sockets = [tmp_path / f"serve-{number}.sock" for number in range(2)]
    left = await asyncio.start_unix_server(lambda *_: None, sockets[0])
    left.close()
    long = b"x" * 1_000_000
    async with Siblings(sockets, 0).answering(lambda: long):
        assert await Siblings(sockets, 1).ask() == {"serve-0": long}

"""GET /metrics over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections.abc import AsyncIterator

import pytest
import zstandard

from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from gateway.pb.tap_pb2 import ListenerTotals
from gateway.serve.metrics import exposition
from gateway.serve.metrics.exposition import is_openmetrics
from gateway.serve.metrics.families import FAMILIES
from tests.observe.introspection.observed import Observed
from tests.serve.builders import documented_drain
from tests.serve.implementer import Implementer
from tests.serve.metrics.scraped import busy_scheduler, of, parsed, samples
from tests.serve.metrics.test_families import DOCUMENT
from tests.serve.running import Client, serving
from tests.serve.test_routes import fill

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
#: What Prometheus 2 sends.
PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)

#: Every name that is exported with its labels. Whoever changes this changes somebody's dashboard.
NAMES = {
    "nativelink_workers": "state",
    "nativelink_worker_connections": "",
    "nativelink_workers_lost": "reason",
    "nativelink_workers_refused": "",
    "nativelink_operations": "stage",
    "nativelink_queue_oldest_age_seconds": "",
    "nativelink_property_set_queued_operations": "properties",
    "nativelink_property_set_oldest_age_seconds": "properties",
    "nativelink_queue_duration_seconds": "",
    "nativelink_execution_duration_seconds": "",
    "nativelink_results": "exit status",
    "nativelink_cached_results": "",
    "nativelink_requeues": "reason",
    "nativelink_operations_dropped": "reason",
    "nativelink_scheduler_restarts": "",
    "nativelink_scheduler_start_time_seconds": "",
    "nativelink_gateway_drains": "",
    "nativelink_gateway_drained_workers": "state",
    "nativelink_gateway_admin_calls": "result",
    "nativelink_gateway_build_info": "version",
    "nativelink_gateway_health": "process status",
    "nativelink_gateway_anomalies": "kind",
    "nativelink_gateway_records_missed": "",
    "nativelink_gateway_tap_attached": "tap",
    "nativelink_gateway_tap_connections": "tap",
    "nativelink_gateway_tap_open_connections": "tap",
    "nativelink_gateway_tap_blind_connections": "tap",
    "nativelink_gateway_tap_blinded_connections": "reason tap",
    "nativelink_gateway_tap_streams": "tap",
    "nativelink_gateway_tap_messages": "tap",
    "nativelink_gateway_tap_bytes": "tap",
    "nativelink_gateway_tap_tapped_bytes": "tap",
    "nativelink_gateway_tap_upstream_refused": "tap",
    "nativelink_gateway_tap_process_attached": "process",
    "nativelink_gateway_tap_ring_bytes": "process",
    "nativelink_gateway_tap_ring_limit_bytes": "process",
    "nativelink_gateway_tap_undecoded_bytes": "process",
    "nativelink_gateway_tap_gaps": "process",
    "nativelink_gateway_tap_readers": "process",
    "nativelink_gateway_tap_behind_bytes": "process",
    "nativelink_gateway_tap_forwarding_delay_seconds": "process",
    "nativelink_gateway_tap_loop_lag_seconds": "process",
    "nativelink_gateway_upstream_connected": "process",
    "nativelink_gateway_state_age_seconds": "process",
    "nativelink_gateway_state_revision": "process",
    "nativelink_gateway_snapshots": "process",
    "nativelink_gateway_watch_interruptions": "process",
    "nativelink_gateway_http_request_duration_seconds": "code process route",
    "nativelink_gateway_http_requests_refused": "process reason",
    "nativelink_gateway_waiting_requests": "process",
    "nativelink_gateway_event_clients": "process",
    "nativelink_gateway_events": "process",
    "nativelink_gateway_event_resets": "process reason",
    "nativelink_gateway_event_clients_refused": "process",
}


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    implementer.set(scheduler=busy_scheduler())
    implementer.drains["0c6b2f9d41aa"] = documented_drain()
    implementer.admin_calls = [pb.WordCount(word="ok", count=1)]
    await implementer.start()
    async with serving(config) as client:
        yield client


@pytest.mark.parametrize(("accept", "content_type"), [("", TEXT), (PROMETHEUS, OPENMETRICS)])
async def test_exactly_these_names_and_labels_are_exported(client: Client, accept: str, content_type: str) -> None:
    answer = await client.get("/metrics", headers=f"Accept: {accept}\r\n" if accept else "")
    assert (answer.status, answer.headers["Content-Type"]) == (200, content_type)
    assert answer.headers["Vary"] == "Authorization, Accept, Accept-Encoding"
    families = parsed(answer.body, is_openmetrics=content_type is OPENMETRICS)
    exported = {
        family.name: " ".join(sorted({label for sample in family.samples for label in sample.labels} - {"le"}))
        for family in families
    }
    assert exported == NAMES
    assert len(families) == len(exported) == len(FAMILIES)
    assert answer.body.endswith(b"# EOF\n") is (content_type is OPENMETRICS)


async def test_both_formats_say_the_same(client: Client) -> None:
    text = samples((await client.get("/metrics")).body)
    openmetrics = samples((await client.get("/metrics", headers=f"Accept: {OPENMETRICS}\r\n")).body, is_openmetrics=True)
    assert text.keys() == openmetrics.keys()
    ours = {key for key in text if "http_request" in key[0] or "state_age" in key[0]}
    assert {key: value for key, value in text.items() if key not in ours} == {
        key: value for key, value in openmetrics.items() if key not in ours
    }


async def test_it_is_compressed_for_who_takes_that(client: Client) -> None:
    plain = await client.get("/metrics")
    for coding, expand in (("gzip", gzip.decompress), ("zstd", zstandard.ZstdDecompressor().decompress)):
        answer = await client.get("/metrics", headers=f"Accept-Encoding: {coding}\r\n")
        assert answer.headers["Content-Encoding"] == coding
        assert samples(expand(answer.body)).keys() == samples(plain.body).keys()
    assert "Content-Encoding" not in plain.headers


async def test_head_has_the_length_and_no_body(client: Client) -> None:
    answer = await client.get("/metrics", method="HEAD")
    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, TEXT, b"")
    assert int(answer.headers["Content-Length"]) > 1_000


async def test_errors_have_the_documented_shape(client: Client) -> None:
    answer = await client.get("/metrics?name=up")
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/json")
    answer = await client.get("/metrics", method="POST")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_before_the_first_snapshot_it_says_so_and_nothing_of_nativelink(config: Config) -> None:
    async with serving(config, ready=False) as client:
        answer = await client.get("/metrics")
    assert answer.status == 200
    found = samples(answer.body)
    assert of(found, "nativelink_gateway_health")["unhealthy"] == 1
    assert not [name for name, _ in found if not name.startswith("nativelink_gateway_")]


async def test_while_upstream_is_away_ages_stand_still(config: Config, implementer: Implementer) -> None:
    implementer.set(scheduler=busy_scheduler())
    await implementer.start()
    async with serving(config) as client:
        assert of(samples(await client.body("/metrics")), "nativelink_queue_oldest_age_seconds") == {"": 29.5}
        await implementer.stop()

        def is_away(body: bytes) -> bool:
            return of(samples(body), "nativelink_gateway_upstream_connected") == {"": 0}

        answer = await client.until("/metrics", lambda answer: is_away(answer.body))
        found = samples(answer.body)
        behind_s = of(found, "nativelink_gateway_state_age_seconds")[""]
        # The test's wall clock stands still: it is the state's time that is told.
        assert of(found, "nativelink_queue_oldest_age_seconds")[""] == pytest.approx(29.5 - behind_s, abs=0.1)


async def test_there_are_no_more_series_than_is_stated(config: Config, implementer: Implementer) -> None:
    """Whatever happens: an observer with everything that has a bound over it."""
    observed = Observed()
    for number in range(100):
        observed.statistics.waiting.put(number, 0, (("pool", str(number)),), 0)
    observed.tap.tick(execution=ListenerTotals(name="execution"), workers=ListenerTotals(name="workers"))
    observed.publish()
    implementer.set(scheduler=pb.Scheduler.FromString(observed.state.scheduler.message))
    await implementer.start()
    async with serving(config) as client:
        found = samples(await client.body("/metrics"))
    of_routes = [labels for name, labels in found if name.startswith("nativelink_gateway_http_request_duration")]
    histograms = {tuple(each for each in labels if each[0] != "le") for labels in of_routes}
    stated = re.search(r"that is at most (\d+) series, and (\d+) for each route and class", DOCUMENT)
    assert stated is not None
    assert 0.9 * int(stated[1]) < len(found) - len(of_routes) <= int(stated[1])
    assert len(of_routes) == int(stated[2]) * len(histograms)


async def test_requests_are_counted_by_route_and_class(client: Client) -> None:
    for address in ("/livez", "/livez", "/api/v1/workers/worker-123", "/api/v1/workers/nobody", "/nothing/at/all", "/livez?x=1"):
        await client.get(address)

    def counted(body: bytes) -> dict[str, float]:
        return of(samples(body), "nativelink_gateway_http_request_duration_seconds_count")

    answer = await client.until("/metrics", lambda answer: counted(answer.body)["4xx other"] == 1)
    found = counted(answer.body)
    assert (found["2xx /livez"], found["4xx /livez"]) == (2, 1)
    assert (found["2xx /api/v1/workers/{id}"], found["4xx /api/v1/workers/{id}"]) == (1, 1)
    assert found["5xx /livez"] == 0


async def test_everything_is_written_from_one_state_however_many_slices_it_takes(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = samples(await client.body("/metrics"))
    monkeypatch.setattr(exposition, "_SLICE", 3)
    monkeypatch.setattr(exposition, "KEPT_S", 0.0)
    assert samples(await client.body("/metrics")).keys() == whole.keys()
    for headers in ("", f"Accept: {OPENMETRICS}\r\n"):
        body = (await client.get("/metrics", headers=headers)).body
        assert body.count(b"# HELP") == body.count(b"# TYPE") == len(FAMILIES)


async def test_however_many_ask_a_scrape_is_made_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "KEPT_S", 60.0)
    answers = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=nonsense", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.2, text/plain;q=0.3", False),
        ("APPLICATION/OpenMetrics-Text", True),
        (";;,,", False),
    ],
)
def test_openmetrics_is_for_who_names_it(accept: str, wanted: bool) -> None:
    assert is_openmetrics(accept) is wanted

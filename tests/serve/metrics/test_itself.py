from __future__ import annotations

import pytest

from gateway.config.types import Config
from gateway.pb import tap_pb2
from gateway.serve.authentication.refusal import Refusals
from gateway.serve.metrics import itself
from gateway.serve.metrics.latencies import Latencies
from gateway.serve.metrics.scrape import Scrape
from gateway.serve.ongoing import Ongoing
from gateway.serve.replica import Replica
from gateway.serve.upstream import STALE_AFTER_S, Upstream
from tests.serve.metrics.scraped import Samples, busy_scheduler, of, samples
from tests.serve.metrics.test_scrape import written


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def upstream(config: Config, clock: Clock) -> Upstream:
    return Upstream(config, clock=clock)


def told(upstream: Upstream, health: str = "healthy", ongoing: Ongoing | None = None) -> Samples:
    scrape = Scrape()
    latencies = Latencies(["/a"])
    latencies.observe("/a", 200, 0.002)
    itself.tell(scrape, "serve-0", upstream, health, latencies, Refusals(), ongoing or Ongoing())
    if upstream.replica is not None:
        itself.tell_of_taps(scrape, upstream.replica.scheduler)
    return samples(written(scrape))


def followed(upstream: Upstream) -> None:
    upstream.replica = Replica("epoch", 42)
    upstream.replica.scheduler = busy_scheduler()
    upstream._news()


def test_before_the_first_snapshot_there_is_only_what_serve_knows_of_itself(upstream: Upstream) -> None:
    found = told(upstream, "unhealthy")
    assert of(found, "nativelink_gateway_health") == {"healthy": 0, "degraded": 0, "unhealthy": 1}
    assert of(found, "nativelink_gateway_upstream_connected") == {"": 0}
    assert of(found, "nativelink_gateway_http_request_duration_seconds_count")["2xx /a"] == 1
    assert not of(found, "nativelink_gateway_state_age_seconds")


def test_how_upstream_is_followed(upstream: Upstream, clock: Clock) -> None:
    followed(upstream)
    clock.now += 0.5
    found = told(upstream)
    assert of(found, "nativelink_gateway_upstream_connected") == {"": 1}
    assert of(found, "nativelink_gateway_state_age_seconds") == {"": 0.5}
    assert of(found, "nativelink_gateway_state_revision") == {"": 42}
    clock.now += STALE_AFTER_S
    upstream._lost("gone")
    found = told(upstream)
    assert of(found, "nativelink_gateway_upstream_connected") == {"": 0}
    assert of(found, "nativelink_gateway_state_age_seconds") == {"": 5.5}
    assert of(found, "nativelink_gateway_watch_interruptions_total") == {"": 1}


def test_taps_and_their_processes_tell_everything(upstream: Upstream) -> None:
    followed(upstream)
    found = told(upstream)
    prefix = "nativelink_gateway_tap_"
    by_name = {name.removeprefix(prefix): value for (name, _), value in found.items() if name.startswith(prefix)}
    assert {name: by_name[name] for name in by_name if not name.startswith(("forwarding", "blinded"))} == {
        "attached": 1,
        "connections_total": 10,
        "open_connections": 2,
        "blind_connections": 1,
        "streams_total": 11,
        "messages_total": 12,
        "bytes_total": 1000,
        "tapped_bytes_total": 900,
        "upstream_refused_total": 13,
        "process_attached": 1,
        "ring_bytes": 14,
        "ring_limit_bytes": 15,
        "undecoded_bytes": 16,
        "gaps_total": 17,
        "readers": 18,
        "behind_bytes": 19,
        "loop_lag_seconds": 0.25,
    }
    assert of(found, f"{prefix}forwarding_delay_seconds_bucket") == {"0.5 tap": 2, "1.0 tap": 2, "+Inf tap": 5}
    assert of(found, f"{prefix}blinded_connections_total") == {
        f"{reason} execution": 3 * (reason == "tls") for reason in itself.BLINDED
    }


def test_what_a_tap_process_does_not_know_has_no_sample(upstream: Upstream) -> None:
    followed(upstream)
    assert upstream.replica is not None
    (process,) = upstream.replica.scheduler.tap_processes
    process.ClearField("loop_lag")
    process.ClearField("forwarding_delay")
    found = told(upstream)
    assert not of(found, "nativelink_gateway_tap_loop_lag_seconds")
    assert not of(found, "nativelink_gateway_tap_forwarding_delay_seconds_count")


def test_the_reasons_for_blindness_are_those_of_the_tap() -> None:
    words = {name.lower() for name in tap_pb2.Blinded.Reason.keys()}  # noqa: SIM118 # an enum's wrapper, no dictionary
    assert set(itself.BLINDED) - {"unknown"} == words - {"reason_unspecified"}


def test_requests_that_go_on_for_long_are_told_from_the_start(upstream: Upstream) -> None:
    assert of(told(upstream), "nativelink_gateway_waiting_requests") == {"": 0}
    assert of(told(upstream), "nativelink_gateway_event_resets_total") == {"not_continued": 0, "not_in_log": 0, "too_slow": 0}
    found = told(upstream, ongoing=Ongoing(waiting=3, clients=4, events=5, refused=6))
    assert of(found, "nativelink_gateway_waiting_requests") == {"": 3}
    assert of(found, "nativelink_gateway_event_clients") == {"": 4}
    assert of(found, "nativelink_gateway_events_total") == {"": 5}
    assert of(found, "nativelink_gateway_event_clients_refused_total") == {"": 6}

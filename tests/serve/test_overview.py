from dataclasses import dataclass

import pytest

from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from gateway.serve.clock import steady_clock
from gateway.serve.overview import Overview
from gateway.serve.replica import Replica
from gateway.serve.upstream import Upstream
from tests.serve.builders import NOW, documented_scheduler
from tests.serve.test_routes import golden


@dataclass
class Clock:
    """Both clocks at once: they differ by a constant."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def upstream(config: Config, clock: Clock) -> Upstream:
    """As if a snapshot had come just now."""
    upstream = Upstream(config, clock=clock)
    upstream.replica = Replica("epoch", 1)
    upstream.replica.scheduler = documented_scheduler()
    upstream._news()
    return upstream


@pytest.fixture
def overview(upstream: Upstream, clock: Clock) -> Overview:
    return Overview(upstream, now=clock, wall=clock)


def test_a_body_is_rendered_once_a_second(overview: Overview, clock: Clock) -> None:
    scheduler = documented_scheduler()
    first = overview.status(scheduler), overview.metrics(scheduler), overview.health()[1]
    clock.now += 0.9
    again = overview.status(scheduler), overview.metrics(scheduler), overview.health()[1]
    assert all(before is after for before, after in zip(first, again, strict=True))
    clock.now += 0.1
    assert overview.status(scheduler).endswith(b'"uptime_seconds":3601}')
    assert overview.metrics(scheduler).endswith(b'"uptime_seconds":3601}')
    assert overview.health()[1].endswith(b'"uptime_seconds":3601}')


def test_new_counts_show_at_once(overview: Overview) -> None:
    before = documented_scheduler()
    after = documented_scheduler()
    after.counts.queued = 11
    assert b'"queued_operations":10' in overview.status(before)
    assert b'"queued_operations":11' in overview.status(after)


def test_uptime_is_in_whole_seconds_and_never_negative(overview: Overview, clock: Clock) -> None:
    scheduler = pb.Scheduler()
    scheduler.up_since.seconds, scheduler.up_since.nanos = NOW - 10, 500_000_000
    assert overview.status(scheduler).endswith(b'"uptime_seconds":9}')
    clock.now = NOW - 60
    assert overview.status(scheduler).endswith(b'"uptime_seconds":0}')


def test_a_wall_clock_that_is_set_back_moves_the_time_of_the_answer_and_no_uptime(upstream: Upstream, clock: Clock) -> None:
    wall = Clock()
    overview = Overview(upstream, now=steady_clock(wall, clock), wall=wall)
    assert overview.health()[1] == golden("health")
    wall.now -= 3600
    clock.now += 1
    assert overview.status(documented_scheduler()).endswith(b'"uptime_seconds":3601}')
    assert b'"timestamp":1640991600,"uptime_seconds":3601' in overview.health()[1]


def test_a_silent_upstream_is_degraded_after_five_seconds(
    overview: Overview, upstream: Upstream, clock: Clock, config: Config
) -> None:
    assert overview.health() == (True, golden("health"))
    clock.now += 5
    assert b'"healthy"' in overview.health()[1]
    clock.now += 1
    usable, body = overview.health()
    assert usable
    expected = golden("health_degraded_away").replace(b"SOCKET", str(config.introspection_socket).encode())
    assert body == expected.replace(b"1640995200", b"1640995206").replace(b"3600", b"3606")


def test_a_broken_stream_is_degraded_only_once_it_lasts(overview: Overview, upstream: Upstream, clock: Clock) -> None:
    upstream._lost("UNAVAILABLE: gone")
    assert b'"healthy"' in overview.health()[1]
    clock.now += 6
    assert b"(UNAVAILABLE: gone)" in overview.health()[1]
    upstream._news()
    assert b'"healthy"' in overview.health()[1]


def test_upstreams_own_reasons_stay_when_it_is_away(overview: Overview, upstream: Upstream, clock: Clock) -> None:
    assert upstream.replica is not None
    upstream.replica.scheduler.health.CopyFrom(pb.Health(status=pb.Health.UNHEALTHY, reasons=["No tap."], notes=["A note."]))
    clock.now += 6
    usable, body = overview.health()
    assert not usable
    assert b'"unhealthy"' in body
    assert b'Start it, or see its log","No tap."],"notes":["A note."]' in body


def test_an_implementer_that_says_nothing_of_health_is_healthy_while_it_talks(overview: Overview, upstream: Upstream) -> None:
    assert upstream.replica is not None
    upstream.replica.scheduler = pb.Scheduler()
    assert b'"healthy"' in overview.health()[1]

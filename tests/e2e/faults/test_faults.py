"""Whatever befalls those who read the tap, or their files or clocks, under Execute calls and 100 worker streams: no call notices,
and what is shown afterwards is what an undisturbed observer shows, and what the scheduler knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.e2e.faults import gap
from tests.e2e.faults.bed import Sizes
from tests.e2e.faults.play import RING_BYTES, Outcome, play

#: What the tap's memory may grow by: its ring fills, and allocators keep some. All that went by is far more.
_GROWTH_KIB = (RING_BYTES + 8 * 1024 * 1024) // 1024


@pytest.fixture(scope="module")
def played(faults: tuple[Outcome, gap.Outcome]) -> Outcome:
    return faults[0]


def test_no_call_fails_and_no_worker_loses_its_stream(played: Outcome) -> None:
    assert played.calls > 100
    assert played.failed == []
    assert played.lost_workers == []


def test_every_byte_arrives_as_it_was_sent(played: Outcome) -> None:
    assert played.pair.problems == []
    assert played.pair.bytes > 10_000_000


def test_the_taps_memory_is_bounded_whoever_does_not_read(played: Outcome) -> None:
    before, after = played.resident_kib
    assert after - before <= _GROWTH_KIB


_OBSERVERS = ("calm", "stopped", "slow", "restarted", "clock", "run")


@pytest.mark.parametrize("name", _OBSERVERS)
def test_each_observer_shows_what_the_scheduler_knows(name: str, played: Outcome) -> None:
    assert played.unlike_scheduler[name] == []


@pytest.mark.parametrize("name", _OBSERVERS[1:])
def test_each_observer_shows_what_the_undisturbed_one_does(name: str, played: Outcome) -> None:
    assert played.unlike_calm[name] == []


def test_http_comes_back_after_serve_was_killed_and_goes_on_without_observe(played: Outcome) -> None:
    # Nobody is refused: connects wait in the supervisor's backlog. What was under way ends; before the first snapshot it is 503.
    assert played.http.keys() <= {200, 503, 0}
    assert played.http[0] <= 3
    assert played.bed.answers_without_observe.keys() == {200}


def test_a_clock_that_is_set_back_moves_no_uptime_and_no_health(played: Outcome) -> None:
    before, after = played.bed.clocks
    assert (before.status, after.status) == ("healthy", "healthy")
    for earlier, later in ((before.timestamp, after.timestamp), (before.date, after.date)):
        assert -3600 <= later - earlier < -3500
    assert before.uptime_s <= after.uptime_s <= before.uptime_s + played.bed.clock_s + 1


def test_a_state_dir_that_is_read_only_for_a_while_is_nobodys_end(played: Outcome) -> None:
    if not played.bed.was_read_only:
        pytest.skip("this user may not mount")
    ends = [line for line in played.log if "starting it again" in line]
    assert len(ends) == 2, "serve and observe were killed, once each"


@pytest.mark.long
@pytest.mark.timeout(0)
def test_all_this_holds_for_half_a_minute_and_fifty_restarts(tmp_path: Path, long_budget_s: float) -> None:
    long_s = min(30.0, long_budget_s)
    sizes = Sizes(stopped_s=long_s, slow_s=long_s, restarts=round(50 * long_s / 30))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(play(tmp_path, sizes))
    test_no_call_fails_and_no_worker_loses_its_stream(outcome)
    test_every_byte_arrives_as_it_was_sent(outcome)
    test_the_taps_memory_is_bounded_whoever_does_not_read(outcome)
    for name in _OBSERVERS:
        test_each_observer_shows_what_the_scheduler_knows(name, outcome)
        test_each_observer_shows_what_the_undisturbed_one_does(name, outcome)
    test_http_comes_back_after_serve_was_killed_and_goes_on_without_observe(outcome)
    test_a_clock_that_is_set_back_moves_no_uptime_and_no_health(outcome)

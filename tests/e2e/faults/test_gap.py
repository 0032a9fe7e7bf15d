"""An observer that was away for longer than the tap's ring lasts counts what it missed, says so, and knows all again in the end."""

from __future__ import annotations

import pytest

from gateway.pb import introspection_pb2 as pb
from tests.e2e.faults import play
from tests.e2e.faults.gap import MISSED, RECORDED_BYTES, Outcome

#: Far less than what went by, far more than the ring.
_GROWTH_KIB = 8 * 1024


@pytest.fixture(scope="module")
def played(faults: tuple[play.Outcome, Outcome]) -> Outcome:
    return faults[1]


def test_no_call_fails(played: Outcome) -> None:
    assert played.failed == []


def test_the_taps_memory_does_not_hold_what_nobody_reads(played: Outcome) -> None:
    before, after = played.resident_kib
    assert after - before < _GROWTH_KIB < RECORDED_BYTES // 1024 // 2


def test_what_was_missed_is_counted_and_health_says_so(played: Outcome) -> None:
    missed = played.counted.records_missed
    assert missed > MISSED
    assert played.counted.health.status == pb.Health.DEGRADED
    assert any(reason.startswith(f"{missed} records were missed") for reason in played.counted.health.reasons)
    assert {each.kind for each in played.counted.recent_anomalies} == {"records_missed"}


def test_it_heals_and_the_count_stays(played: Outcome) -> None:
    assert list(played.healed.health.reasons) == []
    assert played.healed.records_missed >= played.counted.records_missed


def test_all_but_what_only_a_new_registration_can_tell_is_as_the_scheduler_knows_it(played: Outcome) -> None:
    assert played.unlike == []
    # Those that were there all the time: a number that is not known is not shown.
    assert [id_[:2] for id_ in played.without_completed][:2] == ["w0", "w1"]


def test_nothing_is_left_of_it_once_workers_have_registered_again(played: Outcome) -> None:
    assert played.unlike_at_last == []

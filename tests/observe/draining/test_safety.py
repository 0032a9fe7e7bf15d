"""When a worker may be removed."""

from __future__ import annotations

import pytest

from gateway.observe.draining.records import Target, TargetState, Wish
from gateway.observe.draining.safety import SETTLE_NS, assess
from tests.observe.draining.workers import worker


def test_nothing_is_safe_before_what_was_sent_earlier_is_seen() -> None:
    target, draining, states = Target("w"), worker("w", is_draining=True), []
    for now in (100, 100 + SETTLE_NS - 1, 100 + SETTLE_NS):
        assess(target, draining, now)
        states.append(target.state)
    assert states == [TargetState.DRAINING, TargetState.DRAINING, TargetState.SAFE]


def test_what_runs_keeps_a_worker_from_being_safe() -> None:
    target = Target("w")
    assess(target, worker("w", is_draining=True, running=("op-1", "op-2")), 0)
    assess(target, worker("w", is_draining=True, running=("op-2",)), SETTLE_NS)
    assert (target.state, target.running) == (TargetState.DRAINING, ("op-2",))
    assess(target, worker("w", is_draining=True), SETTLE_NS + 1)
    assert (target.state, target.running) == (TargetState.SAFE, ())


def test_a_worker_of_which_something_was_missed_is_never_safe() -> None:
    target, missed = Target("w"), worker("w", is_draining=True)
    missed.is_complete = False
    assess(target, missed, 0)
    assess(target, missed, SETTLE_NS)
    assert target.state is TargetState.UNKNOWN


def test_a_worker_that_is_gone_is_nothing_to_ask_for() -> None:
    target = Target("w", error="refused", running=("op-1",))
    assess(target, None, 0)
    assert (target.state, target.wish, target.error, target.running) == (TargetState.GONE, Wish.NOTHING, "", ())


def test_before_nativelink_drains_it_a_worker_is_requested_or_failed() -> None:
    target = Target("w")
    assess(target, worker("w"), 0)
    assert (target.state, target.wish) == (TargetState.REQUESTED, Wish.DRAIN)
    target.error = "no answer"
    assess(target, worker("w"), 0)
    assert (target.state, target.wish) == (TargetState.FAILED, Wish.DRAIN)


@pytest.mark.parametrize("wish", [Wish.DRAIN, Wish.NOTHING])
def test_nobody_fights_with_who_undrains_a_worker(wish: Wish) -> None:
    target = Target("w", wish)
    assess(target, worker("w", is_draining=True), 0)
    assess(target, worker("w"), 1)
    assert (target.state, target.wish) == (TargetState.UNDRAINED, Wish.NOTHING)
    # And once it drains again, for whatever reason, it has to settle again.
    assess(target, worker("w", is_draining=True), SETTLE_NS)
    assert target.state is TargetState.DRAINING


def test_a_worker_that_is_undrained_is_not_safe_though_it_is_not_seen_yet() -> None:
    target, draining = Target("w", Wish.NOTHING, answered=Wish.UNDRAIN), worker("w", is_draining=True)
    assess(target, draining, 0)
    assess(target, draining, SETTLE_NS)
    assert (target.state, target.answered) == (TargetState.UNDRAINED, Wish.UNDRAIN)
    assess(target, worker("w"), SETTLE_NS)
    assert (target.state, target.answered) == (TargetState.UNDRAINED, Wish.NOTHING)


def test_what_comes_from_the_file_is_asked_for_again_only_if_it_is_not_so() -> None:
    still, lost = Target("w", is_kept=True), Target("v", is_kept=True)
    assess(still, worker("w", is_draining=True), 0)
    assess(lost, worker("v"), 0)
    assert (still.wish, lost.wish) == (Wish.NOTHING, Wish.DRAIN)
    assert not still.is_kept
    assert not lost.is_kept


def test_a_worker_that_has_to_be_undrained_stays_that_until_it_is() -> None:
    target = Target("w", Wish.UNDRAIN)
    assess(target, worker("w"), 0)
    assert (target.state, target.wish) == (TargetState.DRAINING, Wish.UNDRAIN)
    target.error = "no answer"
    assess(target, worker("w"), 0)
    assert target.state is TargetState.FAILED

"""Listeners of a run."""

from __future__ import annotations

from gateway.observe.taps import Refusals, begun
from gateway.pb import tap_pb2


def test_a_run_begins_with_its_listeners_and_its_clock() -> None:
    listener = tap_pb2.Listener(name="a", listen="h:1", upstream="h:2", carries=["execution"], scheduler="S")
    run = begun(tap_pb2.RunStarted(run="r", unix_ns=1000, monotonic_ns=30, listeners=[listener]))
    assert (run.id, run.offset, run.last_tick_at) == ("r", 970, None)
    state = run.listeners["a"]
    assert (state.name, state.listen, state.upstream, state.carries, state.scheduler) == ("a", "h:1", "h:2", ("execution",), "S")


def test_refusals_count_from_the_first_in_a_row() -> None:
    state = begun(tap_pb2.RunStarted(listeners=[tap_pb2.Listener(name="a")])).listeners["a"]
    state.refused(5, "no")
    state.refused(9, "still no")
    assert state.refusals == Refusals(since=5, last_at=9, reason="still no")
    state.answered()
    assert state.refusals is None

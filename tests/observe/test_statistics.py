"""Changes of a real model, added up."""

from __future__ import annotations

import pickle

import pytest

from gateway.model import events
from gateway.model.changes import Change, OperationChanged, OperationRemoved
from gateway.model.events import Event, Outcome, Stage
from gateway.model.scheduler import SchedulerModel
from gateway.observe.observer import Observer
from gateway.observe.statistics import BOUNDS_S, Durations, Result, Statistics
from gateway.observe.waiting import NONE, UNKNOWN
from tests.model.builders import SECOND, START, Scene, digest, error, key, stream
from tests.observe.introspection.observed import Observed
from tests.observe.test_recordings import NAMES, records


class Counted(Scene):
    """A scene that is counted."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.statistics = Statistics(self.model)

    def tell(self, event: Event) -> list[Change]:
        changes = super().tell(event)
        self.statistics.count(changes, self.model)
        return changes

    def wait(self, seconds: float) -> list[Change]:
        changes = super().wait(seconds)
        self.statistics.count(changes, self.model)
        return changes

    def results(self) -> dict[Result, int]:
        return {result: count for result, count in self.statistics.results.items() if count}


@pytest.fixture
def scene() -> Counted:
    return Counted(max_job_retries=2)


def at(durations: Durations) -> list[float]:
    """The bounds under which there are some, infinity for those over the last."""
    return [bound for bound, count in zip((*BOUNDS_S, float("inf")), durations.counts, strict=True) for _ in range(count)]


def test_a_duration_is_under_its_bound_and_none_is_negative() -> None:
    durations = Durations()
    for seconds in (0, 0.01, 0.0100001, 3600, 3601, -5):
        durations.observe(round(seconds * SECOND))
    assert at(durations) == [0.01, 0.01, 0.01, 0.05, 3600, float("inf")]
    assert durations.sum_ns == round(7201.0200001 * SECOND)


def test_workers_are_each_in_one_state(scene: Counted) -> None:
    scene.connect("w1", connection=101)
    scene.connect("w2", connection=102, slots=1)
    scene.connect("w3", connection=103, slots=None, properties=None)
    scene.connect("w4", connection=104, slots=1)
    scene.assign("op1", key("1"), worker="w2")
    scene.drain("w4")
    assert scene.statistics.workers == {"accepting": 1, "full": 1, "paused": 0, "draining": 1, "unknown": 1}
    scene.assign("op2", key("2"), worker="w1")
    scene.assign("op3", key("3"), worker="w1")
    scene.report("op2", error(8), worker="w1")
    assert scene.statistics.workers == {"accepting": 0, "full": 1, "paused": 1, "draining": 1, "unknown": 1}
    for worker in ("w1", "w2", "w3", "w4"):
        scene.end(worker)
    assert not any(scene.statistics.workers.values())
    assert scene.statistics.worker_connections == 4
    assert {reason: count for reason, count in scene.statistics.workers_lost.items() if count} == {"stream ended": 4}


def test_a_worker_that_comes_and_goes_within_one_event_is_counted_and_nowhere_left(scene: Counted) -> None:
    scene.connect("w1", connection=101)
    scene.connect("w1", connection=102)
    assert (scene.statistics.worker_connections, scene.statistics.workers_lost["replaced"]) == (2, 1)
    assert sum(scene.statistics.workers.values()) == 1
    assert scene.statistics.anomalies["worker_id_reused"] == 1


def test_every_attempt_waits_from_when_it_was_queued_and_the_last_one_is_what_ran(scene: Counted) -> None:
    scene.connect("w1", connection=101)
    scene.connect("w2", connection=102)
    scene.execute(1, key())
    scene.wait(4)
    scene.assign("op1", key(), queued_at=START)
    scene.wait(20)
    scene.end("w1")
    assert scene.statistics.waiting.oldest() == scene.now
    scene.wait(0.3)
    scene.assign("op1", key(), worker="w2", queued_at=START)
    assert scene.statistics.waiting.oldest() is None
    scene.wait(7)
    scene.report("op1", worker="w2")
    scene.done(1)
    assert at(scene.statistics.queue_time) == [0.5, 5]
    assert at(scene.statistics.execution_time) == [10]
    assert scene.statistics.attempts_failed == {"worker lost": 1, "internal error": 0, "overtaken": 0}
    assert scene.results() == {Result(0, "zero"): 1}


def test_an_operation_has_one_result_however_many_hear_of_it(scene: Counted) -> None:
    scene.connect()
    scene.execute(1, key())
    scene.execute(2, key())
    scene.assign("op1", key(), queued_at=START)
    scene.report("op1", Outcome(exit_code=3, queued_at=START))
    scene.done(1, Outcome(exit_code=3, queued_at=START))
    scene.done(2, Outcome(exit_code=3, queued_at=START))
    assert scene.results() == {Result(0, "nonzero"): 1}


@pytest.mark.parametrize(
    ("outcome", "result"),
    [
        (Outcome(exit_code=0), Result(0, "zero")),
        (Outcome(exit_code=-9), Result(0, "nonzero")),
        (Outcome(status_code=4), Result(4, "none")),
        (Outcome(status_code=5, exit_code=1), Result(5, "nonzero")),
        (Outcome(status_code=77), Result(2, "none")),
        (Outcome(status_code=-1), Result(2, "none")),
    ],
)
def test_results_are_by_status_and_exit_code(scene: Counted, outcome: Outcome, result: Result) -> None:
    scene.execute(1, key())
    scene.done(1, outcome)
    assert scene.results() == {result: 1}


def test_what_fails_for_good_with_its_worker_has_a_result_that_nobody_saw() -> None:
    scene = Counted(max_job_retries=0, sees_clients=False)
    scene.connect()
    scene.assign("op1", key())
    scene.end()
    assert scene.results() == {Result(None, "none"): 1}
    assert scene.statistics.attempts_failed["worker lost"] == 1


def test_a_cached_result_waited_for_nobody(scene: Counted) -> None:
    scene.execute(1, key(), Stage.CACHE_CHECK)
    scene.done(1, Outcome(exit_code=0, cached=True))
    assert (scene.statistics.cached_results, scene.results()) == (1, {Result(0, "zero"): 1})
    assert (at(scene.statistics.queue_time), at(scene.statistics.execution_time)) == ([], [])


def test_what_ends_unfinished_is_told_by_why() -> None:
    scene = Counted(client_action_timeout_s=1)
    scene.execute(1, key("1"))
    scene.leave(1)
    scene.close(1, by_upstream=False)
    scene.wait(20)
    scene.execute(2, key("2"))
    scene.leave(2)
    scene.close(2, by_upstream=True)
    scene.refuse()
    assert scene.statistics.operations_dropped == {"abandoned": 1, "scheduler restarted": 1}
    assert scene.statistics.scheduler_restarts == 1
    assert scene.statistics.waiting.oldest() is None


def test_what_is_queued_waits_since_the_scheduler_got_it_for_what_it_asks(scene: Counted) -> None:
    scene.execute(1, key())
    scene.wait(5)
    assert (len(scene.statistics.waiting.groups[UNKNOWN]), scene.statistics.waiting.oldest()) == (1, START)
    scene.tell(events.ActionRead(scene.now, "", digest(), None, None, None, (("pool", "a"),)))
    assert (len(scene.statistics.waiting.groups[UNKNOWN]), scene.statistics.waiting.groups["pool=a"].oldest()) == (0, START)


def test_a_model_that_has_something_already_is_counted_as_it_is_and_not_for_what_it_did() -> None:
    scene = Scene(max_job_retries=2)
    scene.connect()
    scene.execute(1, key("1"))
    scene.execute(2, key("2"))
    scene.done(2)
    scene.wait(3)
    statistics = Statistics(scene.model)
    assert (statistics.workers["accepting"], statistics.worker_connections) == (1, 0)
    assert statistics.waiting.oldest() == START
    assert not any(statistics.results.values())
    statistics.count(scene.follow(3, "/c2"), scene.model)
    statistics.count(scene.tell(events.ActionRead(scene.now, "", digest("2"), None, None, None, (("a", "b"),))), scene.model)
    assert not any(statistics.results.values())


def test_what_is_dropped_at_once_has_no_result() -> None:
    scene = Counted(completed_max=0)
    scene.execute(1, key())
    scene.done(1)
    assert scene.model.operations == {}
    assert scene.statistics.waiting.oldest() is None


def test_two_clients_results_that_turn_out_to_be_of_one_operation_are_one() -> None:
    """A client's end that proves nothing gets an operation of its own, which may be joined with one that ends later."""
    scene = Counted()
    scene.execute(1, key("1"))
    scene.execute(2, key("2"))
    scene.execute(3, key("3"))
    scene.done(1)
    first = next(iter(scene.model.operations))
    scene.statistics.count([OperationRemoved(100, scene.now, first, "c1", "joined with c2")], scene.model)
    scene.done(2)
    assert scene.results() == {Result(0, "zero"): 1}
    scene.done(3)
    assert scene.results() == {Result(0, "zero"): 2}


def test_who_was_refused_and_what_was_missed_is_counted(scene: Counted) -> None:
    scene.tell(events.WorkerRefused(scene.now, stream(7), None, "w", "peer", 3, "Bad Property"))
    scene.miss(9)
    assert (scene.statistics.workers_refused, scene.statistics.records_missed) == (1, 9)


def test_it_can_be_saved_and_goes_on(scene: Counted) -> None:
    scene.connect()
    scene.execute(1, key())
    scene.assign("op1", key())
    before = scene.statistics
    scene.statistics = pickle.loads(pickle.dumps(before))  # noqa: S301 # its own
    scene.report("op1")
    assert scene.results() == {Result(0, "zero"): 1}
    assert not any(before.results.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_is_counted_as_the_model_ends(name: str) -> None:
    """What is kept up to date is what a walk of the model finds, and every operation that completed has one result."""
    observed = Observed()
    model = SchedulerModel(observed.model.settings)
    completed: set[int] = set()

    class Watched(Statistics):
        __slots__ = ()

        def count(self, changes: list[Change], model: SchedulerModel) -> None:  # type: ignore[override] # a list is what comes
            super().count(changes, model)
            for change in changes:
                if isinstance(change, OperationChanged) and change.stage is Stage.COMPLETED:
                    completed.add(change.arrival)
                elif isinstance(change, OperationRemoved) and change.reason.startswith("joined"):
                    completed.discard(change.arrival)

    statistics = Watched(model)
    translator = type(observed.translator)(observed.config)
    Observer(model, statistics, {"tap-0": translator}, observed.feed).receive("tap-0", list(records(name)))
    fresh = Statistics(model)
    assert statistics.workers == fresh.workers
    assert sum(map(len, statistics.waiting.groups.values())) == sum(map(len, fresh.waiting.groups.values()))
    assert sum(statistics.results.values()) == len(completed)
    assert sum(statistics.queue_time.counts) >= sum(statistics.execution_time.counts)
    assert statistics.anomalies == {kind: model.anomaly_counts[kind] for kind in statistics.anomalies}
    assert len(statistics.waiting.groups[NONE]) == 0

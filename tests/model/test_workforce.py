import re
from pathlib import Path

import pytest

from gateway.model import changes, events, workforce
from gateway.model.events import Outcome
from gateway.model.identity import Properties
from gateway.model.records import ANOMALY_KINDS
from gateway.model.story import lines
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, SECOND, START, Scene, error, key, ok, stream


@pytest.fixture
def scene() -> Scene:
    """A connected worker w1 on connection 101."""
    scene = Scene(minimum_properties=frozenset({"cpu_count"}), max_job_retries=2)
    scene.connect()
    return scene


def test_a_worker_is_listed_as_it_registered(scene: Scene) -> None:
    worker = scene.worker()
    assert (worker.arrival, worker.connected_at, worker.last_update_at, worker.peer) == (1, START, START, "worker:101")
    assert scene.changes == [changes.WorkerChanged(1, START, 1, "w1", appeared=True)]
    assert lines(scene.worker().story) == ((START, "connected from worker:101"),)


def test_only_keep_alives_refresh_the_last_update(scene: Scene) -> None:
    scene.wait(1)
    scene.assign("op1", key())
    assert scene.worker().last_update_at == START
    scene.tell(events.WorkerKeptAlive(scene.now, "w1", START + SECOND // 2, 3))
    assert scene.worker().last_update_at == START + SECOND // 2
    assert scene.tell(events.WorkerKeptAlive(scene.now, "w1", START, 1)) == []
    assert scene.keep_alive("unheard-of") == []


def test_a_keep_alive_is_not_later_than_now(scene: Scene) -> None:
    scene.tell(events.WorkerKeptAlive(START, "w1", START + SECOND, 1))
    assert scene.worker().last_update_at == START


def test_a_refused_registration_is_no_worker_and_is_counted(scene: Scene) -> None:
    properties = (("cpu_count", "many"),)
    (change,) = scene.tell(events.WorkerRefused(START, stream(102), properties, "w", "worker:102", 3, "Bad Property"))
    assert change == changes.RegistrationRefused(2, START, "worker:102", "w", properties, 3, "Bad Property")
    scene.tell(events.WorkerRefused(START, stream(103), None, "", "worker:103", None, ""))
    assert scene.model.workers_refused == 2
    assert list(scene.model.workers) == ["w1"]


def test_what_a_worker_got_is_running_until_it_reports(scene: Scene) -> None:
    scene.assign("op1", key("a"))
    scene.assign("op2", key("b"))
    assert list(scene.worker().running) == ["op1", "op2"]
    assert (scene.operation("op1").worker_id, scene.operation("op1").assigned_at) == ("w1", START)
    scene.report("op1")
    assert (list(scene.worker().running), scene.worker().actions_completed) == (["op2"], 1)
    assert (scene.operation("op1").stage, scene.operation("op1").worker_id) == (COMPLETED, "w1")


def test_execute_complete_gives_back_the_reservation_and_keeps_the_entry(scene: Scene) -> None:
    scene.assign("op1", key("a"), platform=(("cpu_count", "3"), ("pool", "x")))
    assert scene.model.remaining_properties(scene.worker()) == (("cpu_count", "5"),)
    scene.tell(events.ExecutionCompleted(START, "w1", "op1"))
    assert scene.model.remaining_properties(scene.worker()) == (("cpu_count", "8"),)
    assert list(scene.worker().running) == ["op1"]
    scene.report("op1")
    assert scene.worker().released == ()


def test_execute_complete_of_what_does_not_run_says_nothing(scene: Scene) -> None:
    assert scene.tell(events.ExecutionCompleted(START, "w1", "unheard-of")) == []
    scene.tell(events.ExecutionCompleted(START, "unheard-of", "op1"))
    assert scene.anomaly_kinds() == ["unknown_worker"]


@pytest.mark.parametrize(
    ("declared", "reserved", "left"),
    [
        (None, (("cpu_count", "1"),), None),
        ((("cpu_count", "8"), ("cpu_count", "4")), (("cpu_count", "1"),), (("cpu_count", "3"),)),
        ((("cpu_count", "many"),), (("cpu_count", "1"),), (("cpu_count", "many"),)),
        ((("cpu_count", "8"),), (("cpu_count", "many"),), (("cpu_count", "8"),)),
        ((("cpu_count", "1"),), (("cpu_count", "3"),), (("cpu_count", "0"),)),
        ((("cpu_count", "9" * 5000),), (("cpu_count", "3"),), (("cpu_count", "9" * 5000),)),
        ((("pool", "1"),), (("pool", "1"), ("cpu_count", "1")), (("pool", "1"),)),
    ],
)
def test_remaining_properties_are_the_declared_ones_less_reserved_minimums(
    declared: Properties | None, reserved: Properties, left: Properties | None
) -> None:
    scene = Scene(minimum_properties=frozenset({"cpu_count"}))
    scene.connect(properties=declared)
    scene.assign("op1", key(), platform=reserved)
    assert scene.model.remaining_properties(scene.worker()) == left


@pytest.mark.parametrize(
    ("outcome", "still_running", "draining", "paused"),
    [
        (error(8), True, False, True),
        (error(8), False, False, False),
        (error(13), True, False, False),
        (ok(), True, False, False),
        (ok(), True, True, True),
        (ok(), False, True, False),
        (Outcome(status_code=8), True, False, False),
    ],
)
def test_a_result_pauses_a_worker_under_pressure_or_that_could_take_no_more(
    scene: Scene, outcome: Outcome, *, still_running: bool, draining: bool, paused: bool
) -> None:
    scene.assign("op1", key("a"))
    if still_running:
        scene.assign("op2", key("b"))
    if draining:
        scene.drain()
    scene.report("op1", outcome)
    assert scene.worker().is_paused is paused
    assert scene.model.counts().workers_paused == int(paused)


def test_the_next_result_ends_the_pause(scene: Scene) -> None:
    for name in "abc":
        scene.assign(f"op-{name}", key(name))
    scene.report("op-a", error(8))
    assert scene.worker().is_paused
    scene.report("op-b")
    assert not scene.worker().is_paused


def test_a_full_worker_accepts_nothing_and_is_not_paused_by_its_result() -> None:
    scene = Scene()
    scene.connect(slots=2)
    for name in "ab":
        scene.assign(f"op-{name}", key(name))
    assert (scene.model.counts().workers_accepting, scene.worker().can_accept_work) == (0, False)
    scene.report("op-a")
    assert (scene.model.counts().workers_accepting, scene.worker().is_paused) == (1, False)


def test_draining_is_what_the_admin_call_says_until_the_worker_registers_again(scene: Scene) -> None:
    scene.drain()
    assert (scene.worker().is_draining, scene.model.counts().workers_draining) == (True, 1)
    assert scene.drain() == []
    scene.drain(draining=False)
    assert scene.model.counts().workers_draining == 0
    scene.drain()
    scene.end()
    assert scene.model.counts().workers_draining == 0
    scene.drain("unheard-of")
    assert scene.anomaly_kinds() == ["unknown_worker"]


def test_a_lost_worker_leaves_its_operations_queued(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    told = scene.end()
    assert [type(change) for change in told] == [changes.AttemptFailed, changes.WorkerRemoved, changes.OperationChanged]
    shown = scene.operation("op1")
    assert (shown.stage, shown.worker_id, shown.assigned_at, shown.operation_id) == (QUEUED, None, None, "op1")
    assert (START, "lost by w1: stream ended") in lines(shown.story)
    assert scene.model.workers == {}


def test_a_requeued_operation_goes_to_the_next_worker_as_another_attempt(scene: Scene) -> None:
    scene.execute(1, key())
    scene.assign("op1", key(), queued_at=5)
    scene.end()
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2", queued_at=5)
    shown = scene.operation("op1")
    assert (shown.worker_id, shown.attempts, len(scene.stages)) == ("w2", 2, 1)


def test_the_end_of_a_worker_does_not_take_what_another_got_before_it_was_seen(scene: Scene) -> None:
    scene.execute(1, key())
    scene.assign("op1", key())
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    assert (scene.operation("op1").worker_id, list(scene.worker("w1").running)) == ("w2", ["op1"])
    scene.end("w1")
    assert (scene.operation("op1").stage, scene.operation("op1").worker_id) == (EXECUTING, "w2")


def test_the_beginning_of_an_earlier_attempt_seen_late_changes_nothing_in_the_end(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    scene.assign("op1", key(), worker="w1")
    scene.end("w1")
    assert (scene.operation("op1").stage, scene.operation("op1").worker_id) == (EXECUTING, "w2")


def test_the_beginning_of_an_earlier_attempt_seen_after_the_result_changes_nothing(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    scene.report("op1", worker="w2")
    scene.assign("op1", key(), worker="w1")
    assert (scene.operation("op1").stage, list(scene.worker("w1").running)) == (COMPLETED, ["op1"])
    scene.end("w1")
    assert scene.operation("op1").stage is COMPLETED


def test_a_result_seen_before_the_end_of_an_earlier_attempt_stands(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    scene.assign("op1", key(), worker="w1")
    scene.report("op1", ok(), worker="w2")
    assert scene.operation("op1").stage is EXECUTING
    scene.end("w1")
    assert scene.operation("op1").stage is COMPLETED
    assert scene.anomaly_kinds() == []


def test_a_result_that_another_worker_repeats_was_late(scene: Scene) -> None:
    scene.assign("op1", key(), worker="w1")
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    scene.report("op1", ok(), worker="w1")
    scene.report("op1", Outcome(exit_code=4), worker="w2")
    outcome = scene.operation("op1").outcome
    assert outcome is not None
    assert outcome.exit_code == 4
    assert scene.anomaly_kinds() == ["late_result"]


def test_a_result_long_after_another_worker_got_it_changes_only_the_old_worker(scene: Scene) -> None:
    scene.assign("op1", key(), worker="w1")
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    scene.wait(10)
    scene.report("op1", ok(), worker="w1")
    assert (scene.operation("op1").stage, scene.operation("op1").worker_id) == (EXECUTING, "w2")
    assert (scene.worker("w1").actions_completed, list(scene.worker("w1").running)) == (1, [])
    assert scene.anomaly_kinds() == ["late_result"]
    scene.end("w2")
    assert scene.operation("op1").stage is QUEUED


def test_an_evicted_worker_is_gone_and_what_it_still_reports_is_late(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    scene.evict()
    assert (scene.stages, scene.model.workers) == (["Queued"], {})
    scene.report("op1")
    assert (scene.stages, scene.anomaly_kinds()) == (["Queued"], ["late_result"])
    assert scene.model.anomalies[0].story
    scene.end()
    scene.report("op1")
    assert scene.model.anomaly_counts["late_result"] == 2
    scene.evict()
    assert scene.model.anomaly_counts.total() == 2


def test_a_worker_that_says_good_bye_is_gone_at_once_and_may_still_report(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    scene.tell(events.WorkerLeaving(START, "w1"))
    assert (scene.stages, scene.model.workers) == (["Queued"], {})
    scene.report("op1")
    scene.assign("op2", key("b"))
    assert (scene.stages, scene.anomaly_kinds()) == (["Queued"], [])
    scene.end()
    scene.tell(events.WorkerLeaving(START, "w1"))
    assert scene.anomaly_kinds() == ["unknown_worker"]


def test_a_worker_that_comes_back_has_a_new_id_and_arrival(scene: Scene) -> None:
    scene.report("op1")
    scene.end()
    scene.connect("w1-again", connection=102)
    worker = scene.worker("w1-again")
    assert (worker.arrival, worker.actions_completed, worker.is_draining) == (2, 0, False)


def test_an_id_that_registers_on_another_stream_replaces_the_worker(scene: Scene) -> None:
    scene.assign("op1", key())
    scene.connect("w1", connection=102)
    assert (scene.worker().stream, scene.stages, scene.anomaly_kinds()) == (stream(102), ["Queued"], ["worker_id_reused"])
    scene.end()
    assert scene.model.workers == {}


def test_a_stream_that_gets_another_id_is_another_worker(scene: Scene) -> None:
    scene.assign("op1", key())
    scene.connect("w2", connection=101)
    assert (list(scene.model.workers), scene.stages, scene.anomaly_kinds()) == (["w2"], ["Queued"], ["worker_renamed"])
    scene.end("w1")
    scene.end("w2")
    assert scene.model.workers == {}


def test_an_evicted_worker_whose_stream_gets_another_id_is_forgotten(scene: Scene) -> None:
    scene.evict()
    scene.connect("w2", connection=101)
    scene.end("w1")
    assert list(scene.model.workers) == ["w2"]


def test_an_evicted_id_that_registers_again_is_a_worker_of_its_new_stream_only(scene: Scene) -> None:
    scene.evict()
    scene.connect("w1", connection=102)
    scene.confirm(stream(102))
    assert list(scene.model.workers) == ["w1"]
    scene.end()
    assert scene.model.workers == {}


def test_a_registration_that_is_told_again_fills_what_was_not_seen() -> None:
    scene = Scene()
    scene.connect(properties=None, slots=None)
    assert (scene.worker().max_inflight_tasks, scene.worker().is_complete) == (None, False)
    scene.connect(slots=3)
    assert (scene.worker().properties, scene.worker().max_inflight_tasks, scene.worker().arrival) == ((("cpu_count", "8"),), 3, 1)
    assert scene.connect(slots=4) == []


def test_a_killed_operation_runs_until_the_worker_reports_it_aborted(scene: Scene) -> None:
    scene.assign("op1", key())
    scene.tell(events.KillRequested(START, "w1", "op1"))
    assert list(scene.worker().running) == ["op1"]
    assert (START, "kill sent to w1") in lines(scene.operation("op1").story)
    scene.report("op1", Outcome(status_code=10))
    assert (scene.worker().actions_completed, list(scene.worker().running)) == (1, [])
    scene.tell(events.KillRequested(START, "w1", "unheard-of"))
    assert scene.anomaly_kinds() == []


@pytest.mark.parametrize(("code", "failures"), [(13, 1), (8, 0)])
def test_an_internal_error_requeues_and_back_pressure_is_no_failure(scene: Scene, code: int, failures: int) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    scene.report("op1", error(code))
    assert (scene.stages, scene.worker().actions_completed) == (["Queued"], 1)
    assert scene.model._register.by_operation_id["op1"].failures == failures


def test_with_nobody_to_hear_of_it_the_last_retry_ends_it(scene: Scene) -> None:
    for _ in range(2):
        scene.assign("op1", key())
        scene.report("op1", error())
    assert scene.stages == ["Queued"]
    scene.assign("op1", key())
    scene.report("op1", error(14))
    assert scene.stages == ["Completed"]
    assert scene.operation("op1").outcome == error(14)


@pytest.mark.parametrize("lost", [True, False])
def test_an_uncacheable_operation_ends_with_its_last_retry_too(scene: Scene, *, lost: bool) -> None:
    scene.execute(1, key(cacheable=False), EXECUTING)
    scene.leave(1)
    for _ in range(3):
        scene.assign("op1", key(cacheable=False))
        if lost:
            scene.end()
            scene.connect()
        else:
            scene.report("op1", error())
    assert (scene.stages, scene.operation("op1").outcome) == (["Completed"], None if lost else error())


def test_a_client_that_follows_is_told_when_retries_are_exhausted(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    for _ in range(3):
        scene.assign("op1", key())
        scene.report("op1", error())
    assert scene.stages == ["Queued"]
    scene.done(1, Outcome(status_code=13, queued_at=0))
    assert scene.stages == ["Completed"]


def test_an_assignment_to_nobody_or_of_nothing_is_an_anomaly(scene: Scene) -> None:
    scene.assign("op1", key(), worker="unheard-of")
    scene.assign("", key())
    assert (scene.stages, scene.anomaly_kinds()) == ([], ["unknown_worker", "unnamed"])


def test_what_a_worker_gets_twice_it_has_once(scene: Scene) -> None:
    scene.assign("op1", key())
    scene.tell(events.ExecutionCompleted(START, "w1", "op1"))
    scene.assign("op1", key())
    assert (list(scene.worker().running), scene.worker().released, scene.anomaly_kinds()) == (["op1"], (), ["assigned_twice"])


def test_a_result_of_what_the_worker_did_not_have_is_not_counted(scene: Scene) -> None:
    scene.report("unheard-of")
    assert (scene.worker().actions_completed, scene.anomaly_kinds()) == (0, ["unknown_result"])


def test_a_result_after_the_operation_is_no_longer_listed_still_counts_for_the_worker() -> None:
    scene = Scene(completed_s=10)
    scene.connect()
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    scene.done(1, ok(7))
    scene.wait(10)
    assert (scene.stages, list(scene.worker().running)) == ([], ["op1"])
    scene.report("op1")
    assert (scene.worker().actions_completed, list(scene.worker().running), scene.anomaly_kinds()) == (1, [], [])


def test_a_worker_that_goes_with_what_is_no_longer_listed_takes_nothing_along() -> None:
    scene = Scene(completed_s=10)
    scene.connect()
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    scene.done(1, ok(7))
    scene.wait(10)
    scene.end()
    assert scene.stages == []


def attempts(scene: Scene) -> list[changes.AttemptBegan | changes.AttemptFailed]:
    return [each for each in scene.changes if isinstance(each, changes.AttemptBegan | changes.AttemptFailed)]


def test_an_attempt_begins_with_how_long_it_had_waited_and_one_that_fails_says_why(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.wait(1)
    scene.assign("op1", key(), queued_at=START + 5)
    scene.wait(1)
    taken_at = scene.now
    scene.report("op1", error(8))
    scene.wait(1)
    scene.assign("op1", key(), worker="w2", queued_at=START + 5)
    lost = scene.end("w2")
    assert [type(change) for change in lost][:1] == [changes.AttemptFailed]
    told = attempts(scene)
    assert [(each.operation_id, each.worker_id) for each in told] == [("op1", worker) for worker in ("w1", "w1", "w2", "w2")]
    assert [each.queued_since for each in told if isinstance(each, changes.AttemptBegan)] == [START + 5, taken_at]
    failures = [each.reason for each in told if isinstance(each, changes.AttemptFailed)]
    assert failures == ["internal error", "worker lost"]
    assert set(failures) < set(changes.ATTEMPT_FAILURES)


def test_how_long_it_waited_is_not_known_while_another_worker_seems_to_have_it(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), queued_at=START)
    scene.assign("op1", key(), worker="w2", queued_at=START)
    scene.report("op1", worker="w2")
    assert [each.queued_since for each in attempts(scene) if isinstance(each, changes.AttemptBegan)] == [START, None]
    scene.report("op1", error(), worker="w1")
    failed = [(each.worker_id, each.reason) for each in attempts(scene) if isinstance(each, changes.AttemptFailed)]
    assert failed == [("w1", "overtaken")]


def test_every_attempt_fails_once_in_whatever_order_it_is_seen(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.connect("w3", connection=103)
    scene.assign("op1", key())
    scene.assign("op1", key(), worker="w2")
    scene.end("w2")
    scene.assign("op1", key(), worker="w3")
    scene.end("w1")
    scene.report("op1", worker="w3")
    failed = [(each.worker_id, each.reason) for each in attempts(scene) if isinstance(each, changes.AttemptFailed)]
    assert failed == [("w1", "overtaken"), ("w2", "worker lost")]


SOURCES = "".join(path.read_text() for path in Path(workforce.__file__).parent.glob("*.py"))


def test_every_reason_for_which_a_worker_goes_is_listed() -> None:
    said = set(re.findall(r"(?:self\.remove|end_stream)\([\w.]+, \"([^\"]+)\"\)", SOURCES))
    assert said == set(changes.WORKER_REMOVALS)


def test_every_kind_of_anomaly_is_listed() -> None:
    said = set(re.findall(r"\banomaly\(\s*\"(\w+)\"", SOURCES))
    assert said == set(ANOMALY_KINDS)

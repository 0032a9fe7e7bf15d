"""Cacheable keys: one unfinished generation, joined by all who ask meanwhile."""

import pytest

from gateway.model import changes
from gateway.model.events import Outcome
from gateway.model.register import SETTLING_NS
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, SECOND, Scene, key, ok

SETTLED_S = SETTLING_NS / SECOND


@pytest.fixture
def scene() -> Scene:
    scene = Scene(max_job_retries=2)
    scene.connect()
    return scene


def test_all_clients_that_ask_while_it_is_unfinished_join_one_operation(scene: Scene) -> None:
    scene.execute(1, key(), priority=1)
    scene.assign("op1", key(), queued_at=7)
    scene.execute(2, key(), EXECUTING, priority=2)
    scene.execute(3, key(), EXECUTING, priority=3)
    shown = scene.operation("op1")
    assert scene.operation("c1") is scene.operation("c2") is scene.operation("c3") is shown
    assert (scene.stages, shown.priority, shown.client_operation_id) == (["Executing"], 1, "c1")
    scene.report("op1", ok(7))
    for client in (1, 2, 3):
        scene.done(client, ok(7))
    assert scene.stages == ["Completed"]


def test_a_client_that_leaves_changes_nothing_for_the_others(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.execute(2, key(), EXECUTING)
    scene.leave(1)
    scene.wait(100)
    assert scene.stages == ["Executing"]
    scene.leave(2)
    scene.wait(100)
    assert scene.stages == []


def test_the_stage_is_what_the_client_heard_that_was_told_last(scene: Scene) -> None:
    scene.execute(1, key())
    scene.execute(2, key(), EXECUTING)
    assert scene.stages == ["Executing"]
    scene.update(1, QUEUED)
    assert scene.stages == ["Queued"]
    scene.leave(1)
    assert scene.stages == ["Executing"]
    scene.leave(2)
    assert scene.stages == ["Queued"]


def test_a_client_waits_for_the_end_of_its_own_generation(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    scene.report("op1", ok(7))
    scene.execute(2, key())
    assert (scene.operation("c1").stage, scene.operation("c2").stage) == (COMPLETED, QUEUED)
    scene.assign("op2", key(), queued_at=8)
    scene.done(1, ok(7))
    assert (scene.operation("c1").operation_id, scene.operation("c2").operation_id) == ("op1", "op2")


def test_a_client_that_was_behind_turns_out_to_be_of_the_generation_before(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    scene.report("op1", ok(7))
    scene.done(1, ok(7))
    scene.execute(2, key(), EXECUTING)
    assert scene.stages == ["Completed", "Executing"]
    told = scene.done(2, ok(7))
    assert (scene.stages, scene.operation("c2").operation_id) == (["Completed"], "op1")
    assert "joined with op1" in [change.reason for change in told if isinstance(change, changes.OperationRemoved)]


def test_another_operation_id_is_the_next_generation(scene: Scene) -> None:
    scene.assign("op1", key(), queued_at=7)
    scene.report("op1", ok(7))
    scene.assign("op2", key(), queued_at=8)
    assert scene.stages == ["Completed", "Executing"]


def test_who_waits_too_long_for_a_finished_generation_asked_for_the_next(scene: Scene) -> None:
    """Its request came to the scheduler after the result, whose message was seen late."""
    scene.execute(1, key(), EXECUTING)
    scene.execute(2, key())
    scene.done(1, ok(7))
    scene.assign("op1", key(), queued_at=7)
    scene.report("op1", ok(7))
    assert scene.stages == ["Completed"]
    scene.wait(SETTLED_S)
    assert (scene.stages, scene.operation("c2").stage) == (["Completed", "Queued"], QUEUED)
    scene.assign("op2", key(), queued_at=8)
    assert scene.operation("c2").operation_id == "op2"


def test_who_waits_too_long_joins_the_next_generation_that_began_meanwhile(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.execute(2, key(), EXECUTING)
    scene.done(1, ok(7))
    scene.assign("op1", key(), queued_at=7)
    scene.report("op1", ok(7))
    scene.assign("op2", key(), queued_at=8)
    assert scene.stages == ["Completed", "Executing"]
    scene.wait(SETTLED_S)
    assert (scene.stages, scene.operation("c2").operation_id) == (["Completed", "Executing"], "op2")


def test_what_began_anew_while_the_end_was_not_seen_is_superseded(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    scene.report("op1", Outcome(status_code=13, internal_error=True))
    scene.connect("w2", connection=102)
    scene.assign("op2", key(), worker="w2", queued_at=8)
    assert scene.stages == ["Queued", "Executing"]
    told = scene.wait(SETTLED_S)
    assert (scene.stages, scene.operation("c1").operation_id) == (["Executing"], "op2")
    assert [change.reason for change in told if isinstance(change, changes.OperationRemoved)] == ["superseded"]


def test_what_is_superseded_and_runs_is_shown_until_the_worker_reports(scene: Scene) -> None:
    scene.assign("op1", key(), queued_at=7)
    scene.assign("op2", key(), queued_at=8)
    scene.wait(SETTLED_S)
    assert scene.stages == ["Executing", "Executing"]
    scene.report("op1", ok(7))
    assert scene.stages == ["Completed", "Executing"]


def test_an_earlier_run_that_is_seen_late_is_not_the_newest_generation(scene: Scene) -> None:
    scene.assign("op2", key(), queued_at=8)
    scene.assign("op1", key(), queued_at=7)
    scene.execute(1, key(), EXECUTING)
    assert scene.operation("c1").operation_id == "op2"


def test_a_new_client_after_the_end_begins_the_next_generation(scene: Scene) -> None:
    scene.execute(1, key())
    scene.done(1, ok(7))
    scene.execute(2, key())
    assert scene.stages == ["Completed", "Queued"]


def test_results_of_two_generations_in_one_row_are_told_apart(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.execute(2, key(), EXECUTING)
    scene.done(2, ok(8))
    scene.done(1, ok(7))
    assert scene.stages == ["Completed", "Completed"]
    scene.assign("op1", key(), queued_at=7)
    scene.report("op1", ok(7))
    scene.assign("op2", key(), queued_at=8)
    scene.report("op2", ok(8))
    assert (scene.operation("c1").operation_id, scene.operation("c2").operation_id) == ("op1", "op2")
    assert scene.stages == ["Completed", "Completed"]


def test_results_of_one_generation_meet_before_its_run_is_seen(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.done(1, ok(7))
    scene.execute(2, key(), EXECUTING)
    scene.done(2, ok(7))
    assert scene.stages == ["Completed"]
    scene.assign("op1", key(), queued_at=7)
    assert (scene.stages, len(scene.operation("op1").clients)) == (["Completed"], 2)


def test_exhausted_retries_end_every_client_of_it(scene: Scene) -> None:
    failed = Outcome(status_code=13, status_message="tried too often")
    scene.execute(1, key(), EXECUTING)
    for _ in range(3):
        scene.assign("op1", key(), queued_at=7)
        scene.report("op1", Outcome(status_code=13, internal_error=True))
    scene.done(1, failed)
    scene.execute(2, key(), EXECUTING)
    scene.done(2, failed)
    assert (scene.stages, scene.operation("c2").operation_id) == (["Completed"], "op1")
    scene.execute(3, key(), EXECUTING)
    scene.done(3, Outcome(status_code=14))
    assert scene.stages == ["Completed", "Completed"]


def test_exhausted_retries_that_nobody_heard_of_end_who_came_just_before(scene: Scene) -> None:
    for _ in range(3):
        scene.assign("op1", key(), queued_at=7)
        scene.report("op1", Outcome(status_code=13, internal_error=True))
    scene.wait(SETTLED_S - 1)
    scene.execute(1, key(), EXECUTING)
    scene.done(1, Outcome(status_code=13))
    assert (scene.stages, scene.operation("c1").operation_id) == (["Completed"], "op1")


def test_exhausted_retries_whose_clients_had_all_left_end_nobody_who_came_later(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    for _ in range(3):
        scene.assign("op1", key(), queued_at=7)
        scene.report("op1", Outcome(status_code=13, internal_error=True))
    scene.leave(1)
    scene.wait(1)
    scene.execute(2, key(), EXECUTING)
    scene.assign("op2", key(), queued_at=9)
    scene.done(2, Outcome(status_code=13))
    assert (scene.stages, scene.operation("c2").operation_id) == (["Completed", "Completed"], "op2")


def test_a_run_seen_after_a_result_without_proof_is_still_its_own(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.done(1, Outcome(status_code=13))
    scene.assign("op1", key(), queued_at=7)
    assert (scene.stages, scene.operation("c1").operation_id) == (["Completed"], "op1")
    scene.wait(SETTLED_S)
    scene.assign("op2", key(), queued_at=8)
    assert scene.stages == ["Completed", "Executing"]


def test_clients_are_kept_in_order_of_first_sight_wherever_they_move(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    scene.execute(2, key(), EXECUTING)
    scene.done(2, ok(8))
    scene.assign("op2", key(), queued_at=8)
    scene.done(1, ok(8))
    assert [client.client_operation_id for client in scene.operation("op2").clients] == ["c1", "c2"]
    assert scene.operation("op2").client_operation_id == "c1"

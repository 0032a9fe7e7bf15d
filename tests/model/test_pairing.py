"""Uncacheable keys: every Execute is an operation of its own, and halves pair up by what they say."""

from itertools import product

import pytest

from gateway.model import changes
from gateway.model.events import Outcome
from gateway.model.lifecycle import Work
from gateway.model.pairing import AGREEMENT
from gateway.model.pools import Side
from gateway.model.register import SETTLING_NS
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, SECOND, Scene, key, ok

ACTION = key(cacheable=False)
SETTLED_S = SETTLING_NS / SECOND


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.connect()
    return scene


def test_every_pair_of_halves_agrees_better_than_halves_alone() -> None:
    assert AGREEMENT.keys() == set(product(set(Side) - {Side.NOBODY, Side.LEFT_OVER}, set(Work) - {Work.NONE}))
    assert min(AGREEMENT.values()) > 0


def test_every_execute_is_an_operation_of_its_own(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.execute(2, ACTION)
    assert scene.stages == ["Queued", "Queued"]


def test_what_a_worker_got_first_meets_who_was_seen_first(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.execute(2, ACTION)
    scene.assign("op1", ACTION)
    assert (scene.stages, scene.operation("c1").operation_id) == (["Executing", "Queued"], "op1")


def test_who_hears_of_executing_is_the_one_that_runs(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.execute(2, ACTION)
    scene.assign("op1", ACTION)
    scene.update(2, EXECUTING)
    assert sorted(scene.stages) == ["Executing", "Queued"]
    assert (scene.operation("c2").operation_id, scene.operation("c1").stage) == ("op1", QUEUED)


def test_who_comes_executing_takes_the_run_and_was_never_listed_beside_it(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.assign("op1", ACTION)
    told = scene.execute(2, ACTION, EXECUTING)
    assert (scene.operation("c2").operation_id, scene.operation("c1").stage) == ("op1", QUEUED)
    assert not any(isinstance(change, changes.OperationRemoved) for change in told)


def test_who_has_heard_of_executing_comes_before_who_has_not(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.execute(2, ACTION, EXECUTING)
    scene.assign("op1", ACTION)
    assert (scene.operation("c2").operation_id, scene.operation("c1").stage) == ("op1", QUEUED)


def test_halves_that_can_be_one_are_never_shown_as_two(scene: Scene) -> None:
    scene.assign("op1", ACTION)
    scene.assign("op2", ACTION)
    scene.execute(1, ACTION)
    scene.execute(2, ACTION)
    scene.execute(3, ACTION)
    assert scene.stages == ["Executing", "Executing", "Queued"]


def test_a_result_swaps_the_clients_of_two_runs(scene: Scene) -> None:
    for client in (1, 2):
        scene.execute(client, ACTION, EXECUTING)
        scene.assign(f"op{client}", ACTION, queued_at=client)
    scene.report("op2", ok(2))
    scene.done(1, ok(2))
    assert (scene.operation("c1").operation_id, scene.operation("c2").operation_id) == ("op2", "op1")
    assert (scene.operation("c1").stage, scene.operation("c2").stage) == (COMPLETED, EXECUTING)
    scene.done(2, ok(1))
    assert (sorted(scene.stages), scene.operation("c2").operation_id) == (["Completed", "Completed"], "op1")


def test_a_result_takes_the_run_from_a_client_that_has_no_other(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.assign("op1", ACTION, queued_at=7)
    scene.execute(2, ACTION)
    told = scene.done(2, ok(7))
    assert (scene.operation("c2").operation_id, scene.operation("c1").stage) == ("op1", QUEUED)
    assert [change.reason for change in told if isinstance(change, changes.OperationRemoved)] == ["joined with op1"]


def test_a_client_keeps_the_name_by_which_it_is_found_when_it_moves(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.assign("op1", ACTION, queued_at=7)
    scene.execute(2, ACTION)
    scene.done(2, ok(7))
    assert scene.operation("c1").operation_id == "c1"
    assert scene.model.other_ids(scene.operation("op1")) == ("c2", "c1")
    assert scene.operation("op1").previous_operation_id == "c1"


def test_two_runs_with_one_queued_timestamp_have_a_client_each(scene: Scene) -> None:
    for client in (1, 2):
        scene.execute(client, ACTION, EXECUTING)
        scene.assign(f"op{client}", ACTION, queued_at=7)
    for client in (1, 2):
        scene.done(client, ok(7))
    assert {scene.operation("c1").operation_id, scene.operation("c2").operation_id} == {"op1", "op2"}


def test_two_results_with_one_queued_timestamp_do_not_share_a_run(scene: Scene) -> None:
    for client in (1, 2):
        scene.execute(client, ACTION, EXECUTING)
        scene.done(client, ok(7))
    scene.assign("op1", ACTION, queued_at=7)
    assert (scene.operation("c1").operation_id, scene.operation("c2").operation_id) == ("op1", "c2")


def test_a_third_result_with_a_proven_queued_timestamp_stands_alone(scene: Scene) -> None:
    scene.execute(1, ACTION, EXECUTING)
    scene.assign("op1", ACTION, queued_at=7)
    scene.done(1, ok(7))
    scene.execute(2, ACTION, EXECUTING)
    scene.done(2, ok(7))
    assert (scene.stages, scene.operation("c2").operation_id) == (["Completed", "Completed"], "c2")


def test_a_requeue_is_the_clients_that_hears_of_it(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    for client, worker in ((1, "w1"), (2, "w2")):
        scene.execute(client, ACTION, EXECUTING)
        scene.assign(f"op{client}", ACTION, worker=worker)
    scene.end("w1")
    scene.update(2, QUEUED)
    assert sorted(scene.stages) == ["Executing", "Queued"]
    assert scene.operation("c2").operation_id == "op1"


def test_exhausted_retries_are_the_clients_that_hears_of_it(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    for client, worker in ((1, "w1"), (2, "w2")):
        scene.execute(client, ACTION, EXECUTING)
        scene.assign(f"op{client}", ACTION, worker=worker)
    scene.end("w1")
    scene.done(2, Outcome(status_code=13))
    assert (scene.operation("c2").operation_id, scene.operation("c1").operation_id) == ("op1", "op2")
    assert sorted(scene.stages) == ["Completed", "Executing"]


def test_who_cancelled_has_what_nobody_else_claims(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.execute(2, ACTION)
    scene.leave(1)
    scene.assign("op1", ACTION)
    assert scene.operation("c1").operation_id == "op1"
    scene.update(2, EXECUTING)
    assert (scene.operation("c2").operation_id, scene.operation("c1").stage) == ("op1", QUEUED)


def test_who_waits_too_long_for_a_finished_run_has_another(scene: Scene) -> None:
    """The run was of a client that left; which could not be known before."""
    scene.execute(1, ACTION, EXECUTING)
    scene.assign("op1", ACTION, queued_at=7)
    scene.report("op1", ok(7))
    assert scene.stages == ["Completed"]
    scene.wait(SETTLED_S)
    assert (scene.stages, scene.operation("op1").clients) == (["Completed", "Executing"], ())
    assert scene.operation("c1").operation_id == "c1"


def test_a_finished_run_that_its_client_gives_up_goes_to_one_that_left(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.execute(2, ACTION)
    scene.assign("op1", ACTION, queued_at=7)
    scene.report("op1", ok(7))
    scene.leave(2)
    assert scene.operation("c2").operation_id == "op1"
    assert sorted(scene.stages) == ["Completed", "Queued"]


def test_a_finished_run_whose_client_waits_too_long_goes_to_one_that_left(scene: Scene) -> None:
    scene.execute(1, ACTION, EXECUTING)
    scene.assign("op1", ACTION, queued_at=7)
    scene.execute(2, ACTION)
    scene.report("op1", ok(7))
    scene.leave(2)
    assert scene.operation("c1").operation_id == "op1"
    scene.wait(SETTLED_S)
    assert (scene.operation("c2").operation_id, scene.operation("c1").operation_id) == ("op1", "c1")
    assert (scene.operation("c2").stage, scene.operation("c1").stage) == (COMPLETED, EXECUTING)


def test_who_comes_back_to_a_finished_run_that_was_never_its_own_waits_elsewhere(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.leave(1)
    scene.assign("op1", ACTION, queued_at=7)
    scene.report("op1", ok(7))
    scene.wait(SETTLED_S)
    scene.follow(2, "/c1")
    scene.update(2, QUEUED, name="/c1")
    scene.wait(SETTLED_S)
    assert (scene.operation("c1").operation_id, scene.operation("c1").stage) == ("c1", QUEUED)


def test_a_finished_run_whose_client_was_proven_to_be_anothers_goes_to_one_that_left(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.leave(1)
    scene.execute(2, ACTION)
    scene.leave(2)
    scene.assign("op1", ACTION, queued_at=7)
    scene.report("op1", ok(7))
    scene.wait(SETTLED_S)
    holder, other = ("c1", "c2") if scene.operation("c1").operation_id == "op1" else ("c2", "c1")
    scene.follow(3, f"/{holder}")
    scene.update(3, COMPLETED, ok(8), name=f"/{holder}")
    assert (scene.operation(other).operation_id, sorted(scene.stages)) == ("op1", ["Completed", "Completed"])


def test_who_left_executing_and_loses_its_run_has_the_one_that_went_to_who_left_while_queued(scene: Scene) -> None:
    """Of two that left, which had the run that is over was a guess: the other had a run too, as far as could be seen."""
    scene.connect("w2", connection=102)
    scene.execute(1, ACTION)
    for client, worker in ((2, "w1"), (3, "w2")):
        scene.execute(client, ACTION, EXECUTING)
        scene.assign(f"op{client}", ACTION, worker=worker, queued_at=client)
    scene.leave(1)
    scene.leave(2)
    scene.report("op2", ok(2))
    scene.end("w2")
    scene.update(3, QUEUED)
    scene.wait(SETTLED_S)
    assert sorted(scene.stages) == ["Completed", "Queued", "Queued"]
    assert (scene.operation("c1").operation_id, scene.operation("c2").operation_id) == ("op2", "op3")
    scene.assign("op3", ACTION, queued_at=3)
    scene.update(3, EXECUTING)
    assert sorted(scene.stages) == ["Completed", "Executing", "Queued"]
    assert [scene.operation(f"c{client}").operation_id for client in (1, 2, 3)] == ["c1", "op2", "op3"]


def test_who_asked_after_a_run_was_over_never_had_that(scene: Scene) -> None:
    scene.execute(1, ACTION)
    scene.assign("op1", ACTION, queued_at=1)
    scene.leave(1)
    scene.report("op1", ok(1))
    scene.wait(SETTLED_S)
    scene.execute(2, ACTION, EXECUTING)
    scene.execute(3, ACTION)
    scene.leave(2)
    assert (scene.operation("c1").operation_id, scene.operation("c2").operation_id) == ("op1", "c2")
    assert scene.stages == ["Completed", "Executing", "Queued"]


def test_a_run_that_nobody_claims_in_time_takes_no_client_without_proof(scene: Scene) -> None:
    scene.assign("op1", ACTION, queued_at=7)
    scene.report("op1", ok(7))
    scene.wait(SETTLED_S)
    scene.execute(1, ACTION)
    assert scene.stages == ["Completed", "Queued"]
    scene.done(1, ok(7))
    assert (scene.stages, scene.operation("c1").operation_id) == (["Completed"], "op1")

"""Proof, and what is the same for cacheable and uncacheable keys."""

import pytest

from gateway.model import changes
from gateway.model.records import Join
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, Scene, digest, key, ok

both = pytest.mark.parametrize("cacheable", [True, False])


@pytest.fixture
def scene() -> Scene:
    scene = Scene()
    scene.connect()
    return scene


@both
def test_both_sides_of_a_key_are_one_operation_tentatively_until_the_result_proves_it(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action)
    assert scene.operation("c1").join is Join.NONE
    scene.assign("op1", action, queued_at=7)
    assert (scene.operation("c1").operation_id, scene.operation("c1").join) == ("op1", Join.TENTATIVE)
    scene.report("op1", ok(7))
    scene.done(1, ok(7))
    assert (scene.stages, scene.operation("c1").join) == (["Completed"], Join.PROVEN)


@both
def test_a_client_may_hear_of_executing_before_the_assignment_is_seen(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action, EXECUTING)
    scene.assign("op1", action)
    assert (scene.stages, scene.operation("c1").worker_id) == (["Executing"], "w1")


@both
def test_a_client_may_hear_of_the_end_before_anything_of_the_worker_is_seen(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action, EXECUTING)
    scene.done(1, ok(7))
    assert (scene.stages, scene.operation("c1").worker_id) == (["Completed"], None)
    scene.assign("op1", action, queued_at=7)
    shown = scene.operation("c1")
    assert (scene.stages, shown.operation_id, shown.worker_id, shown.join) == (["Completed"], "op1", "w1", Join.PROVEN)
    assert list(scene.worker().running) == ["op1"]
    scene.report("op1", ok(7))
    assert (scene.stages, scene.worker().actions_completed, scene.anomaly_kinds()) == (["Completed"], 1, [])


@both
def test_a_client_may_be_seen_only_after_the_worker_is_done(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.assign("op1", action, queued_at=7)
    scene.report("op1", ok(7))
    scene.execute(1, action)
    scene.update(1, EXECUTING)
    assert scene.stages == ["Completed"]
    scene.done(1, ok(7))
    assert (scene.stages, scene.operation("c1").join) == (["Completed"], Join.PROVEN)


@both
def test_the_first_update_may_be_the_last(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.assign("op1", action, queued_at=7)
    scene.request(1, action)
    scene.done(1, ok(7))
    assert (scene.stages, scene.operation("c1").operation_id, scene.operation("c1").join) == (["Completed"], "op1", Join.PROVEN)


@both
def test_a_result_proves_that_the_client_is_of_another_run(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.assign("op1", action, queued_at=7)
    scene.execute(1, action, EXECUTING)
    assert scene.operation("c1").operation_id == "op1"
    scene.done(1, ok(8))
    assert (sorted(scene.stages), scene.operation("c1").operation_id) == (["Completed", "Executing"], "c1")
    scene.assign("op2", action, queued_at=8)
    assert (sorted(scene.stages), scene.operation("c1").operation_id) == (["Completed", "Executing"], "op2")


@both
def test_a_result_moves_the_client_to_the_run_that_it_names(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action)
    scene.assign("op1", action, queued_at=7)
    scene.assign("op2", action, queued_at=8)
    before = {scene.operation(each).arrival for each in ("op1", "op2")}
    scene.done(1, ok(8))
    assert scene.operation("c1") is scene.operation("op2")
    assert {scene.operation(each).arrival for each in ("op1", "op2")} == before
    assert (scene.operation("op1").stage, scene.operation("op1").clients) == (EXECUTING, ())


def test_a_result_waits_for_its_run_also_when_another_operation_of_the_action_is_gone() -> None:
    scene = Scene(completed_s=600)
    scene.connect()
    for client in (1, 2):
        scene.execute(client, key(cacheable=False))
    scene.done(1, ok(7))
    scene.leave(2)
    scene.wait(61)
    assert scene.stages == ["Completed"]
    scene.assign("op1", key(cacheable=False), queued_at=7)
    assert (scene.stages, scene.operation("op1").join) == (["Completed"], Join.PROVEN)


@both
def test_an_absent_or_zero_queued_timestamp_proves_nothing(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action)
    scene.assign("op1", action, queued_at=0)
    scene.done(1, ok(0))
    assert (scene.stages, scene.operation("c1").join, scene.operation("c1").queued_at) == (["Completed"], Join.TENTATIVE, None)


@both
def test_a_run_without_queued_timestamp_is_its_clients_all_the_same(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action)
    scene.assign("op1", action)
    scene.report("op1")
    scene.done(1, ok(7))
    assert (scene.stages, scene.operation("c1").join) == (["Completed"], Join.TENTATIVE)


@both
def test_a_cached_result_closes_the_clients_half_alone(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action)
    scene.done(1, ok(7, cached=True))
    assert scene.stages == ["Completed"]
    scene.assign("op1", action, queued_at=7)
    assert (scene.stages, scene.operation("c1").worker_id) == (["Completed", "Executing"], None)


@both
def test_a_cached_result_says_nothing_about_what_runs(scene: Scene, *, cacheable: bool) -> None:
    action = key(cacheable=cacheable)
    scene.execute(1, action)
    scene.assign("op1", action, queued_at=7)
    scene.done(1, ok(7, cached=True))
    assert (scene.operation("op1").stage, scene.operation("op1").clients) == (EXECUTING, ())
    assert scene.operation("c1").stage is COMPLETED


def test_a_cached_result_may_be_the_first_update(scene: Scene) -> None:
    scene.execute(1, key())
    scene.request(2, key())
    scene.done(2, ok(7, cached=True))
    assert [scene.operation(each).stage for each in ("c1", "c2")] == [QUEUED, COMPLETED]


def test_an_action_that_was_guessed_to_be_cacheable_is_found_by_its_worker(scene: Scene) -> None:
    scene.follow(1, "/x")
    scene.update(1, QUEUED, name="/x", named=digest())
    scene.assign("op1", key(cacheable=False))
    assert (scene.stages, scene.operation("x").operation_id, scene.operation("x").cacheable) == (["Executing"], "op1", False)


def test_clients_that_were_guessed_to_share_an_operation_have_their_own_if_it_is_not_cacheable(scene: Scene) -> None:
    for client in (1, 2, 3):
        scene.follow(client, f"/c{client}")
        scene.update(client, QUEUED, named=digest())
    assert scene.stages == ["Queued"]
    scene.assign("op1", key(cacheable=False))
    assert scene.stages == ["Executing", "Queued", "Queued"]
    scene.update(3, EXECUTING)
    assert (scene.operation("c3").operation_id, sorted(scene.stages)) == ("op1", ["Executing", "Queued", "Queued"])


def test_an_action_that_was_guessed_to_be_uncacheable_is_found_by_its_worker(scene: Scene) -> None:
    scene.execute(1, key(cacheable=False))
    scene.assign("op1", key(cacheable=False))
    scene.follow(2, "/x")
    scene.update(2, QUEUED, name="/x", named=digest())
    scene.assign("op2", key())
    assert (scene.operation("x").operation_id, scene.operation("x").cacheable) == ("op2", True)
    scene.execute(3, key())
    assert scene.operation("c3") is scene.operation("x")


def test_the_result_of_a_client_of_a_guessed_key_finds_its_run_under_the_other(scene: Scene) -> None:
    scene.assign("op1", key(cacheable=False), queued_at=7)
    scene.report("op1", ok(7))
    scene.follow(1, "/c1")
    scene.update(1, COMPLETED, ok(7), named=digest())
    assert (scene.stages, scene.operation("c1").operation_id, scene.operation("c1").join) == (["Completed"], "op1", Join.PROVEN)


def test_a_digest_that_is_named_later_joins_what_is_listed(scene: Scene) -> None:
    scene.assign("op1", key())
    scene.follow(1, "/x")
    scene.update(1, EXECUTING, name="/x")
    assert scene.stages == ["Executing", "Executing"]
    told = scene.update(1, EXECUTING, name="/x", named=digest())
    assert scene.operation("x").operation_id == "op1"
    assert [change.reason for change in told if isinstance(change, changes.OperationRemoved)] == ["its action is known"]


def test_actions_of_other_instances_or_digests_are_others(scene: Scene) -> None:
    scene.execute(1, key())
    scene.assign("op1", key(instance="main"))
    scene.assign("op2", key("other"))
    assert scene.stages == ["Queued", "Executing", "Executing"]

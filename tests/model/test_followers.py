import pytest

from gateway.model import changes, events
from gateway.model.events import Stage
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, START, Scene, digest, key, ok, stream


@pytest.fixture
def scene() -> Scene:
    scene = Scene(client_action_timeout_s=60)
    scene.connect()
    return scene


def test_nothing_is_listed_before_the_first_update(scene: Scene) -> None:
    assert scene.request(1, key(), priority=3) == []
    scene.wait(2)
    scene.update(1, QUEUED)
    shown = scene.operation("c1")
    assert (shown.load_at, shown.first_update_at, shown.priority) == (START, scene.now, 3)
    assert (shown.clients[0].peer, shown.clients[0].user_agent, shown.clients[0].followers) == (
        "client:1",
        "bazel",
        1,
    )


def test_a_refused_execute_is_never_listed(scene: Scene) -> None:
    scene.request(1, key())
    scene.leave(1, 9)
    assert (scene.stages, scene.anomaly_kinds()) == ([], [])


def test_the_end_of_a_stream_that_was_not_known_says_nothing(scene: Scene) -> None:
    assert scene.leave(77) == []


def test_a_request_that_is_told_again_changes_nothing(scene: Scene) -> None:
    scene.execute(1, key())
    assert scene.request(1, key("other")) == []
    scene.follow(2, "/c1")
    scene.follow(2, "/other")
    scene.update(2, QUEUED, name="/c1")
    assert scene.operation("c1").clients[0].followers == 2


@pytest.mark.parametrize("stage", [Stage.UNKNOWN, Stage.CACHE_CHECK, QUEUED, EXECUTING])
def test_the_first_update_may_be_of_any_stage(scene: Scene, stage: Stage) -> None:
    scene.execute(1, key(), stage)
    assert scene.stages == [stage.value]


def test_a_stage_may_come_twice(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.update(1, EXECUTING)
    assert (scene.stages, scene.anomaly_kinds()) == (["Executing"], [])


def test_every_update_moves_the_stage_while_no_worker_was_seen(scene: Scene) -> None:
    scene.execute(1, key(), Stage.CACHE_CHECK)
    for stage in (QUEUED, EXECUTING, QUEUED, QUEUED, EXECUTING, COMPLETED):
        scene.update(1, stage, ok() if stage is COMPLETED else None)
        assert scene.stages == [stage.value]


def test_queued_before_executing_says_nothing_against_the_assignment(scene: Scene) -> None:
    scene.execute(1, key())
    scene.assign("op1", key())
    scene.update(1, QUEUED)
    assert (scene.stages, scene.operation("op1").worker_id) == (["Executing"], "w1")


def test_queued_twice_after_executing_is_one_requeue(scene: Scene) -> None:
    scene.execute(1, key())
    scene.assign("op1", key())
    for stage in (EXECUTING, QUEUED, QUEUED):
        scene.update(1, stage)
    assert (scene.stages, scene.operation("op1").worker_id) == (["Queued"], None)


def test_queued_after_executing_is_a_requeue() -> None:
    scene = Scene()
    scene.connect()
    scene.assign("op1", key())
    scene.execute(1, key(), EXECUTING)
    scene.update(1, QUEUED)
    assert (scene.stages, scene.operation("op1").worker_id) == (["Queued"], None)
    scene.end()
    scene.connect("w2", connection=102)
    scene.update(1, EXECUTING)
    assert (scene.stages, scene.operation("op1").worker_id) == (["Executing"], None)
    scene.assign("op1", key(), worker="w2")
    assert (scene.stages, scene.operation("op1").worker_id) == (["Executing"], "w2")


def test_completed_without_done_completes(scene: Scene) -> None:
    scene.execute(1, key())
    scene.update(1, COMPLETED)
    assert (scene.stages, scene.operation("c1").outcome) == (["Completed"], None)


def test_an_outcome_completes_whatever_the_stage_says(scene: Scene) -> None:
    scene.execute(1, key())
    scene.update(1, Stage.UNKNOWN, ok())
    assert scene.stages == ["Completed"]


def test_an_update_after_the_last_is_an_anomaly_unless_it_repeats_it(scene: Scene) -> None:
    scene.execute(1, key())
    scene.done(1)
    scene.follow(2, "/c1")
    scene.update(2, COMPLETED, ok(), name="/c1")
    assert scene.anomaly_kinds() == []
    scene.update(2, QUEUED, name="/c1")
    assert (scene.stages, scene.anomaly_kinds()) == (["Completed"], ["update_after_done"])
    assert scene.model.anomalies[0].story[-1] == (START, "Queued -> Completed")


def test_an_update_without_a_name_is_an_anomaly(scene: Scene) -> None:
    scene.request(1, key())
    scene.update(1, QUEUED, name="main/")
    assert (scene.stages, scene.anomaly_kinds()) == ([], ["unnamed"])


def test_an_update_on_a_stream_without_request_lists_what_it_says(scene: Scene) -> None:
    scene.update(1, EXECUTING, name="main/x", named=digest())
    shown = scene.operation("x")
    assert (shown.key, shown.cacheable, shown.priority) == (key(instance="main"), None, None)
    assert scene.anomaly_kinds() == ["update_without_request"]


def test_a_stream_that_changes_its_name_follows_the_new_one(scene: Scene) -> None:
    scene.execute(1, key())
    scene.update(1, QUEUED, name="/other")
    assert scene.anomaly_kinds() == ["renamed"]
    assert scene.model.operation("c1") is scene.model.operation("other")
    first, second = scene.operation("c1").clients
    assert (first.followers, second.followers) == (0, 1)


def test_wait_execution_follows_what_is_known_by_that_name(scene: Scene) -> None:
    scene.execute(1, key())
    scene.leave(1)
    scene.follow(2, "/c1")
    scene.update(2, EXECUTING, name="/c1")
    assert scene.stages == ["Executing"]
    assert scene.operation("c1").clients[0].followers == 1
    scene.wait(1000)
    assert scene.stages == ["Executing"]


def test_the_stream_that_came_later_tells_the_stage(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.wait(1)
    scene.follow(2, "/c1")
    scene.update(2, QUEUED, name="/c1")
    scene.wait(1)
    scene.update(1, EXECUTING)
    assert scene.stages == ["Queued"]
    scene.follow(3, "/c1")
    scene.update(3, EXECUTING, name="/c1")
    scene.leave(2)
    scene.update(1, QUEUED)
    assert scene.stages == ["Executing"]
    scene.leave(3)
    scene.update(1, QUEUED)
    assert scene.stages == ["Queued"]


def test_wait_execution_of_an_unknown_name_lists_what_its_metadata_says(scene: Scene) -> None:
    scene.follow(1, "main/sub/x")
    scene.update(1, QUEUED, name="main/sub/x", named=digest())
    shown = scene.operation("main/sub/x")
    assert (shown.key, shown.client_operation_id, shown.cacheable) == (key(instance="main/sub"), "x", None)


def test_wait_execution_without_metadata_waits_for_a_digest(scene: Scene) -> None:
    scene.follow(1, "/x")
    scene.update(1, QUEUED, name="/x")
    assert (scene.operation("x").key, scene.operation("x").cacheable) == (None, None)
    scene.update(1, EXECUTING, name="/x", named=digest())
    assert (scene.operation("x").key, scene.stages) == (key(), ["Executing"])
    scene.assign("op1", key())
    assert (scene.operation("x").operation_id, scene.operation("x").cacheable) == ("op1", True)


def test_what_has_no_digest_completes_all_the_same(scene: Scene) -> None:
    for client, outcome in ((1, ok(7)), (2, ok()), (3, ok(cached=True))):
        scene.follow(client, f"/c{client}")
        scene.update(client, QUEUED)
        scene.done(client, outcome)
    assert scene.stages == ["Completed"] * 3
    scene.wait(10)
    assert scene.stages == ["Completed"] * 3


def test_what_has_no_digest_and_comes_completed_is_listed_so(scene: Scene) -> None:
    for client, outcome in ((1, ok(7)), (2, ok(cached=True))):
        scene.follow(client, f"/c{client}")
        scene.done(client, outcome)
    assert scene.stages == ["Completed"] * 2


def test_not_found_lists_nothing(scene: Scene) -> None:
    scene.follow(1, "/x")
    scene.leave(1, 5)
    assert scene.stages == []


def test_not_found_drops_what_nobody_follows(scene: Scene) -> None:
    scene.execute(1, key())
    scene.leave(1)
    scene.follow(2, "/c1")
    (removed,) = scene.leave(2, 5)
    assert isinstance(removed, changes.OperationRemoved)
    assert (removed.reason, scene.model.operation("c1")) == ("unknown to the scheduler", None)


def test_not_found_leaves_what_others_follow_or_a_worker_runs(scene: Scene) -> None:
    scene.execute(1, key())
    scene.execute(2, key())
    scene.assign("op1", key())
    scene.follow(3, "/c1")
    scene.leave(3, 5)
    assert len(scene.operation("op1").clients) == 2
    for client in (1, 2):
        scene.leave(client)
        scene.follow(3, f"/c{client}")
        scene.leave(3, 5)
    assert (scene.stages, scene.operation("op1").clients) == (["Executing"], ())


def test_not_found_of_what_is_completed_says_nothing(scene: Scene) -> None:
    scene.execute(1, key())
    scene.done(1)
    scene.follow(2, "/c1")
    scene.leave(2, 5)
    assert scene.stages == ["Completed"]


def test_ok_at_the_end_of_a_stream_with_an_unread_message_means_done(scene: Scene) -> None:
    scene.execute(1, key())
    scene.tell(events.MessageUnread(START, stream(1), "too large"))
    scene.leave(1, 0)
    assert (scene.stages, scene.operation("c1").outcome, scene.anomaly_kinds()) == (["Completed"], None, ["unread"])


def test_ok_at_the_end_of_a_stream_that_was_read_means_nothing(scene: Scene) -> None:
    scene.execute(1, key())
    scene.leave(1, 0)
    assert scene.stages == ["Queued"]


# --- abandonment ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("followed_s", "ends_s"), [(0, 60), (2, 60), (10, 70), (29.5, 80)])
def test_what_nobody_follows_ends_at_its_last_keep_alive_and_the_timeout(scene: Scene, followed_s: float, ends_s: float) -> None:
    scene.execute(1, key())
    scene.wait(followed_s)
    scene.leave(1)
    scene.wait(ends_s - followed_s - 0.001)
    assert scene.stages == ["Queued"]
    (removed,) = scene.wait(0.001)
    assert isinstance(removed, changes.OperationRemoved)
    assert removed.reason == "abandoned"


def test_a_client_that_comes_back_keeps_it_alive(scene: Scene) -> None:
    scene.execute(1, key())
    scene.leave(1)
    scene.wait(50)
    scene.follow(2, "/c1")
    scene.update(2, QUEUED, name="/c1")
    scene.wait(50)
    assert scene.stages == ["Queued"]
    scene.leave(2)
    scene.wait(59)
    assert scene.stages == ["Queued"]
    scene.wait(1)
    assert scene.stages == []


def test_what_a_worker_runs_stays_until_it_reports(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    scene.leave(1)
    scene.wait(100)
    assert scene.stages == ["Executing"]
    (removed,) = [change for change in scene.report("op1") if isinstance(change, changes.OperationRemoved)]
    assert (removed.reason, scene.stages, scene.worker().actions_completed) == ("abandoned", [], 1)


def test_what_a_worker_finishes_in_time_is_completed(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    scene.leave(1)
    scene.wait(50)
    scene.report("op1")
    assert scene.stages == ["Completed"]
    scene.wait(15)
    assert scene.stages == ["Completed"]


def test_what_loses_its_worker_after_the_deadline_is_gone(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    scene.leave(1)
    scene.wait(100)
    scene.end()
    assert scene.stages == []


def test_a_client_that_comes_back_to_what_runs_after_the_deadline_hears_of_its_end(scene: Scene) -> None:
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key())
    scene.leave(1)
    scene.wait(100)
    scene.follow(2, "/c1")
    scene.update(2, EXECUTING, name="/c1")
    scene.report("op1")
    assert scene.stages == ["Completed"]


def test_what_no_client_was_seen_to_ask_for_ends_long_after_its_last_worker(scene: Scene) -> None:
    scene.assign("op1", key())
    scene.wait(1000)
    scene.end()
    scene.wait(59)
    assert scene.stages == ["Queued"]
    scene.wait(1)
    assert scene.stages == []


def test_what_gets_another_worker_in_time_lives_on(scene: Scene) -> None:
    scene.assign("op1", key())
    scene.end()
    scene.wait(30)
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    scene.wait(60)
    assert scene.stages == ["Executing"]


def test_an_update_for_what_was_dropped_lists_it_again() -> None:
    scene = Scene()
    scene.connect()
    scene.connect("w2", connection=102)
    scene.execute(1, key())
    scene.evict("w1")
    scene.evict("w2")
    assert scene.stages == []
    scene.leave(2)
    scene.update(1, EXECUTING)
    assert scene.stages == ["Executing"]


def test_an_update_after_the_last_for_what_was_dropped_is_an_anomaly() -> None:
    scene = Scene(completed_s=5)
    scene.execute(1, key())
    scene.update(1, COMPLETED, ok())
    scene.wait(5)
    scene.update(1, COMPLETED, ok())
    assert scene.stages == ["Completed"]


def test_the_follower_of_what_was_dropped_just_leaves() -> None:
    scene = Scene()
    scene.connect()
    scene.connect("w2", connection=102)
    scene.execute(1, key())
    scene.tell(events.MessageUnread(START, stream(1), "too large"))
    scene.evict("w1")
    scene.evict("w2")
    assert scene.leave(1, 0) == []

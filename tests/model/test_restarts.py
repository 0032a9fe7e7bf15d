import pytest

from gateway.model import changes, events
from gateway.model.events import Outcome, RunEnded
from tests.model.builders import EXECUTING, QUEUED, RUN, SECOND, START, Scene, error, key, ok, stream


@pytest.fixture
def scene() -> Scene:
    """Two workers on connections of their own, a client that follows what one of them runs."""
    scene = Scene(worker_timeout_s=5)
    scene.connect("w1", connection=101)
    scene.connect("w2", connection=102)
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    scene.wait(1)
    return scene


def restarts(scene: Scene) -> int:
    return sum(isinstance(change, changes.SchedulerRestarted) for change in scene.changes)


def kill(scene: Scene) -> None:
    """All connections end from the scheduler's side."""
    scene.leave(1)
    scene.close(1, by_upstream=True)
    for worker, connection in (("w1", 101), ("w2", 102)):
        scene.end(worker)
        scene.close(connection, by_upstream=True)


def test_when_all_connections_ended_and_a_connect_is_refused_the_scheduler_began_anew(scene: Scene) -> None:
    kill(scene)
    assert (scene.stages, restarts(scene)) == (["Queued"], 0)
    scene.wait(0.5)
    scene.refuse()
    assert (scene.stages, restarts(scene), scene.model.up_since) == ([], 1, scene.now)
    assert scene.model.observed_since == START


def test_uptime_counts_from_when_it_answers_again(scene: Scene) -> None:
    kill(scene)
    scene.refuse()
    scene.wait(600)
    scene.refuse()
    scene.wait(0.5)
    scene.connect("w3", connection=103)
    came_up = scene.now
    assert (restarts(scene), scene.model.up_since) == (1, came_up)
    scene.wait(5)
    scene.connect("w4", connection=104)
    assert scene.model.up_since == came_up


def test_uptime_of_one_that_was_not_there_at_first_counts_from_its_first_answer() -> None:
    scene = Scene()
    scene.refuse()
    assert scene.model.up_since == START
    scene.wait(10)
    scene.connect("w1", connection=101)
    assert (restarts(scene), scene.model.up_since, scene.model.observed_since) == (0, START + 10 * SECOND, START)


def test_a_refusal_beside_what_answered_once_moves_no_uptime() -> None:
    scene = Scene()
    scene.connect("w1", connection=101)
    scene.end("w1")
    scene.close(101, by_upstream=False)
    scene.wait(60)
    scene.refuse()
    scene.wait(1)
    scene.connect("w1", connection=102)
    assert (restarts(scene), scene.model.up_since) == (0, START)


def test_one_restart_is_one_however_often_a_connect_is_refused(scene: Scene) -> None:
    kill(scene)
    for _ in range(5):
        scene.wait(0.5)
        scene.refuse()
    assert restarts(scene) == 1
    scene.connect("w3", connection=103)
    scene.wait(60)
    scene.end("w3")
    scene.close(103, by_upstream=True)
    scene.refuse()
    assert restarts(scene) == 2


def test_a_refusal_may_be_seen_before_the_last_connection_ends(scene: Scene) -> None:
    scene.refuse()
    kill(scene)
    assert restarts(scene) == 1


def test_an_old_refusal_means_nothing(scene: Scene) -> None:
    scene.refuse()
    scene.wait(100)
    kill(scene)
    assert restarts(scene) == 0


def test_completed_operations_stay(scene: Scene) -> None:
    scene.report("op1", ok(7))
    scene.done(1, ok(7))
    kill(scene)
    scene.refuse()
    assert (scene.stages, restarts(scene)) == (["Completed"], 1)


def test_where_the_backend_keeps_operations_so_does_the_model() -> None:
    scene = Scene(keeps_operations=True)
    scene.connect()
    scene.execute(1, key())
    scene.end()
    scene.close(101, by_upstream=True)
    scene.close(1, by_upstream=True)
    scene.refuse()
    assert (scene.stages, restarts(scene)) == (["Queued"], 1)


def test_while_a_connection_stands_a_refusal_means_nothing(scene: Scene) -> None:
    scene.end("w1")
    scene.close(101, by_upstream=True)
    scene.refuse()
    assert (restarts(scene), scene.stages) == (0, ["Queued"])


def test_connections_that_their_peers_ended_mean_nothing(scene: Scene) -> None:
    scene.leave(1)
    for connection in (1, 101, 102):
        scene.close(connection, by_upstream=False)
    scene.refuse()
    assert restarts(scene) == 0


def test_connections_on_which_nothing_was_answered_mean_nothing() -> None:
    scene = Scene()
    scene.request(1, key())
    scene.leave(1)
    scene.tell(events.WorkerRefused(START, stream(102), None, "", "", None, ""))
    for connection in (1, 102, 103):
        scene.close(connection, by_upstream=True)
    scene.refuse()
    assert restarts(scene) == 0


def test_a_refused_call_is_an_answer() -> None:
    scene = Scene()
    scene.request(1, key())
    scene.leave(1, 9)
    scene.tell(events.WorkerRefused(START, stream(102), None, "", "", 3, ""))
    scene.close(1, by_upstream=True)
    scene.refuse()
    assert restarts(scene) == 0
    scene.close(102, by_upstream=True)
    assert restarts(scene) == 1


def test_a_sign_of_life_between_clears_the_evidence(scene: Scene) -> None:
    kill(scene)
    scene.execute(2, key("b"))
    scene.leave(2)
    scene.close(2, by_upstream=False)
    scene.refuse()
    assert restarts(scene) == 0


def test_disconnect_to_all_workers_is_the_schedulers_stop(scene: Scene) -> None:
    scene.evict("w1")
    assert restarts(scene) == 0
    scene.evict("w2")
    assert (restarts(scene), scene.stages, scene.model.workers) == (1, [], {})


def test_disconnect_to_silent_workers_is_their_eviction(scene: Scene) -> None:
    scene.wait(10)
    scene.evict("w1")
    scene.evict("w2")
    assert (restarts(scene), scene.stages) == (0, ["Queued"])


def test_disconnect_to_one_after_another_is_their_eviction(scene: Scene) -> None:
    scene.evict("w1")
    scene.wait(3)
    scene.keep_alive("w2")
    scene.evict("w2")
    assert (restarts(scene), scene.stages) == (0, ["Queued"])


def test_disconnect_to_some_workers_is_their_eviction(scene: Scene) -> None:
    scene.connect("w3", connection=103)
    scene.evict("w1")
    scene.evict("w2")
    assert restarts(scene) == 0


def test_disconnect_to_the_only_worker_is_its_eviction() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key())
    scene.evict()
    scene.end()
    scene.close(101, by_upstream=True)
    assert (restarts(scene), scene.stages) == (0, ["Queued"])


def test_disconnect_to_the_only_worker_is_a_stop_if_clients_are_cut_off_too() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key())
    scene.evict()
    scene.end()
    scene.close(101, by_upstream=True)
    scene.leave(1)
    scene.close(1, by_upstream=True)
    assert (restarts(scene), scene.stages) == (1, [])


def test_disconnect_to_the_only_worker_is_a_stop_whatever_is_seen_first() -> None:
    scene = Scene()
    scene.connect()
    scene.execute(1, key())
    scene.leave(1)
    scene.close(1, by_upstream=True)
    scene.evict()
    assert restarts(scene) == 0
    scene.end()
    scene.close(101, by_upstream=True)
    assert restarts(scene) == 1


def test_connections_that_ended_unseen_are_no_evidence(scene: Scene) -> None:
    scene.confirm(stream(101))
    scene.tell(RunEnded(START, RUN))
    scene.refuse()
    for connection in (1, 101):
        scene.close(connection, by_upstream=True)
    assert restarts(scene) == 0


def test_what_is_confirmed_still_stands(scene: Scene) -> None:
    scene.confirm(stream(101), stream(1))
    scene.end("w1")
    scene.close(101, by_upstream=True)
    scene.refuse()
    assert restarts(scene) == 0
    scene.leave(1)
    scene.close(1, by_upstream=True)
    assert restarts(scene) == 1


def test_a_disconnect_to_nobody_is_none(scene: Scene) -> None:
    scene.evict("unheard-of")
    assert (restarts(scene), scene.anomaly_kinds()) == (0, [])


def test_what_a_scheduler_that_stops_still_tells_its_clients_is_void_once_it_is_gone(scene: Scene) -> None:
    for worker in ("w1", "w2"):
        scene.evict(worker)
    assert (scene.stages, restarts(scene)) == ([], 1)
    up_since = scene.model.up_since
    scene.update(1, QUEUED)
    scene.end("w1")
    scene.close(101, by_upstream=True)
    assert scene.stages == ["Queued"]
    scene.leave(1)
    scene.end("w2")
    scene.close(102, by_upstream=True)
    scene.close(1, by_upstream=True)
    assert (scene.stages, restarts(scene), scene.model.up_since) == ([], 1, up_since)


def exhaust(scene: Scene, operation: str) -> None:
    """Two attempts have failed, and the third is under way."""
    for _ in range(2):
        scene.report(operation, error())
        scene.assign(operation, key(), queued_at=7)


def test_a_last_attempt_that_the_restart_ended_completed_nothing() -> None:
    scene = Scene(worker_timeout_s=5, max_job_retries=2)
    scene.connect("w1", connection=101)
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    exhaust(scene, "op1")
    scene.end("w1")
    scene.close(101, by_upstream=True)
    scene.leave(1)
    assert scene.stages == ["Completed"]
    scene.close(1, by_upstream=True)
    scene.refuse()
    assert (scene.stages, restarts(scene)) == ([], 1)


@pytest.mark.parametrize("told", [True, False])
def test_what_was_over_before_stays_and_takes_nothing_of_what_comes_after(told: bool) -> None:
    scene = Scene(worker_timeout_s=5, max_job_retries=2)
    scene.connect("w1", connection=101)
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    exhaust(scene, "op1")
    scene.report("op1", error())
    if told:
        scene.done(1, Outcome(status_code=13))
    scene.leave(1)
    scene.wait(1 if told else 3)
    scene.end("w1")
    scene.close(101, by_upstream=True)
    scene.close(1, by_upstream=True)
    scene.refuse()
    assert (scene.stages, restarts(scene)) == (["Completed"], 1)
    scene.connect("w2", connection=102)
    scene.execute(2, key(), EXECUTING)
    scene.assign("op2", key(), worker="w2", queued_at=9)
    scene.end("w2")
    scene.done(2, Outcome(status_code=13))
    assert sorted(scene.stages) == ["Completed", "Completed"]
    assert scene.operation("c2").operation_id == "op2"

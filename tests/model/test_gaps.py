import pytest

from gateway.model import changes, events
from gateway.model.events import MessageUnread, ReadingStopped, RunEnded
from tests.model.builders import COMPLETED, EXECUTING, QUEUED, RUN, START, Scene, digest, error, key, ok, stream

WORKER = stream(101)


@pytest.fixture
def scene() -> Scene:
    """w1 on connection 101 runs op1 for client 1."""
    scene = Scene(client_action_timeout_s=60, worker_timeout_s=5)
    scene.connect()
    scene.execute(1, key(), EXECUTING)
    scene.assign("op1", key(), queued_at=7)
    return scene


def is_partial(scene: Scene) -> bool:
    return scene.model.is_partial


def test_missed_records_are_counted_and_make_the_state_partial(scene: Scene) -> None:
    told = scene.miss(7)
    assert changes.RecordsLost(told[0].number, START, 7) in told
    assert (scene.model.records_missed, is_partial(scene), scene.anomaly_kinds()) == (7, True, ["records_missed"])
    assert not scene.worker().is_complete


def test_streams_that_are_not_open_any_more_ended_unseen(scene: Scene) -> None:
    scene.miss()
    scene.confirm()
    assert (scene.model.workers, scene.stages) == ({}, ["Queued"])
    assert scene.operation("op1").clients[0].followers == 0


def test_streams_that_are_open_go_on(scene: Scene) -> None:
    scene.miss()
    scene.connect()
    scene.confirm(stream(1), WORKER)
    assert (scene.stages, list(scene.worker().running), scene.worker().is_complete) == (["Executing"], ["op1"], False)
    assert scene.operation("op1").clients[0].followers == 1


def test_a_gap_of_one_tap_says_nothing_about_another(scene: Scene) -> None:
    scene.connect("w2", connection=5, run="run-2")
    scene.miss(run="run-2")
    scene.confirm(run="run-2")
    assert list(scene.model.workers) == ["w1"]
    assert scene.worker().is_complete


def test_streams_may_be_confirmed_without_a_gap(scene: Scene) -> None:
    scene.confirm(stream(1), WORKER)
    assert (is_partial(scene), scene.worker().is_complete) == (False, True)


def test_a_worker_that_came_within_a_gap_may_have_done_things_unseen(scene: Scene) -> None:
    scene.miss()
    scene.connect("w2", connection=102)
    scene.confirm(stream(1), WORKER, stream(102))
    assert not scene.worker("w2").is_complete


def test_a_result_of_what_was_assigned_unseen_counts(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.report("unseen")
    assert (scene.worker().actions_completed, scene.anomaly_kinds()) == (1, ["records_missed"])


def test_what_a_client_sees_completed_was_reported_unseen(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.done(1, ok(7))
    assert list(scene.worker().running) == ["op1"]
    scene.wait(5)
    assert (list(scene.worker().running), scene.worker().actions_completed, scene.stages) == ([], 1, ["Completed"])


def test_what_a_client_sees_queued_was_taken_away_unseen(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.update(1, QUEUED)
    assert (list(scene.worker().running), scene.worker().actions_completed, scene.stages) == ([], 0, ["Queued"])


def test_what_another_worker_gets_was_taken_away_unseen(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    assert (list(scene.worker().running), scene.operation("op1").worker_id) == ([], "w2")


def test_what_the_same_worker_gets_again_it_has_again(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.assign("op1", key())
    assert (list(scene.worker().running), scene.anomaly_kinds()) == (["op1"], ["records_missed"])


def test_what_nobody_follows_after_a_gap_is_dropped_with_its_worker(scene: Scene) -> None:
    scene.wait(1)
    scene.miss()
    scene.confirm(WORKER)
    assert scene.stages == ["Executing"]
    scene.wait(60)
    assert (scene.stages, list(scene.worker().running)) == ([], [])


def test_what_a_worker_speaks_of_after_a_gap_is_not_in_doubt(scene: Scene) -> None:
    scene.miss()
    scene.confirm(WORKER)
    scene.tell(events.ExecutionCompleted(START, "w1", "op1"))
    scene.wait(60)
    assert scene.stages == ["Executing"]
    scene.report("op1")
    assert scene.stages == []


def test_what_two_workers_have_stays_in_doubt(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.assign("op1", key(), worker="w2")
    scene.miss()
    scene.confirm(WORKER, stream(102))
    scene.tell(events.ExecutionCompleted(START, "w2", "op1"))
    scene.wait(60)
    assert scene.stages == []


def test_only_what_was_missed_of_a_worker_puts_an_operation_in_doubt(scene: Scene) -> None:
    scene.connect("w2", connection=5, run="run-2")
    scene.assign("op1", key(), worker="w2")
    scene.miss()
    scene.confirm(WORKER)
    scene.wait(60)
    assert (scene.stages, list(scene.worker("w1").running), list(scene.worker("w2").running)) == (["Executing"], [], ["op1"])
    scene.report("op1", worker="w2")
    assert scene.stages == []


def test_a_doubtful_operation_that_fails_is_queued(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.report("op1", error())
    assert scene.stages == ["Queued"]


def test_a_gap_heals_when_nothing_can_run_unseen(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.wait(69)
    assert is_partial(scene)
    scene.wait(1)
    assert not is_partial(scene)
    assert not scene.worker().is_complete


def test_a_gap_stays_open_while_something_runs_of_which_no_worker_is_known(scene: Scene) -> None:
    scene.execute(2, key("b"), EXECUTING)
    scene.miss()
    scene.confirm(stream(1), stream(2), WORKER)
    scene.wait(75)
    assert is_partial(scene)
    scene.done(2)
    scene.wait(10)
    assert not is_partial(scene)


@pytest.mark.parametrize("asked", [True, False])
def test_what_nobody_was_seen_to_ask_for_is_given_up_when_a_gap_heals(asked: bool) -> None:
    scene = Scene(client_action_timeout_s=60, worker_timeout_s=5)
    scene.connect()
    if asked:
        scene.request(1, key())
    scene.assign("op1", key(), queued_at=7)
    # The client is told, and leaves, within the gap; so the worker reports.
    scene.miss()
    scene.confirm(WORKER)
    scene.assign("op2", key("another"), queued_at=8)
    scene.wait(69)
    assert (is_partial(scene), list(scene.worker().running)) == (True, ["op1", "op2"])
    scene.wait(1)
    assert (is_partial(scene), list(scene.worker().running), scene.stages) == (False, ["op2"], ["Executing"])
    # One that a client past the taps had followed all the time is reported at last, and contradicts nothing.
    scene.report("op1")
    assert scene.anomaly_kinds() == ["records_missed"]


def test_what_somebody_may_follow_whose_answers_were_not_seen_runs_on() -> None:
    scene = Scene(client_action_timeout_s=60, worker_timeout_s=5)
    scene.connect()
    scene.request(1, key())
    scene.assign("op1", key(), queued_at=7)
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.wait(100)
    assert (is_partial(scene), list(scene.worker().running)) == (False, ["op1"])


def test_what_somebody_follows_runs_on_when_a_gap_heals(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.wait(100)
    assert (is_partial(scene), list(scene.worker().running), scene.stages) == (False, ["op1"], ["Executing"])


def test_who_asks_after_a_gap_says_nothing_of_what_was_before() -> None:
    scene = Scene(client_action_timeout_s=60, worker_timeout_s=5)
    scene.connect()
    scene.assign("op1", key(), queued_at=7)
    scene.miss()
    scene.confirm(WORKER)
    scene.wait(1)
    scene.request(1, key())
    scene.wait(69)
    assert (is_partial(scene), list(scene.worker().running)) == (False, [])


def test_where_clients_are_not_seen_nothing_is_given_up_for_want_of_them() -> None:
    scene = Scene(sees_clients=False, client_action_timeout_s=60, worker_timeout_s=5)
    scene.connect()
    scene.assign("op1", key(), queued_at=7)
    scene.miss()
    scene.confirm(WORKER)
    scene.wait(100)
    assert list(scene.worker().running) == ["op1"]


def test_a_second_gap_heals_in_its_own_time(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.wait(40)
    scene.miss()
    scene.wait(10)
    scene.keep_alive()
    scene.confirm(stream(1), WORKER)
    scene.wait(69)
    assert is_partial(scene)
    scene.wait(1)
    assert not is_partial(scene)


def test_a_gap_that_is_not_confirmed_does_not_heal(scene: Scene) -> None:
    scene.miss()
    scene.confirm(stream(1), WORKER)
    scene.miss()
    for _ in range(40):
        scene.keep_alive()
        scene.wait(4)
    assert is_partial(scene)


def test_where_clients_are_not_seen_a_gap_heals_with_the_workers_of_its_time() -> None:
    scene = Scene(sees_clients=False)
    scene.connect()
    scene.miss()
    scene.confirm(WORKER)
    scene.wait(100)
    assert is_partial(scene)
    scene.end()
    scene.wait(10)
    assert not is_partial(scene)


def test_a_worker_that_nobody_confirms_is_gone_without_keep_alive(scene: Scene) -> None:
    scene.wait(3)
    scene.keep_alive()
    scene.miss()
    scene.miss()
    scene.wait(3)
    scene.keep_alive()
    scene.wait(4.9)
    assert list(scene.model.workers) == ["w1"]
    scene.wait(0.1)
    assert (scene.model.workers, scene.stages) == ({}, ["Queued"])


def test_no_timer_removes_a_worker_whose_stream_is_open_and_read(scene: Scene) -> None:
    scene.wait(100_000)
    assert list(scene.model.workers) == ["w1"]


def test_the_end_of_a_run_ends_all_its_streams(scene: Scene) -> None:
    scene.connect("w2", connection=5, run="run-2")
    scene.miss()
    scene.tell(RunEnded(START, RUN))
    assert (list(scene.model.workers), scene.stages, is_partial(scene)) == (["w2"], ["Queued"], False)
    assert scene.operation("op1").clients[0].followers == 0


def test_clients_on_a_connection_that_is_not_read_are_taken_as_gone(scene: Scene) -> None:
    scene.execute(2, key("b"))
    scene.tell(ReadingStopped(START, stream(2).connection_id, "TLS"))
    assert scene.operation("c2").clients[0].followers == 0
    assert scene.operation("c1").clients[0].followers == 1
    assert scene.anomaly_kinds() == ["reading_stopped"]
    scene.wait(60)
    assert scene.stages == ["Executing"]
    scene.close(2, by_upstream=False)
    assert scene.stages == ["Executing"]


def test_a_worker_on_a_connection_that_is_not_read_stays_until_it_closes(scene: Scene) -> None:
    scene.connect("w2", connection=102)
    scene.tell(ReadingStopped(START, WORKER.connection_id, "HPACK"))
    scene.miss()
    scene.tell(
        events.StreamsConfirmed(START, RUN, frozenset({stream(102)}), frozenset({WORKER.connection_id, stream(102).connection_id}))
    )
    assert not scene.worker().is_complete
    scene.close(101, by_upstream=False)
    assert list(scene.model.workers) == ["w2"]


def test_a_blind_connection_that_is_not_confirmed_is_gone(scene: Scene) -> None:
    scene.tell(ReadingStopped(START, WORKER.connection_id, "HPACK"))
    scene.miss()
    scene.confirm(stream(1))
    assert scene.model.workers == {}


def test_the_end_of_a_run_ends_its_blind_connections(scene: Scene) -> None:
    scene.tell(ReadingStopped(START, WORKER.connection_id, "HPACK"))
    scene.tell(RunEnded(START, RUN))
    assert scene.model.workers == {}
    assert scene.close(101, by_upstream=False) == []


def test_an_unread_message_of_a_worker_puts_what_it_runs_in_doubt(scene: Scene) -> None:
    scene.tell(MessageUnread(START, WORKER, "too large"))
    assert (scene.worker().is_complete, scene.model.anomalies[-1].entity) == (False, "w1")
    scene.done(1, ok(7))
    scene.wait(5)
    assert (list(scene.worker().running), scene.worker().actions_completed) == ([], 1)


def test_an_unread_message_of_a_client_is_an_anomaly_of_its_operation(scene: Scene) -> None:
    scene.tell(MessageUnread(START, stream(1), "too large"))
    assert scene.model.anomalies[-1].entity == "/c1"
    assert scene.model.anomalies[-1].story[0] == (START, "Executing")


def test_an_unread_message_before_the_first_update_is_an_anomaly_of_what_is_asked_for(scene: Scene) -> None:
    scene.follow(2, "/x")
    scene.tell(MessageUnread(START, stream(2), "too large"))
    scene.tell(MessageUnread(START, stream(99), "too large"))
    assert [anomaly.entity for anomaly in scene.model.anomalies] == ["/x", ""]


def test_a_worker_in_doubt_that_runs_what_is_no_longer_listed(scene: Scene) -> None:
    scene.done(1, ok(7))
    scene.wait(60)
    assert (scene.stages, list(scene.worker().running)) == ([], ["op1"])
    scene.miss()
    scene.confirm(WORKER)
    scene.end()
    assert scene.stages == []


def test_a_worker_that_was_removed_and_whose_stream_ends_unseen_is_forgotten(scene: Scene) -> None:
    scene.tell(events.WorkerLeaving(START, "w1"))
    scene.miss()
    scene.confirm(stream(1))
    scene.report("op1")
    assert scene.anomaly_kinds() == ["records_missed", "late_result"]


def test_the_state_of_an_open_stream_may_be_completed(scene: Scene) -> None:
    scene.miss()
    scene.follow(2, "/new")
    scene.update(2, COMPLETED, ok(), name="/new", named=digest("new"))
    scene.confirm(stream(1), stream(2), WORKER)
    assert scene.operation("new").stage is COMPLETED


def test_a_paused_worker_whose_last_report_was_missed_is_not_paused(scene: Scene) -> None:
    scene.assign("op2", key("other"))
    scene.report("op2", error(8))
    assert scene.worker().is_paused
    scene.miss()
    scene.confirm(WORKER)
    scene.wait(60)
    assert (list(scene.worker().running), scene.worker().is_paused) == ([], False)

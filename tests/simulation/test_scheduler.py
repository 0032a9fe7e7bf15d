from __future__ import annotations

import pytest

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.clients import Job
from gateway.simulation.fleet import BadPropertyError
from gateway.simulation.outbox import LIMIT, Outbox
from gateway.simulation.scheduler import NotInCasError, UnknownOperationError
from gateway.simulation.settings import Settings
from gateway.simulation.truth import truth_of
from gateway.simulation.workers import LINUX
from tests.simulation.bench import Bench, said, stage, stages

EXHAUSTED = 8
INTERNAL = 13


def test_an_operation_goes_to_a_worker_and_its_result_to_the_client() -> None:
    bench = Bench()
    worker = bench.worker()
    follower = bench.run()
    bench.finish(worker, follower.operation.id)
    assert said(worker.outbox) == ["connection_result", "start_action"]
    assert stages(follower.outbox) == ["QUEUED", "EXECUTING", "COMPLETED"]
    assert worker.actions_completed == 1
    assert not worker.running


def test_start_action_carries_no_execution_policy_and_the_digest_function() -> None:
    bench = Bench()
    worker = bench.worker()
    follower = bench.run(Job(("true",), priority=3))
    start = worker.outbox.waiting()[1].start_action
    assert not start.execute_request.HasField("execution_policy")
    assert start.execute_request.digest_function == 1
    assert start.queued_timestamp.ToNanoseconds() == follower.operation.queued_ns
    assert start.worker_id == worker.id


def test_priority_goes_before_insert_second_and_the_second_before_the_fraction() -> None:
    bench = Bench()
    late_but_urgent = Job(("urgent",), priority=5)
    first = bench.execute(Job(("first",)))
    bench.now += 1
    second = bench.execute(Job(("second",)))
    bench.now += 1
    urgent = bench.execute(late_but_urgent)
    worker = bench.worker()
    bench.scheduler.match()
    order = []
    while worker.running:
        (operation_id,) = worker.running
        order.append(operation_id)
        bench.finish(worker, operation_id)
    assert order == [urgent.operation.id, first.operation.id, second.operation.id]


def test_operations_of_one_second_are_ordered_by_id() -> None:
    bench = Bench()
    followers = []
    for number in range(8):
        bench.now += 0.01
        followers.append(bench.execute(Job((f"{number}",))))
    worker = bench.worker(max_inflight_tasks=0, properties=())
    bench.scheduler.match()
    assert list(worker.running) == sorted(follower.operation.id for follower in followers)


def test_equal_cacheable_requests_join_and_uncacheable_ones_do_not() -> None:
    bench = Bench()
    cacheable = Job(("c",), is_cacheable=True)
    first, second = bench.execute(cacheable), bench.execute(cacheable)
    assert first.operation is second.operation
    assert first.name != second.name
    assert bench.execute(Job(("u",))).operation is not bench.execute(Job(("u",))).operation


def test_a_joiner_does_not_change_the_priority() -> None:
    bench = Bench()
    bench.execute(Job(("c",), is_cacheable=True, priority=1))
    assert bench.execute(Job(("c",), is_cacheable=True, priority=9)).operation.priority == 1


def test_a_joiner_of_a_running_operation_begins_with_executing() -> None:
    bench = Bench()
    bench.worker()
    job = Job(("c",), is_cacheable=True)
    bench.run(job)
    assert stages(bench.run(job).outbox) == ["EXECUTING"]


def test_a_finished_cacheable_operation_is_not_joined() -> None:
    bench = Bench()
    worker = bench.worker()
    job = Job(("c",), is_cacheable=True)
    first = bench.run(job)
    bench.finish(worker, first.operation.id)
    assert bench.run(job).operation is not first.operation


def test_an_action_cache_answers_without_a_worker() -> None:
    bench = Bench(Settings(action_cache=True))
    worker = bench.worker()
    job = Job(("c",), is_cacheable=True)
    bench.finish(worker, bench.run(job).operation.id)
    again = bench.run(job)
    assert stages(again.outbox) == ["COMPLETED"]
    assert again.operation.response is not None
    assert again.operation.response.cached_result
    assert len(truth_of(bench.scheduler)["operations"]) == 1


def test_a_lost_worker_gives_its_operation_to_another() -> None:
    bench = Bench()
    lost = bench.worker("lost-")
    follower = bench.run()
    bench.scheduler.remove_worker(lost, "gone", disconnect=True)
    bench.scheduler.match()
    assert stage(follower) == "QUEUED"
    found = bench.worker("found-")
    bench.scheduler.match()
    assert follower.operation.worker_id == found.id
    assert stages(follower.outbox) == ["QUEUED", "EXECUTING", "QUEUED", "EXECUTING"]


def test_an_operation_that_loses_its_worker_too_often_ends_with_an_error() -> None:
    bench = Bench(Settings(max_job_retries=1))
    follower = bench.run()
    for _ in range(2):
        worker = bench.worker()
        bench.scheduler.match()
        bench.scheduler.remove_worker(worker, "gone", disconnect=True)
    response = follower.operation.response
    assert response is not None
    assert response.status.code == INTERNAL
    assert "attempted to execute too many times 2 > 1" in response.status.message
    assert not response.result.execution_metadata.queued_timestamp.seconds


def test_internal_errors_count_as_attempts_and_exhaustion_does_not() -> None:
    bench = Bench(Settings(max_job_retries=0))
    worker = bench.worker()
    follower = bench.run()
    bench.finish(worker, follower.operation.id, EXHAUSTED)
    assert stage(follower) == "EXECUTING"
    bench.finish(worker, follower.operation.id, INTERNAL)
    assert stage(follower) == "COMPLETED"
    assert worker.actions_completed == 2


def test_exhaustion_pauses_a_worker_that_still_runs_something_until_its_next_result() -> None:
    bench = Bench()
    worker = bench.worker(max_inflight_tasks=4)
    first, second = bench.run(Job(("1",))), bench.run(Job(("2",)))
    bench.finish(worker, second.operation.id, EXHAUSTED)
    paused = [(worker.is_paused, worker.can_accept_work, stage(second))]
    bench.finish(worker, first.operation.id)
    paused.append((worker.is_paused, worker.can_accept_work, stage(second)))
    assert paused == [(True, False, "QUEUED"), (False, True, "EXECUTING")]


def test_a_draining_worker_is_paused_by_a_result_while_it_runs_something_else() -> None:
    bench = Bench()
    worker = bench.worker(max_inflight_tasks=2)
    first = bench.run(Job(("1",)))
    bench.run(Job(("2",)))
    assert bench.scheduler.set_drain(worker.id, is_draining=True)
    bench.finish(worker, first.operation.id)
    assert worker.is_paused


def test_a_draining_worker_gets_nothing_until_it_is_undrained() -> None:
    bench = Bench()
    worker = bench.worker()
    bench.scheduler.set_drain(worker.id, is_draining=True)
    follower = bench.run()
    assert stage(follower) == "QUEUED"
    bench.scheduler.set_drain(worker.id, is_draining=False)
    bench.scheduler.match()
    assert stage(follower) == "EXECUTING"
    assert not bench.scheduler.set_drain("nobody", is_draining=True)


def test_execute_complete_gives_reservations_back_and_keeps_the_operation_running() -> None:
    bench = Bench()
    worker = bench.worker(max_inflight_tasks=2)
    first = bench.run(Job(("1",), (("cpu_count", "8"),)))
    second = bench.run(Job(("2",), (("cpu_count", "8"),)))
    assert stage(second) == "QUEUED"
    bench.scheduler.execute_complete(worker, first.operation.id)
    bench.scheduler.match()
    assert list(worker.running) == [first.operation.id, second.operation.id]
    bench.finish(worker, first.operation.id)
    assert worker.remaining["cpu_count"] == 0


def test_a_silent_worker_is_evicted_and_told_to_disconnect() -> None:
    bench = Bench()
    silent, alive = bench.worker("silent-"), bench.worker("alive-")
    follower = bench.run()
    bench.now += 4
    bench.scheduler.keep_alive(alive)
    bench.scheduler.evict()
    assert len(bench.scheduler.fleet) == 2
    bench.now += 2
    bench.scheduler.evict()
    bench.scheduler.match()
    assert list(bench.scheduler.fleet) == [alive]
    assert said(silent.outbox)[-1] == "disconnect"
    assert follower.operation.worker_id == alive.id


def test_results_do_not_refresh_a_workers_last_update() -> None:
    bench = Bench()
    worker = bench.worker()
    follower = bench.run()
    bench.now += 3
    bench.finish(worker, follower.operation.id)
    assert truth_of(bench.scheduler)["workers"][0]["last_update_timestamp"] == 1_000_000


def test_a_worker_that_goes_away_loses_its_operations_and_its_late_result_changes_nothing() -> None:
    bench = Bench()
    worker = bench.worker()
    follower = bench.run()
    bench.scheduler.going_away(worker)
    bench.finish(worker, follower.operation.id)
    assert stage(follower) == "QUEUED"
    assert len(bench.scheduler.fleet) == 0
    assert worker.actions_completed == 0


def test_a_worker_that_reports_anothers_operation_is_removed() -> None:
    bench = Bench()
    bench.worker("right-")
    wrong = bench.worker("wrong-")
    follower = bench.run()
    bench.finish(wrong, follower.operation.id)
    assert len(bench.scheduler.fleet) == 1
    assert stage(follower) == "EXECUTING"


def test_a_worker_that_does_not_read_is_removed() -> None:
    bench = Bench()
    worker = bench.worker(max_inflight_tasks=0)
    for _ in range(LIMIT - 1):
        worker.outbox.put(worker_api.UpdateForWorker())
    follower = bench.run()
    assert not worker.is_listed
    assert stage(follower) == "QUEUED"


def test_a_queued_operation_that_nobody_follows_leaves_after_its_last_keep_alive_and_the_timeout() -> None:
    bench = Bench(Settings(client_action_timeout_s=12))
    follower = bench.run()
    bench.now += 25  # keep-alives came after 0, 10 and 20 seconds
    bench.scheduler.unfollow(follower)
    bench.now += 6.9
    assert bench.scheduler.operations() == [follower.operation]
    bench.now += 0.2
    assert bench.scheduler.operations() == []
    bench.worker()
    bench.scheduler.match()
    assert stage(follower) == "QUEUED"
    with pytest.raises(UnknownOperationError):
        bench.scheduler.wait(follower.name)


def test_wait_execution_begins_with_the_present_stage_and_keeps_the_operation() -> None:
    bench = Bench(Settings(client_action_timeout_s=12))
    bench.worker()
    follower = bench.run()
    bench.scheduler.unfollow(follower)
    bench.now += 11
    again = bench.scheduler.wait(follower.name)
    assert stages(again.outbox) == ["EXECUTING"]
    assert again.name == follower.name
    bench.now += 100
    assert bench.scheduler.operations() == [follower.operation]


def test_an_abandoned_operation_is_killed_once_at_the_next_sweep_and_runs_until_its_worker_reports() -> None:
    bench = Bench(Settings(client_action_timeout_s=12))
    worker = bench.worker()
    follower = bench.run()
    bench.scheduler.unfollow(follower)
    bench.now += 12.5
    bench.scheduler.sweep()
    bench.scheduler.sweep()
    assert said(worker.outbox) == ["connection_result", "start_action", "kill_operation_request"]
    assert list(worker.running) == [follower.operation.id]
    bench.finish(worker, follower.operation.id)
    assert not worker.running
    assert worker.actions_completed == 1
    assert bench.scheduler.operations() == []


def test_completed_operations_leave_by_the_same_rule_and_beyond_the_bound_at_once() -> None:
    bench = Bench(Settings(client_action_timeout_s=12, completed_max=2))
    worker = bench.worker()
    followers = [bench.run(Job((f"{number}",))) for number in range(3)]
    while worker.running:
        bench.finish(worker, next(iter(worker.running)))
    assert len(bench.scheduler.operations()) == 2
    for follower in followers:
        bench.scheduler.unfollow(follower)
    bench.now += 13
    assert bench.scheduler.operations() == []


def test_an_action_that_is_not_in_the_cas_is_refused_and_not_queued() -> None:
    bench = Bench()
    missing = remote_execution.Digest(hash="0" * 64, size_bytes=1)
    with pytest.raises(NotInCasError, match=r"0-1 is missing from CAS; client should re-upload it and retry"):
        bench.scheduler.execute(remote_execution.ExecuteRequest(action_digest=missing))
    assert bench.scheduler.operations() == []


def test_a_worker_whose_minimum_is_no_number_is_refused_in_nativelinks_words() -> None:
    bench = Bench()
    request = worker_api.ConnectWorkerRequest()
    request.properties.add(name="cpu_count", value="many")
    with pytest.raises(BadPropertyError, match=r"u64: many - .* Bad Property during connect_worker\(\)"):
        bench.scheduler.connect_worker(request, Outbox())
    assert len(bench.scheduler.fleet) == 0


def test_of_a_repeated_property_the_last_value_counts() -> None:
    worker = Bench().worker(properties=(*LINUX, ("pool", "a"), ("pool", "b")))
    assert worker.properties["pool"] == "b"


def test_a_client_that_reads_slowly_is_sent_the_latest_state_only() -> None:
    bench = Bench(Settings(coalesce=1.0))
    worker = bench.worker()
    follower = bench.run()
    bench.finish(worker, follower.operation.id)
    assert stages(follower.outbox) == ["COMPLETED"]

"""WorkerApi calls of both generations as events."""

from __future__ import annotations

import string

import pytest
from google.protobuf.empty_pb2 import Empty
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.events import (
    DisconnectSent,
    Event,
    ExecuteRequested,
    ExecutionCompleted,
    KillRequested,
    MessageUnread,
    OperationAssigned,
    Outcome,
    ResultReported,
    WorkerConnected,
    WorkerKeptAlive,
    WorkerLeaving,
    WorkerRefused,
    WorkerStreamEnded,
)
from gateway.model.identity import ActionKey, Digest, StreamId
from gateway.observe.worker_api import is_bare_registration
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import status_pb2, tap_pb2
from gateway.pb import worker_api_pb2 as api
from tests.observe.records import (
    CONNECT,
    EPOCH,
    HASH,
    MONOTONIC,
    SECOND,
    WORKER_API,
    ScriptedTap,
    connected,
    execute_request,
    registration,
    result,
    start_action,
)
from tests.observe.test_translate import translated


def of_workers(tap: ScriptedTap) -> list[Event]:
    """Events of the workers' side, and what could not be read."""
    return [event for event in translated(tap) if hasattr(event, "worker_id") or isinstance(event, WorkerRefused | MessageUnread)]


def test_a_worker_connects_with_what_it_declared_repeats_included() -> None:
    tap = ScriptedTap()
    request = registration("pre-", 4, cpu_count="8")
    request.properties.add(name="cpu_count", value="16")
    tap.worker("pre-1", request)
    assert of_workers(tap) == [
        WorkerConnected(
            at=tap.unix_ns,
            worker_id="pre-1",
            stream=StreamId("run-1", 1, 1),
            properties=(("cpu_count", "8"), ("cpu_count", "16")),
            id_prefix="pre-",
            max_inflight_tasks=4,
            peer="10.0.0.1:4000",
            user_agent="test/1",
        )
    ]


def test_a_workers_life_is_told_in_order() -> None:
    tap = ScriptedTap()
    connection, stream = tap.worker("w-1")
    request = execute_request(skip=True, function=1)
    tap.down(connection, stream, start_action("op-1", request, queued_ns=EPOCH + 7, cpu_count="2"))
    tap.down(connection, stream, api.UpdateForWorker(keep_alive=Empty()))
    tap.down(connection, stream, api.UpdateForWorker(kill_operation_request=api.KillOperationRequest(operation_id="op-1")))
    tap.up(connection, stream, api.UpdateForScheduler(execute_complete=api.ExecuteComplete(operation_id="op-1")))
    tap.up(connection, stream, result("op-1", exit_code=1, queued_ns=EPOCH + 7))
    tap.up(connection, stream, api.UpdateForScheduler(keep_alive_request=api.KeepAliveRequest()))
    tap.up(connection, stream, api.UpdateForScheduler(going_away_request=api.GoingAwayRequest()))
    tap.down(connection, stream, api.UpdateForWorker(disconnect=Empty()))
    tap.close_call(connection, stream, 0)
    _, assigned, kill, completed, reported, alive, leaving, disconnect, ended = of_workers(tap)
    key = ActionKey("main", Digest("sha256", HASH, 142), cacheable=False)
    assert assigned == OperationAssigned(assigned.at, "w-1", "op-1", key, EPOCH + 7, (("cpu_count", "2"),))
    assert kill == KillRequested(kill.at, "w-1", "op-1")
    assert completed == ExecutionCompleted(completed.at, "w-1", "op-1")
    assert reported == ResultReported(reported.at, "w-1", "op-1", Outcome(exit_code=1, queued_at=EPOCH + 7))
    assert alive == WorkerKeptAlive(alive.at, "w-1", alive.at, 1)
    assert leaving == WorkerLeaving(leaving.at, "w-1")
    assert disconnect == DisconnectSent(disconnect.at, "w-1")
    assert ended == WorkerStreamEnded(ended.at, "w-1", 0)


def test_coalesced_keep_alives_name_the_last() -> None:
    tap = ScriptedTap()
    connection, stream = tap.worker("w-1")
    tap.sleep(5)
    tap.add(connection=connection, stream=stream, keep_alives=tap_pb2.KeepAlives(count=2, last_monotonic_ns=MONOTONIC + 4 * SECOND))
    assert of_workers(tap)[1] == WorkerKeptAlive(tap.unix_ns, "w-1", EPOCH + 4 * SECOND, 2)


def test_what_a_worker_used_comes_with_its_result() -> None:
    update = result("op-1")
    usage = update.execute_result.resource_usage
    usage.sampled, usage.peak_memory_kb, usage.cpu_time_ms = True, 0, 80
    tap = ScriptedTap()
    connection, stream = tap.worker("w-1")
    tap.up(connection, stream, update)
    usage.sampled = False
    tap.up(connection, stream, update)
    _, sampled, unsampled = of_workers(tap)
    assert isinstance(sampled, ResultReported)
    assert (sampled.outcome.peak_memory_kb, sampled.outcome.cpu_time_ms) == (0, 80)
    assert isinstance(unsampled, ResultReported)
    assert (unsampled.outcome.peak_memory_kb, unsampled.outcome.cpu_time_ms) == (None, 80)


def test_an_internal_error_is_no_ending() -> None:
    update = api.UpdateForScheduler(
        execute_result=api.ExecuteResult(operation_id="op-1", internal_error=status_pb2.Status(code=8, message="full"))
    )
    tap = ScriptedTap()
    connection, stream = tap.worker("w-1")
    tap.up(connection, stream, update)
    reported = of_workers(tap)[1]
    assert isinstance(reported, ResultReported)
    assert reported.outcome == Outcome(status_code=8, status_message="full", internal_error=True)


def test_a_refused_registration_says_who_and_why() -> None:
    tap = ScriptedTap()
    connection = tap.open("workers")
    tap.call(connection, 1, CONNECT)
    tap.up(connection, 1, api.UpdateForScheduler(connect_worker_request=registration("bad-", cpu_count="many")))
    tap.close_call(connection, 1, 3, "Bad Property")
    (refused,) = of_workers(tap)
    assert refused == WorkerRefused(
        tap.unix_ns, StreamId("run-1", 1, 1), (("cpu_count", "many"),), "bad-", "10.0.0.1:4000", 3, "Bad Property"
    )


def test_a_registration_that_went_away_with_its_connection_was_not_refused() -> None:
    tap = ScriptedTap()
    connection = tap.open("workers")
    tap.call(connection, 1, CONNECT)
    tap.up(connection, 1, api.UpdateForScheduler(connect_worker_request=registration()))
    tap.close(connection)
    assert of_workers(tap) == []


def test_a_worker_whose_id_was_lost_is_known_from_its_first_assignment() -> None:
    tap = ScriptedTap()
    connection = tap.open("workers")
    tap.call(connection, 1, CONNECT)
    tap.up(connection, 1, api.UpdateForScheduler(connect_worker_request=registration(cpu_count="8")))
    tap.down(connection, 1, start_action("op-1", execute_request(), worker_id="w-1"))
    found, assigned = of_workers(tap)
    assert isinstance(found, WorkerConnected)
    assert found.properties == (("cpu_count", "8"),)
    assert isinstance(assigned, OperationAssigned)


def test_what_belongs_to_no_known_worker_is_told_as_unread() -> None:
    tap = ScriptedTap()
    connection = tap.open("workers")
    tap.call(connection, 1, CONNECT)
    tap.up(connection, 1, result("op-1"))
    tap.down(connection, 1, api.UpdateForWorker())
    assert [type(event) for event in of_workers(tap)] == [MessageUnread, MessageUnread]


@pytest.mark.parametrize("payload", [b"", api.UpdateForScheduler(execute_result=api.ExecuteResult()).SerializeToString()])
def test_an_update_of_an_unknown_kind_is_unread(payload: bytes) -> None:
    tap = ScriptedTap()
    connection, stream = tap.worker("w-1")
    tap.up(connection, stream, payload)
    assert [type(event) for event in of_workers(tap)] == [WorkerConnected, MessageUnread]


# --- releases before 0.7.4 --------------------------------------------------------------------------------------------

names = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=40)
values = st.text(max_size=300)
requests = st.builds(
    lambda pairs, prefix, slots: api.ConnectWorkerRequest(
        properties=[reapi.Platform.Property(name=name, value=value) for name, value in pairs],
        worker_id_prefix=prefix,
        max_inflight_tasks=slots,
    ),
    st.lists(st.tuples(names, values), max_size=4),
    st.text(string.ascii_letters, max_size=8),
    st.integers(0, 2**64 - 1),
)


@given(requests)
def test_a_bare_registration_is_told_from_a_wrapped_one_whatever_it_declares(request: api.ConnectWorkerRequest) -> None:
    wrapped = api.UpdateForScheduler(connect_worker_request=request).SerializeToString()
    request.max_inflight_tasks = 0  # not in those releases
    assert is_bare_registration(request.SerializeToString())
    assert not is_bare_registration(wrapped)


@pytest.mark.parametrize(
    "update",
    [
        api.UpdateForScheduler(keep_alive_request=api.KeepAliveRequest()),
        api.UpdateForScheduler(going_away_request=api.GoingAwayRequest()),
        result("op-1"),
        api.UpdateForScheduler(execute_complete=api.ExecuteComplete(operation_id="op-1")),
    ],
)
def test_no_other_update_looks_like_a_bare_registration(update: api.UpdateForScheduler) -> None:
    assert not is_bare_registration(update.SerializeToString())


def old_worker(tap: ScriptedTap, worker_id: str) -> tuple[int, int]:
    connection = tap.open("workers")
    tap.call(connection, 1, CONNECT)
    tap.up(connection, 1, registration("old-", cpu_count="8"))
    tap.down(connection, 1, connected(worker_id))
    return connection, 1


def test_the_four_calls_of_an_old_release_say_the_same_as_the_one_stream() -> None:
    tap = ScriptedTap()
    connection, _ = old_worker(tap, "old-1")
    other = tap.open("workers")
    failure = api.LegacyExecuteResult(worker_id="old-1", operation_id="op-2", internal_error=status_pb2.Status(code=13))
    for stream, method, message in (
        (1, "KeepAlive", api.KeepAliveRequest(worker_id="old-1")),
        (
            3,
            "ExecutionResponse",
            api.LegacyExecuteResult(
                worker_id="old-1",
                operation_id="op-1",
                instance_name="main",
                execute_response=reapi.ExecuteResponse(result=reapi.ActionResult(exit_code=3)),
            ),
        ),
        (5, "ExecutionResponse", failure),
        (7, "GoingAway", api.GoingAwayRequest(worker_id="old-1")),
    ):
        tap.call(other, stream, WORKER_API + method)
        tap.up(other, stream, message)
        tap.down(other, stream, b"")
        tap.close_call(other, stream)
    tap.close_call(connection, 1)
    found, alive, reported, failed, leaving, ended = of_workers(tap)
    assert isinstance(found, WorkerConnected)
    assert (found.properties, found.id_prefix, found.max_inflight_tasks) == ((("cpu_count", "8"),), "old-", 0)
    assert alive == WorkerKeptAlive(alive.at, "old-1", alive.at, 1)
    assert reported == ResultReported(reported.at, "old-1", "op-1", Outcome(exit_code=3))
    assert failed == ResultReported(failed.at, "old-1", "op-2", Outcome(status_code=13, internal_error=True))
    assert leaving == WorkerLeaving(leaving.at, "old-1")
    assert ended == WorkerStreamEnded(ended.at, "old-1", 0)


@pytest.mark.parametrize("skip", [False, True])
def test_on_an_old_release_the_client_says_what_is_cacheable(skip: bool) -> None:
    tap = ScriptedTap()
    connection, stream = old_worker(tap, "old-1")
    tap.execute(execute_request(skip=skip))
    tap.down(connection, stream, start_action("op-1", execute_request(skip=True)))
    (assigned,) = [event for event in translated(tap) if isinstance(event, OperationAssigned)]
    assert assigned.key.cacheable is not skip


def test_on_an_old_release_an_action_that_no_client_was_seen_to_ask_for_is_as_the_scheduler_says() -> None:
    tap = ScriptedTap()
    connection, stream = old_worker(tap, "old-1")
    tap.down(connection, stream, start_action("op-1", execute_request(skip=True)))
    (assigned,) = [event for event in translated(tap) if isinstance(event, OperationAssigned)]
    assert not assigned.key.cacheable


@pytest.mark.parametrize("skip", [False, True])
def test_on_an_old_release_a_request_that_is_seen_late_still_gets_the_key_of_its_assignment(skip: bool) -> None:
    tap = ScriptedTap()
    connection, stream = old_worker(tap, "old-1")
    tap.down(connection, stream, start_action("op-1", execute_request(skip=True)))
    tap.execute(execute_request(skip=skip))
    events = translated(tap)
    (assigned,) = [event for event in events if isinstance(event, OperationAssigned)]
    (requested,) = [event for event in events if isinstance(event, ExecuteRequested)]
    assert requested.key == assigned.key


def test_on_a_newer_release_the_scheduler_says_it_itself() -> None:
    tap = ScriptedTap()
    tap.execute(execute_request(skip=False))
    connection, stream = tap.worker("w-1")
    tap.down(connection, stream, start_action("op-1", execute_request(skip=True)))
    (assigned,) = [event for event in translated(tap) if isinstance(event, OperationAssigned)]
    assert not assigned.key.cacheable

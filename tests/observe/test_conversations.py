"""Connections: whose they are, refusals, blindness, admin calls."""

from __future__ import annotations

import pytest

from gateway.model.events import ConnectRefused, DrainSet, ExecuteRequested, MessageUnread, ReadingStopped, StreamsConfirmed
from gateway.observe.taps import ListenerState
from gateway.observe.translate import Translator
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import tap_pb2
from gateway.pb import worker_api_pb2 as api
from tests.observe.records import CONNECT, EXECUTE, WAIT, WORKER_API, ScriptedTap, config, execute_request, operation
from tests.observe.test_translate import gap_state, open_connection, translated


def listener(translator: Translator, name: str) -> ListenerState:
    assert translator.run is not None
    return translator.run.listeners[name]


def test_a_listener_of_another_scheduler_is_counted_and_not_told() -> None:
    tap = ScriptedTap(schedulers={"execution": "OTHER", "workers": "MAIN_SCHEDULER"})
    connection, stream = tap.execute()
    tap.down(connection, stream, operation("main/c-1", 2))
    tap.close_call(connection, stream)
    tap.add(connection=connection, upstream_refused=tap_pb2.UpstreamRefused())
    tap.add(connection=connection, blinded=tap_pb2.Blinded())
    tap.add(connection=connection, stream=9, keep_alives=tap_pb2.KeepAlives())
    tap.close(connection)
    tap.worker("w-1")
    translator = Translator(config())
    events = translated(tap, translator)
    assert [event for event in events if "Worker" not in type(event).__name__ and type(event).__name__ != "ConnectionOpened"] == []
    assert translator.foreign == {"OTHER": 2}


def test_an_instance_of_another_scheduler_is_counted_and_not_told() -> None:
    tap = ScriptedTap()
    settings = config(instances={"other": "OTHER", "main": "MAIN_SCHEDULER"})
    translator = Translator(settings)
    connection, stream = tap.execute(execute_request(instance="other"))
    tap.down(connection, stream, operation("other/c-1", 2))
    tap.close_call(connection, stream)
    tap.execute(execute_request(instance="main"))
    (requested,) = [event for event in translated(tap, translator) if isinstance(event, ExecuteRequested)]
    assert requested.key.instance_name == "main"
    assert translator.foreign == {"OTHER": 2}


def test_streams_of_another_scheduler_are_not_confirmed_to_the_model() -> None:
    tap = ScriptedTap(schedulers={"execution": "OTHER"})
    translator = Translator(config())
    translated(tap, translator)
    opened = tap_pb2.OpenStream(stream_opened=tap_pb2.StreamOpened(method=EXECUTE))
    gap_state(tap, (1, 0, open_connection("execution")), (1, 3, opened), (2, 0, open_connection("workers")))
    confirmed = translated(tap, translator)[-1]
    assert isinstance(confirmed, StreamsConfirmed)
    assert not confirmed.streams
    assert {connection.connection for connection in confirmed.connections} == {2}


@pytest.mark.parametrize(
    ("request_line", "status", "told"),
    [
        ("POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/1", 200, [("w-1", True)]),
        ("POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/0", 204, [("w-1", False)]),
        ("POST /deep/path/scheduler/MAIN%5FSCHEDULER/set_drain_worker/w%2D1/1", 200, [("w-1", True)]),
        ("POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/1?by=me", 200, [("w-1", True)]),
        ("POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/1", 500, []),
        ("POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/2", 200, []),
        ("GET /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/w-1/1", 200, []),
        ("POST /admin/scheduler/OTHER/set_drain_worker/w-1/1", 200, []),
        ("POST /status", 200, []),
    ],
)
def test_draining_changes_when_the_admin_call_succeeded(request_line: str, status: int, told: list[tuple[str, bool]]) -> None:
    tap = ScriptedTap()
    connection = tap.open("workers")
    tap.add(connection=connection, admin_call=tap_pb2.AdminCall(request=request_line, status=status))
    drains = [event for event in translated(tap) if isinstance(event, DrainSet)]
    assert [(drain.worker_id, drain.draining) for drain in drains] == told


def test_an_answer_of_grpc_drains_nobody_whatever_its_status() -> None:
    """The listener has no admin service: its gRPC router answers every path."""
    tap = ScriptedTap()
    connection = tap.open("workers")
    for worker_id, is_grpc in (("w-1", True), ("w-2", False)):
        request = f"POST /admin/scheduler/MAIN_SCHEDULER/set_drain_worker/{worker_id}/1"
        tap.add(connection=connection, admin_call=tap_pb2.AdminCall(request=request, status=200, is_grpc=is_grpc))
    assert [event.worker_id for event in translated(tap) if isinstance(event, DrainSet)] == ["w-2"]


def test_a_refusal_lasts_until_upstream_says_something() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    for _ in range(2):
        connection = tap.open()
        tap.add(connection=connection, upstream_refused=tap_pb2.UpstreamRefused(reason="Connection refused"))
        tap.close(connection, tap_pb2.ConnectionClosed.TAP)
    first = tap.records[2].monotonic_ns
    assert sum(isinstance(event, ConnectRefused) for event in translated(tap, translator)) == 2
    refusals = listener(translator, "execution").refusals
    assert refusals is not None
    assert refusals.since < refusals.last_at == tap.unix_ns - 1_000_000
    assert refusals.since == first + tap.unix_ns - tap.now
    assert listener(translator, "workers").refusals is None

    connection, stream = tap.execute()
    translated(tap, translator)
    assert listener(translator, "execution").refusals is not None, "a request is no answer"
    tap.down(connection, stream, operation("main/c-1", 2))
    translated(tap, translator)
    assert listener(translator, "execution").refusals is None


def test_a_connection_that_stays_shows_that_upstream_is_back() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    connection = tap.open()
    tap.add(connection=connection, upstream_refused=tap_pb2.UpstreamRefused(reason="Connection refused"))
    tap.close(connection, tap_pb2.ConnectionClosed.TAP)
    tap.open()
    tap.tick()
    translated(tap, translator)
    assert listener(translator, "execution").refusals is not None
    tap.tick(20)
    translated(tap, translator)
    assert listener(translator, "execution").refusals is None


@pytest.mark.parametrize("closed_by", [tap_pb2.ConnectionClosed.UPSTREAM])
def test_a_connection_that_upstream_ends_shows_that_it_is_there(closed_by: tap_pb2.ConnectionClosed.By.ValueType) -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    connection = tap.open()
    tap.add(connection=connection, upstream_refused=tap_pb2.UpstreamRefused())
    tap.close(tap.open(), closed_by)
    translated(tap, translator)
    assert listener(translator, "execution").refusals is None


def test_a_blinded_connection_is_told_once_and_remembered_while_it_is_open() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    connection, stream = tap.execute()
    blinded = tap_pb2.Blinded(reason=tap_pb2.Blinded.HPACK, detail="index 99")
    tap.add(connection=connection, blinded=blinded)
    tap.add(connection=connection, blinded=blinded)
    (stopped,) = [event for event in translated(tap, translator) if isinstance(event, ReadingStopped)]
    assert stopped.reason == "HPACK: index 99"
    assert listener(translator, "execution").blind == {connection: "HPACK: index 99"}
    tap.down(connection, stream, operation("main/c-1", 2))
    assert [type(event) for event in translated(tap, translator)] == [MessageUnread]
    tap.close(connection)
    translated(tap, translator)
    assert listener(translator, "execution").blind == {}


def test_a_blind_connection_is_remembered_from_the_state_after_a_gap() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    translated(tap, translator)
    state = open_connection("workers")
    state.blinded.reason = tap_pb2.Blinded.TLS
    gap_state(tap, (4, 0, state))
    assert [type(event).__name__ for event in translated(tap, translator)] == [
        "ConnectionOpened",
        "ReadingStopped",
        "StreamsConfirmed",
    ]
    assert listener(translator, "workers").blind == {4: "TLS"}
    gap_state(tap)
    translated(tap, translator)
    assert listener(translator, "workers").blind == {}


def test_totals_are_those_of_the_last_tick() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    tap.tick(totals=tap_pb2.ListenerTotals(name="execution", bytes=7))
    tap.tick(totals=tap_pb2.ListenerTotals(name="execution", bytes=9), unknown=tap_pb2.ListenerTotals(name="who"))
    translated(tap, translator)
    totals = listener(translator, "execution").totals
    assert totals is not None
    assert totals.bytes == 9
    assert translator.run is not None
    assert translator.run.last_tick_at == tap.unix_ns


def test_records_of_connections_that_were_never_opened_are_read_all_the_same() -> None:
    tap = ScriptedTap()
    tap.call(9, 1, CONNECT)
    tap.up(9, 1, api.UpdateForScheduler(connect_worker_request=api.ConnectWorkerRequest()))
    tap.close_call(9, 1, 3)
    tap.close_call(8, 1, 3)
    tap.close(7)
    tap.add(connection=7, upstream_refused=tap_pb2.UpstreamRefused())
    tap.add(connection=7, blinded=tap_pb2.Blinded())
    tap.add(connection=7, stream=1, keep_alives=tap_pb2.KeepAlives(count=1))
    assert [type(event).__name__ for event in translated(tap)] == ["WorkerRefused", "MessageUnread"]


def test_a_method_that_is_not_known_here_is_no_call() -> None:
    tap = ScriptedTap()
    connection = tap.open()
    tap.call(connection, 1, "/some.Service/Method")
    tap.up(connection, 1, b"")
    assert [type(event).__name__ for event in translated(tap)] == ["ConnectionOpened", "MessageUnread"]


def test_waiting_for_an_operation_of_another_scheduler_is_counted_and_not_told() -> None:
    tap = ScriptedTap()
    translator = Translator(config(instances={"other": "OTHER"}))
    connection = tap.open()
    tap.call(connection, 3, WAIT)
    tap.up(connection, 3, reapi.WaitExecutionRequest(name="other/c-1"))
    tap.call(connection, 5, EXECUTE)
    tap.down(connection, 5, operation("other/c-2", 2))
    tap.close_call(connection, 3)
    assert [type(event).__name__ for event in translated(tap, translator)] == ["ConnectionOpened"]
    assert translator.foreign == {"OTHER": 2}


def test_clients_and_old_releases_calls_keep_nothing_alive_and_are_not_restored() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    connection, stream = tap.execute()
    other = tap.open("workers")
    tap.call(other, 1, WORKER_API + "KeepAlive")
    for call in ((connection, stream), (other, 1)):
        tap.add(connection=call[0], stream=call[1], keep_alives=tap_pb2.KeepAlives(count=1))
    translated(tap, translator)
    gap_state(tap, (other, 0, open_connection("workers")), (other, 1, tap_pb2.OpenStream()))
    assert [type(event).__name__ for event in translated(tap, translator)] == ["StreamsConfirmed"]

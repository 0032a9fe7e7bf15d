"""Translator: sequences, runs, gaps, time."""

from __future__ import annotations

from gateway.config.types import Config
from gateway.model.events import (
    ConnectionClosed,
    ConnectionOpened,
    Event,
    ExecuteRequested,
    FollowerLeft,
    MessageUnread,
    OperationAssigned,
    OperationUpdated,
    RecordsMissed,
    RunEnded,
    Stage,
    StreamsConfirmed,
    WaitRequested,
    WorkerConnected,
    WorkerKeptAlive,
)
from gateway.model.identity import ConnectionId, StreamId
from gateway.observe.translate import Translator
from gateway.pb import tap_pb2, worker_api_pb2
from tests.observe.records import (
    CONNECT,
    EPOCH,
    EXECUTE,
    MONOTONIC,
    SECOND,
    ScriptedTap,
    config,
    connected,
    execute_request,
    operation,
    registration,
    start_action,
)


def translated(tap: ScriptedTap, translator: Translator | None = None, settings: Config | None = None) -> list[Event]:
    """What the tap's records say, and forgets them."""
    translator = translator or Translator(settings or config())
    events = [event for record in tap.records for event in translator.translate(record)]
    tap.records.clear()
    return events


def test_times_are_the_taps_clock_tied_to_unix_time_once() -> None:
    tap = ScriptedTap()
    tap.sleep(2.5)
    tap.open()
    translator = Translator(config())
    (opened,) = translated(tap, translator)
    assert isinstance(opened, ConnectionOpened)
    assert opened.at == EPOCH + 2_501_000_000
    assert translator.now == opened.at


def test_a_tick_says_nothing_and_time_goes_on() -> None:
    tap = ScriptedTap()
    tap.tick(7)
    translator = Translator(config())
    assert translated(tap, translator) == []
    assert translator.now == EPOCH + 7_001_000_000


def test_what_comes_before_a_run_started_belongs_to_nothing() -> None:
    translator = Translator(config())
    assert translator.translate(tap_pb2.TapRecord(sequence=5, tick=tap_pb2.Tick())) == []
    assert translator.unknown_records == 1


def test_a_record_of_a_kind_from_the_future_is_counted() -> None:
    tap = ScriptedTap()
    tap.add()
    translator = Translator(config())
    assert translated(tap, translator) == []
    assert translator.unknown_records == 1


def test_a_reader_that_comes_back_is_told_nothing_twice() -> None:
    tap = ScriptedTap()
    tap.open()
    records = list(tap.records)
    translator = Translator(config())
    assert len(translated(tap, translator)) == 1
    assert translator.next_sequence == 3
    assert [event for record in records for event in translator.translate(record)] == []


def test_a_number_that_is_left_out_is_a_loss_even_if_nobody_says_so() -> None:
    tap = ScriptedTap()
    tap.sequence += 3
    tap.open()
    assert [type(event) for event in translated(tap)] == [RecordsMissed, ConnectionOpened]


def test_time_goes_on_at_its_own_pace_where_the_clock_was_set_back_between_two_runs() -> None:
    translator = Translator(config())
    one = ScriptedTap("one")
    one.tick(100)
    translated(one, translator)
    before = translator.now
    two = ScriptedTap("two", started_at=before - 3600 * SECOND)
    two.sleep(2.0)
    two.open()
    opened = translated(two, translator)[-1]
    assert isinstance(opened, ConnectionOpened)
    assert opened.at == translator.now == before + 2_001_000_000


def test_a_new_run_ends_the_one_before_at_its_last_record() -> None:
    tap = ScriptedTap("one")
    connection, stream = tap.execute()
    translator = Translator(config())
    translated(tap, translator)
    last = tap.unix_ns
    new = ScriptedTap("two", started_at=EPOCH + 100 * SECOND)
    new.up(connection, stream, execute_request())
    events = translated(new, translator)
    assert events[0] == RunEnded(last, "one")
    assert isinstance(events[1], MessageUnread), "streams of the old run are not those of the new one"
    assert translator.run is not None
    assert translator.run.id == "two"
    assert translator.next_sequence == 3


def gap_state(tap: ScriptedTap, *streams: tuple[int, int, tap_pb2.OpenStream], missed: tuple[int, int] | None = None) -> None:
    """What a tap says to a reader that fell behind."""
    at = tap.sequence
    if missed is not None:
        tap.add(gap=tap_pb2.Gap(first=missed[0], last=missed[1]))
    tap.add(state_begin=tap_pb2.StateBegin())
    for connection, stream, state in streams:
        tap.add(connection=connection, stream=stream, open_stream=state)
    tap.add(state_end=tap_pb2.StateEnd())
    for record in tap.records[at - tap.sequence :]:
        record.sequence = at
    tap.sequence = at


def open_connection(listener: str) -> tap_pb2.OpenStream:
    return tap_pb2.OpenStream(
        connection_opened=tap_pb2.ConnectionOpened(listener=listener, peer="10.0.0.9:9"), opened_monotonic_ns=MONOTONIC + 1
    )


def test_after_a_gap_what_is_new_is_told_and_what_is_open_confirmed() -> None:
    tap = ScriptedTap()
    kept, stream = tap.execute()
    gone = tap.open()
    translator = Translator(config())
    translated(tap, translator)
    tap.sequence += 40
    tap.sleep(60)
    registered = worker_api_pb2.UpdateForScheduler(connect_worker_request=registration(cpu_count="8")).SerializeToString()
    update = operation("main/c-1", 3).SerializeToString()
    gap_state(
        tap,
        (kept, 0, open_connection("execution")),
        (kept, stream, tap_pb2.OpenStream(stream_opened=tap_pb2.StreamOpened(method=EXECUTE), latest_to_client=update)),
        (7, 0, open_connection("workers")),
        (
            7,
            1,
            tap_pb2.OpenStream(
                opened_monotonic_ns=MONOTONIC + 20 * SECOND,
                stream_opened=tap_pb2.StreamOpened(method=CONNECT),
                first_to_server=registered,
                first_to_client=connected("w-7").SerializeToString(),
                last_keep_alive_monotonic_ns=MONOTONIC + 59 * SECOND,
            ),
        ),
        missed=(translator.next_sequence, tap.sequence),
    )
    missed, updated, opened, worker, alive, confirmed = translated(tap, translator)
    assert missed == RecordsMissed(missed.at, "run-1", 40)
    assert isinstance(updated, OperationUpdated)
    assert updated.stage is Stage.EXECUTING
    assert isinstance(opened, ConnectionOpened)
    assert isinstance(worker, WorkerConnected)
    assert (worker.worker_id, worker.properties, worker.peer) == ("w-7", (("cpu_count", "8"),), "10.0.0.9:9")
    assert worker.at == EPOCH + 20 * SECOND
    assert isinstance(alive, WorkerKeptAlive)
    assert alive.last_at == EPOCH + 59 * SECOND
    assert isinstance(confirmed, StreamsConfirmed)
    assert confirmed.streams == {StreamId("run-1", kept, stream), StreamId("run-1", 7, 1)}
    assert confirmed.connections == {ConnectionId("run-1", kept), ConnectionId("run-1", 7)}
    assert translator.next_sequence == tap.sequence + 1

    tap.close(gone)
    assert translated(tap, translator) == [], "its end was told by not being listed"


def test_a_link_that_breaks_within_the_state_counts_the_gap_once() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    translated(tap, translator)
    tap.sequence += 10
    gap_state(tap, missed=(2, 11))
    first, second = tap.records[0], list(tap.records)
    second[0].gap.last = 11
    assert translator.translate(first) == [RecordsMissed(translator.now, "run-1", 10)]
    assert translator.next_sequence == 2, "the state was not read to its end"
    tap.records = second
    assert [type(event) for event in translated(tap, translator)] == [StreamsConfirmed]


def test_a_stream_whose_request_was_lost_is_followed_by_the_name_in_its_update() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    translated(tap, translator)
    opened = tap_pb2.StreamOpened(method=EXECUTE, user_agent="bazel")
    update = operation("main/c-1", 2).SerializeToString()
    gap_state(
        tap,
        (1, 0, open_connection("execution")),
        (1, 3, tap_pb2.OpenStream(stream_opened=opened, latest_to_client=update, opened_monotonic_ns=MONOTONIC)),
    )
    _, waiting, updated, _ = translated(tap, translator)
    assert isinstance(waiting, WaitRequested)
    assert (waiting.name, waiting.user_agent) == ("main/c-1", "bazel")
    assert isinstance(updated, OperationUpdated)


def test_damage_in_the_state_is_told_and_the_rest_is_read() -> None:
    tap = ScriptedTap()
    translator = Translator(config())
    translated(tap, translator)
    opened = tap_pb2.StreamOpened(method=EXECUTE)
    gap_state(
        tap,
        (1, 0, open_connection("execution")),
        (1, 3, tap_pb2.OpenStream(stream_opened=opened, first_to_server=b"\xff", opened_monotonic_ns=MONOTONIC)),
        (1, 5, tap_pb2.OpenStream(stream_opened=opened, first_to_server=execute_request().SerializeToString())),
    )
    assert [type(event) for event in translated(tap, translator)] == [
        ConnectionOpened,
        MessageUnread,
        ExecuteRequested,
        StreamsConfirmed,
    ]


def test_streams_of_a_connection_that_goes_away_end_first() -> None:
    tap = ScriptedTap()
    connection, stream = tap.execute()
    tap.down(connection, stream, operation("main/c-1", 2))
    tap.close(connection, tap_pb2.ConnectionClosed.UPSTREAM)
    *_, left, closed = translated(tap)
    assert left == FollowerLeft(left.at, StreamId("run-1", connection, stream), None)
    assert closed == ConnectionClosed(closed.at, ConnectionId("run-1", connection), by_upstream=True)


def test_every_truncation_of_every_payload_is_told_and_never_raised() -> None:
    for message, is_request in (
        (execute_request(), True),
        (operation("main/c-1", 4, response=None), False),
        (start_action("op-1", execute_request(), queued_ns=EPOCH, cpu_count="1"), False),
    ):
        payload = message.SerializeToString()
        for length in range(len(payload)):
            tap = ScriptedTap()
            connection, stream = tap.worker("w-1") if "Worker" in type(message).__name__ else tap.execute()
            (tap.up if is_request else tap.down)(connection, stream, payload[:length])
            for event in translated(tap):
                assert isinstance(event, Event)


def test_an_unlisted_digest_function_is_told_by_hash_length_so_that_both_halves_agree() -> None:
    tap = ScriptedTap()
    tap.execute(execute_request(function=0))
    connection, stream = tap.worker("w-1")
    tap.down(connection, stream, start_action("op-1", execute_request(function=1)))
    events = translated(tap)
    (requested,) = [event for event in events if isinstance(event, ExecuteRequested)]
    (assigned,) = [event for event in events if isinstance(event, OperationAssigned)]
    assert requested.key == assigned.key
    assert str(requested.key.digest).startswith("sha256:")

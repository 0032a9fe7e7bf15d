"""The decoder on the recordings of a real NativeLink, against an independent reading of the same bytes."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest
from google.protobuf.message import DecodeError, Message
from hpack import Decoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame

from gateway.pb import longrunning_pb2, remote_execution_pb2, tap_pb2, worker_api_pb2
from gateway.tap.calls import METHODS
from gateway.tap.offline import ChunkEvent, decode_chunks
from tests.e2e import recordings
from tests.e2e.recordings import Recording
from tests.tap.frames import CONNECT_WORKER, EXECUTE, PREFACE, RESULT, WAIT
from tests.tap.reading import EXECUTION, decode, kinds
from tests.tap.recorded import events_of

_KEEP_ALIVE = b"\x12\x00"


def _frames(data: bytes) -> list[Frame]:
    found = []
    while len(data) >= 9:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        if len(data) < 9 + length:
            break
        frame.parse_body(memoryview(data[9 : 9 + length]))
        found.append(frame)
        data = data[9 + length :]
    return found


def _read(recording: Recording, connection: int) -> dict[tuple[int, str], tuple[dict[str, str], list[bytes]]]:
    """By stream and direction: all headers of a connection and its gRPC messages, read with hyperframe and hpack."""
    found: dict[tuple[int, str], tuple[dict[str, str], list[bytes]]] = defaultdict(lambda: ({}, []))
    for direction in "><":
        data = recording.sent(connection, direction)
        if direction == ">":
            if not data.startswith(PREFACE):
                return {}
            data = data.removeprefix(PREFACE)
        decoder = Decoder()
        decoder.max_allowed_table_size = 2**20
        bodies: dict[int, bytes] = defaultdict(bytes)
        block = b""
        for frame in _frames(data):
            if isinstance(frame, HeadersFrame | ContinuationFrame):
                block += bytes(frame.data)
                if "END_HEADERS" in frame.flags:
                    found[frame.stream_id, direction][0].update((str(name), str(value)) for name, value in decoder.decode(block))
                    block = b""
            elif isinstance(frame, DataFrame):
                bodies[frame.stream_id] += bytes(frame.data)
        for stream, body in bodies.items():
            pos = 0
            while pos < len(body):
                start = pos + 5
                pos = start + int.from_bytes(body[pos + 1 : start], "big")
                found[stream, direction][1].append(body[start:pos])
    return found


def _stripped(method: str, direction: str, payload: bytes) -> Message | bytes:
    """What the record of a message must hold, made with the protobuf library."""
    result = None
    message: Message
    if method in {EXECUTE, WAIT} and direction == "<":
        message = operation = longrunning_pb2.Operation.FromString(payload)
        response = remote_execution_pb2.ExecuteResponse()
        operation.response.Unpack(response)
        _strip(response.result)
        if operation.HasField("response"):
            operation.response.Pack(response)
        return message
    if method == CONNECT_WORKER and direction == ">":
        try:
            message = update = worker_api_pb2.UpdateForScheduler.FromString(payload)
        except DecodeError:
            return payload  # the bare registration of an older release
        if update.execute_result.HasField("execute_response"):
            result = update.execute_result.execute_response.result
    elif method == RESULT and direction == ">":
        message = legacy = worker_api_pb2.LegacyExecuteResult.FromString(payload)
        result = legacy.execute_response.result
    else:
        return payload
    if result is not None:
        _strip(result)
    return message


def _strip(result: remote_execution_pb2.ActionResult) -> None:
    for field in ("stdout_raw", "stderr_raw"):
        result.ClearField(field)
    for file in result.output_files:
        file.ClearField("contents")


def _expected(recording: Recording) -> dict[tuple[int, int, str], list[Message | bytes]]:
    """Every message of every tapped stream of a recording."""
    found: dict[tuple[int, int, str], list[Message | bytes]] = {}
    for connection in recording.of_connection():
        read = _read(recording, connection)
        for (stream, direction), (_, payloads) in read.items():
            method = read[stream, ">"][0].get(":path", "") if (stream, ">") in read else ""
            if method.encode() in METHODS and payloads:
                found[connection, stream, direction] = [_stripped(method, direction, payload) for payload in payloads]
    return found


def _found(records: list[tap_pb2.TapRecord]) -> dict[tuple[int, int, str], list[Message | bytes]]:
    methods: dict[tuple[int, int], str] = {}
    found: dict[tuple[int, int, str], list[Message | bytes]] = defaultdict(list)
    for record in records:
        stream = (record.connection, record.stream)
        if record.HasField("stream_opened"):
            methods[stream] = record.stream_opened.method
        elif record.HasField("message"):
            assert not record.message.omitted
            direction = ">" if record.message.direction == tap_pb2.Message.TO_SERVER else "<"
            # Already stripped: the same reading makes messages comparable.
            found[*stream, direction].append(_stripped(methods[stream], direction, record.message.payload))
        elif record.HasField("keep_alives"):
            keep_alive = worker_api_pb2.UpdateForScheduler.FromString(_KEEP_ALIVE)
            found[*stream, ">"] += [keep_alive] * record.keep_alives.count
    return found


@pytest.mark.parametrize("name", recordings.ALL)
def test_every_message_of_a_recording_is_recorded(name: str) -> None:
    recording = recordings.load(name)
    events = events_of(recording.entries)
    last = events[-1][0]
    # The end of every connection brings out keep-alives that are still counted.
    open_connections = {event[1] for event in events} - {event[1] for event in events if event[2] == "close"}
    events += [(last, connection, "close", None) for connection in sorted(open_connections)]
    found = _found(decode(events))
    expected = _expected(recording)
    assert found.keys() == expected.keys()
    for key, messages in expected.items():
        # Coalesced keep-alives come later than they were said; everything else keeps its order.
        keep_alive = worker_api_pb2.UpdateForScheduler.FromString(_KEEP_ALIVE)
        assert [each for each in found[key] if each != keep_alive] == [each for each in messages if each != keep_alive]
        assert len(found[key]) == len(messages)


def test_the_recordings_hold_what_the_tests_are_about() -> None:
    counts = {name: len(kinds(decode(events_of(recordings.load(name).entries)))) for name in recordings.ALL}
    assert min(counts.values()) >= 19
    assert kinds(decode(events_of(recordings.load("drain").entries))).count("admin_call") == 2
    assert kinds(decode(events_of(recordings.load("scheduler_restart").entries))).count("upstream_refused") == 8
    for name in recordings.ALL:
        assert "blinded" not in kinds(decode(events_of(recordings.load(name).entries)))


@pytest.mark.parametrize("name", recordings.ALL)
def test_random_cuts_give_identical_records_bar_times(name: str) -> None:
    def bar_times(events: list[ChunkEvent]) -> list[tap_pb2.TapRecord]:
        records = decode(events)
        for record in records:
            record.monotonic_ns = record.keep_alives.last_monotonic_ns = 0
        return records

    events = events_of(recordings.load(name).entries)
    expected = bar_times(events)
    for seed in range(3):
        chance = random.Random(seed)
        cut: list[ChunkEvent] = []
        for now, connection, kind, payload in events:
            left = payload
            while kind in {"to_server", "to_client"} and len(left) > 1 and chance.random() < 0.95:
                size = chance.choice((1, 3, 9, 17, 100))
                cut.append((now, connection, kind, left[:size]))
                left = left[size:]
            cut.append((now, connection, kind, left))
        assert bar_times(cut) == expected


def test_an_unknown_event_is_an_error() -> None:
    events: list[ChunkEvent] = [(1, 1, "open", ("execution", "p:1")), (2, 1, "nonsense", None)]
    with pytest.raises(ValueError, match="nonsense"):
        list(decode_chunks(events, run="r", unix_ns=0, monotonic_ns=0, listeners=[EXECUTION]))


def test_who_ended_a_connection_is_who_finished_first() -> None:
    events: list[ChunkEvent] = [
        (1, 1, "open", ("execution", "p:1")),
        (2, 2, "open", ("workers", "p:2")),
        (3, 1, "eof_server", None),
        (4, 1, "eof_client", None),
        (5, 1, "close", None),
        (6, 2, "refused", "Connection refused"),
        (7, 2, "close", None),
        (8, 0, "tick", None),
        (9, 3, "open", ("workers", "p:3")),
        (9, 3, "close", None),
    ]
    closed = [record.connection_closed for record in decode(events) if record.HasField("connection_closed")]
    by = tap_pb2.ConnectionClosed
    assert [(each.by, each.reset) for each in closed] == [(by.UPSTREAM, False), (by.TAP, False), (by.CLIENT, True)]

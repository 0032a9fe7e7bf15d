from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.observe.recording.inspection import Inspection
from gateway.pb import longrunning_pb2, tap_pb2
from gateway.pb import remote_execution_pb2 as reapi
from tests.observe.recording.planted import Planter
from tests.observe.recording.played import STREAMS
from tests.observe.records import EXECUTE, HASH, ScriptedTap, execute_request, operation, registration
from tests.observe.test_translate import gap_state

MAX_LINE = 200


def test_every_record_is_a_line_of_bounded_length() -> None:
    for stream in STREAMS:
        inspection = Inspection(is_full=False)
        lines = [inspection.line(record) for record in stream]
        assert all("\n" not in line and len(line) <= MAX_LINE for line in lines)
        text = "\n".join(lines)
        assert "run_started" in text
        assert "> ExecuteRequest { " in text or "stream_closed" in text
        assert "cannot be read" not in text


def test_in_full_a_line_is_as_long_as_it_is() -> None:
    inspection = Inspection(is_full=True)
    assert max(len(inspection.line(record)) for record in STREAMS[0]) > MAX_LINE


def test_as_json_a_payload_is_decoded_where_that_can_be() -> None:
    inspection = Inspection(is_full=False)
    shown = [json.loads(inspection.as_json(record)) for record in STREAMS[0]]
    types = {each["message"]["type"] for each in shown if "message" in each}
    assert {"ExecuteRequest", "Operation", "UpdateForScheduler", "UpdateForWorker"} <= types
    assert shown[0]["unix_ns"] == STREAMS[0][0].run_started.unix_ns
    odd = tap_pb2.TapRecord(message=tap_pb2.Message(direction=tap_pb2.Message.TO_SERVER, payload=b"\xff"))
    assert json.loads(inspection.as_json(odd))["message"]["payload"] == "/w=="


def test_the_summary_counts_what_there_was() -> None:
    inspection = Inspection(is_full=False)
    for record in STREAMS[0]:
        inspection.line(record)
    inspection.line(tap_pb2.TapRecord(gap=tap_pb2.Gap(first=3, last=9)))
    omitted = tap_pb2.Message(direction=tap_pb2.Message.TO_SERVER, omitted=tap_pb2.Message.TOO_LARGE, omitted_length=9)
    assert "> 9 bytes (too large)" in inspection.line(tap_pb2.TapRecord(message=omitted))
    assert "1 bytes that cannot be read" in inspection.line(tap_pb2.TapRecord(message=tap_pb2.Message(payload=b"x")))
    assert "unknown" in inspection.line(tap_pb2.TapRecord())
    summary = list(inspection.summary())
    assert summary[0].startswith(f"{len(STREAMS[0]) + 4} records of 1 run in ")
    assert any(line.endswith("  /build.bazel.remote.execution.v2.Execution/Execute") for line in summary)
    assert any(line.endswith("  too large") for line in summary)
    assert summary[-1] == "missing: 7 records, in gaps"


def test_of_nothing_there_is_a_summary_too() -> None:
    assert list(Inspection(is_full=False).summary()) == ["0 records of 0 runs in 0.0 s"]


def test_what_an_opened_and_an_open_stream_carry_is_shown() -> None:
    metadata = reapi.RequestMetadata(target_id="//pkg:a", action_mnemonic="Cc")
    script = ScriptedTap()
    script.execute(metadata=metadata.SerializeToString())
    opened = tap_pb2.StreamOpened(method=EXECUTE, request_metadata=metadata.SerializeToString(), user_agent="bazel")
    state = tap_pb2.OpenStream(
        stream_opened=opened,
        first_to_server=execute_request().SerializeToString(),
        latest_to_client=operation("main/c-1", 2).SerializeToString(),
    )
    gap_state(script, (7, 3, state), missed=(1, 2))
    whole = Inspection(is_full=True)
    lines = {record.WhichOneof("record"): whole.line(record) for record in script.records}
    assert 'request_metadata RequestMetadata { action_mnemonic: "Cc" target_id: "//pkg:a" }' in lines["stream_opened"]
    open_stream = lines["open_stream"]
    assert f'first_to_server ExecuteRequest {{ instance_name: "main" action_digest {{ hash: "{HASH}"' in open_stream
    assert "latest_to_client Operation { " in open_stream
    assert "stage: QUEUED" in open_stream
    assert 'target_id: "//pkg:a"' in open_stream
    inspection = Inspection(is_full=False)
    shown = {record.WhichOneof("record"): json.loads(inspection.as_json(record)) for record in script.records}
    assert shown["stream_opened"]["stream_opened"]["request_metadata"]["target_id"] == "//pkg:a"
    in_state = shown["open_stream"]["open_stream"]
    assert in_state["stream_opened"]["request_metadata_type"] == "RequestMetadata"
    assert in_state["first_to_server"]["action_digest"]["hash"] == HASH
    assert in_state["latest_to_client_type"] == "Operation"


def _update(**any_fields: Any) -> list[tap_pb2.TapRecord]:
    said = longrunning_pb2.Operation(name="main/c-1")
    said.metadata.type_url, said.metadata.value = any_fields["type_url"], any_fields["value"]
    return _said(said)


def _said(message: longrunning_pb2.Operation) -> list[tap_pb2.TapRecord]:
    script = ScriptedTap()
    connection, stream = script.execute()
    script.down(connection, stream, message)
    return script.records


def _far_future() -> list[tap_pb2.TapRecord]:
    response = reapi.ExecuteResponse()
    response.result.execution_metadata.queued_timestamp.seconds = 1 << 60
    said = longrunning_pb2.Operation(done=True)
    said.response.Pack(response)
    return _said(said)


KNOWN = "type.googleapis.com/" + reapi.ExecuteOperationMetadata.DESCRIPTOR.full_name


@pytest.mark.parametrize(
    ("records", "shown"),
    [
        (_update(type_url="type.googleapis.com/no.such.Type", value=b"abc"), "no.such.Type"),
        (_update(type_url=KNOWN, value=b"\xff"), "unreadable: "),
        (_far_future(), str(1 << 60)),
        (_said(longrunning_pb2.Operation.FromString(b"\xfa\x7f\x03abc")), '2047: "abc"'),
    ],
    ids=["unknown type", "not of its type", "no time", "unknown field"],
)
def test_whatever_peers_say_can_be_shown(records: list[tap_pb2.TapRecord], shown: str) -> None:
    assert shown in Inspection(is_full=True).line(records[-1]) or shown in _lines(records)[-1]
    inspection = Inspection(is_full=True)
    objects = [json.loads(inspection.as_json(record)) for record in records]
    assert objects[-1]["message"]["type"] == "Operation"


def _lines(records: list[tap_pb2.TapRecord]) -> list[str]:
    inspection = Inspection(is_full=True)
    return [inspection.line(record) for record in records]


def test_nothing_that_a_peer_says_reaches_the_terminal_as_an_order() -> None:
    script = ScriptedTap()
    odd = "a\x1b[2J\x9b1m\n\u202e\u2028"
    connection = script.open()
    script.add(connection=connection, stream=3, stream_opened=tap_pb2.StreamOpened(method=odd, user_agent=odd))
    script.execute(execute_request(instance=odd))
    inspection = Inspection(is_full=True)
    lines = [inspection.line(record) for record in script.records] + list(inspection.summary())
    assert all(line.isprintable() for line in lines)
    assert any("a\\x1b[2J" in line for line in lines)


@given(st.integers(0, 1 << 30), st.integers(0, 1 << 20), st.integers(0, 255))
def test_no_bytes_make_it_fail(seed: int, place: int, byte: int) -> None:
    line, as_json = Inspection(is_full=False), Inspection(is_full=True)
    for record in _PLANTED:
        damaged = tap_pb2.TapRecord()
        damaged.CopyFrom(record)
        if payload := bytearray(damaged.message.payload):
            payload[(place + seed) % len(payload)] = byte
            damaged.message.payload = bytes(payload)
        assert line.line(damaged).isprintable()
        json.loads(as_json.as_json(damaged))


_PLANTED = list(Planter(5).records())[:60]


def test_of_a_registration_every_property_is_shown() -> None:
    script = ScriptedTap()
    script.worker("w-1", registration("w-", cpu_count="8", pool="a"))
    text = "\n".join(_lines(script.records))
    assert '> UpdateForScheduler { connect_worker_request { properties { name: "cpu_count" value: "8" }' in text
    assert '< UpdateForWorker { connection_result { worker_id: "w-1" } }' in text

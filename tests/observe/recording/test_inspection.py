from __future__ import annotations

import json

from gateway.observe.recording.inspection import Inspection
from gateway.pb import tap_pb2
from tests.observe.recording.played import STREAMS

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

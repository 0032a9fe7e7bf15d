from __future__ import annotations

from google.protobuf.json_format import ParseDict

from gateway.pb import tap_pb2
from gateway.tap import records
from gateway.tap.records import Listener, ProcessTotals, Recorder, Totals
from tests.tap.reading import EXECUTION, WORKERS, parse

_BIG = 2**63 + 5


def _encoded(kind: int, body: bytes) -> tap_pb2.TapRecord:
    return parse(records.encode(_BIG, _BIG + 1, 2**32 - 1, 2**31 - 1, kind, body))


def _expected(kind: str, value: dict[str, object]) -> tap_pb2.TapRecord:
    record = tap_pb2.TapRecord(sequence=_BIG, monotonic_ns=_BIG + 1, connection=2**32 - 1, stream=2**31 - 1)
    ParseDict(value, getattr(record, kind))
    getattr(record, kind).SetInParent()
    return record


def test_run_started_is_what_protobuf_reads() -> None:
    body = records.run_started("röhre", _BIG, 5, [EXECUTION, WORKERS, Listener("x", "", "", ())])
    listeners = [
        {"name": "execution", "listen": "127.0.0.1:50151", "upstream": "127.0.0.1:50051", "carries": ["execution"]},
        {
            "name": "workers",
            "listen": "127.0.0.1:50161",
            "upstream": "127.0.0.1:50061",
            "carries": ["admin", "worker_api"],
            "scheduler": "OTHER",
        },
        {"name": "x"},
    ]
    expected = {"run": "röhre", "unix_ns": _BIG, "monotonic_ns": 5, "listeners": listeners}
    assert _encoded(records.RUN_STARTED, body) == _expected("run_started", expected)


def test_tick_is_what_protobuf_reads() -> None:
    totals = Totals("a", 1, 2, 3, 4, 5, 6, 7, 8, {records.TLS: 1, records.HPACK: 300})
    process = ProcessTotals(9, 10, 11, 12, 13, 14, ([1, 0, 500], 15, 16), 17)
    body = records.tick([totals, Totals("b")], process)
    first = {
        "name": "a",
        "connections": 1,
        "open_connections": 2,
        "bytes": 3,
        "tapped_bytes": 4,
        "messages": 5,
        "blind_connections": 6,
        "upstream_refused": 7,
        "streams": 8,
        "blinded": [{"reason": "TLS", "connections": 1}, {"reason": "HPACK", "connections": 300}],
    }
    expected = {
        "listeners": [first, {"name": "b"}],
        "ring_bytes": 9,
        "undecoded_bytes": 10,
        "ring_limit_bytes": 11,
        "gaps": 12,
        "readers": 13,
        "behind_bytes": 14,
        "forwarding_delay": {"counts": [1, 0, 500], "sum_ns": 15, "max_ns": 16},
        "loop_lag_ns": 17,
    }
    assert _encoded(records.TICK, body) == _expected("tick", expected)
    assert _encoded(records.TICK, records.tick([], ProcessTotals())) == _expected("tick", {})


def test_the_small_records_are_what_protobuf_reads() -> None:
    for kind, name, body, expected in (
        (records.CONNECTION_OPENED, "connection_opened", records.connection_opened("l", "p"), {"listener": "l", "peer": "p"}),
        (records.UPSTREAM_REFUSED, "upstream_refused", records.upstream_refused("no"), {"reason": "no"}),
        (records.BLINDED, "blinded", records.blinded(records.HPACK, "why"), {"reason": "HPACK", "detail": "why"}),
        (records.ADMIN_CALL, "admin_call", records.admin_call("POST /", 500, is_grpc=False), {"request": "POST /", "status": 500}),
        (
            records.ADMIN_CALL,
            "admin_call",
            records.admin_call("POST /", 200, is_grpc=True),
            {"request": "POST /", "status": 200, "is_grpc": True},
        ),
        (records.GAP, "gap", records.gap(2, _BIG), {"first": 2, "last": _BIG}),
        (records.STATE_BEGIN, "state_begin", b"", {}),
        (records.STATE_END, "state_end", b"", {}),
        (
            records.STREAM_OPENED,
            "stream_opened",
            records.stream_opened("/m", b"\x01", "ua"),
            {"method": "/m", "request_metadata": "AQ==", "user_agent": "ua"},
        ),
        (records.STREAM_OPENED, "stream_opened", records.stream_opened("/m", b"", ""), {"method": "/m"}),
    ):
        assert _encoded(kind, body) == _expected(name, dict(expected))


def test_stream_closed_tells_absent_from_zero() -> None:
    absent = _encoded(records.STREAM_CLOSED, records.stream_closed(None, "", None, 0)).stream_closed
    assert not absent.HasField("grpc_status")
    assert not absent.HasField("reset")
    zero = _encoded(records.STREAM_CLOSED, records.stream_closed(0, "m", 0, records.TO_CLIENT)).stream_closed
    assert zero == tap_pb2.StreamClosed(grpc_status=0, message="m", reset=0, reset_direction=tap_pb2.Message.TO_CLIENT)


def test_the_recorder_numbers_and_time_never_goes_back() -> None:
    raw: list[bytes] = []
    recorder = Recorder(raw.append)
    recorder.message(5, 1, 3, records.TO_SERVER, b"m" * 5000)
    recorder.message(4, 1, 3, records.TO_CLIENT, b"")
    recorder.omitted(6, 1, 3, records.TO_CLIENT, records.TOO_LARGE, 7_000_000)
    recorder.keep_alives(9, 1, 3, 4, 8)
    recorder.connection_closed(9, 1, records.BY_UPSTREAM, reset=True)
    message = tap_pb2.Message
    assert [parse(each) for each in raw] == [
        tap_pb2.TapRecord(
            sequence=1, monotonic_ns=5, connection=1, stream=3, message=message(direction=message.TO_SERVER, payload=b"m" * 5000)
        ),
        tap_pb2.TapRecord(sequence=2, monotonic_ns=5, connection=1, stream=3, message=message(direction=message.TO_CLIENT)),
        tap_pb2.TapRecord(
            sequence=3,
            monotonic_ns=6,
            connection=1,
            stream=3,
            message=message(direction=message.TO_CLIENT, omitted=message.TOO_LARGE, omitted_length=7_000_000),
        ),
        tap_pb2.TapRecord(
            sequence=4, monotonic_ns=9, connection=1, stream=3, keep_alives=tap_pb2.KeepAlives(count=4, last_monotonic_ns=8)
        ),
        tap_pb2.TapRecord(
            sequence=5,
            monotonic_ns=9,
            connection=1,
            connection_closed=tap_pb2.ConnectionClosed(by=tap_pb2.ConnectionClosed.UPSTREAM, reset=True),
        ),
    ]


def test_what_the_ring_reads_back_is_what_was_written() -> None:
    raw: list[bytes] = []
    recorder = Recorder(raw.append)
    recorder.message(5, 1, 3, records.TO_CLIENT, b"payload")
    recorder.omitted(6, 1, 3, records.TO_CLIENT, records.TOO_LARGE, 7)
    recorder.keep_alives(9, 2, 5, 4, 8)
    together = b"".join(raw)
    first = records.read_head(together, 0)
    assert first[:5] == (1, 5, 1, 3, records.MESSAGE)
    assert records.payload_of(together, first) == (records.TO_CLIENT, b"payload")
    second = records.read_head(together, first.end)
    assert records.payload_of(together, second) == (records.TO_CLIENT, None)
    third = records.read_head(together, second.end)
    assert third[:5] == (3, 9, 2, 5, records.KEEP_ALIVES)
    assert records.keep_alives_at(together, third) == 8
    assert third.end == len(together)


def test_the_numbers_are_the_protos() -> None:
    for field in tap_pb2.TapRecord.DESCRIPTOR.oneofs_by_name["record"].fields:
        assert getattr(records, field.name.upper()) == field.number
    for enum, names in (
        (tap_pb2.Message.Direction, ("TO_SERVER", "TO_CLIENT")),
        (tap_pb2.Message.Omission, ("NOT_OMITTED", "TOO_LARGE", "UNKNOWN_ENCODING", "INFLATE_FAILED", "MALFORMED")),
        (tap_pb2.Blinded.Reason, ("TLS", "HTTP2", "HPACK", "OVERLOADED", "INTERNAL")),
    ):
        for name in names:
            assert getattr(records, name) == enum.Value(name)
    for name in ("CLIENT", "UPSTREAM", "TAP"):
        assert getattr(records, f"BY_{name}") == tap_pb2.ConnectionClosed.By.Value(name)

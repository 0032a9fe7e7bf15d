from __future__ import annotations

import base64
import gzip

import pytest

from gateway.config.types import TapLimits
from gateway.pb import longrunning_pb2, remote_execution_pb2
from gateway.tap import calls as module
from gateway.tap.records import ProcessTotals
from tests.tap import frames
from tests.tap.frames import CONNECT_WORKER, END_STREAM, EXECUTE, RESULT, WAIT, Peer, grpc
from tests.tap.reading import Wire, kinds, payloads

_KEEP_ALIVE = grpc(b"\x12\x00")
_METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin"


def _operation(output: bytes = b"") -> bytes:
    result = remote_execution_pb2.ActionResult(exit_code=1, stdout_raw=output, stderr_raw=output)
    response = remote_execution_pb2.ExecuteResponse(result=result)
    operation = longrunning_pb2.Operation(name="n", done=True)
    operation.response.Pack(response)
    return operation.SerializeToString()


def test_the_request_metadata_is_decoded_padded_or_not() -> None:
    wire, client = Wire(), Peer()
    metadata = remote_execution_pb2.RequestMetadata(action_id="ab").SerializeToString()
    padded = base64.b64encode(metadata).decode()
    assert padded.endswith("=")
    for stream, value in ((1, padded), (3, padded.rstrip("=")), (5, padded + ",c29tZXRoaW5n"), (7, "A"), (9, "")):
        wire.client(client.request(stream, EXECUTE, (_METADATA, value)))
    assert [record.stream_opened.request_metadata for record in wire.take()] == [metadata, metadata, metadata, b"", b""]


def test_the_request_metadata_of_peers_that_send_it_as_it_is() -> None:
    wire, client = Wire(), Peer()
    raw = remote_execution_pb2.RequestMetadata(action_id="a,b", target_id="//é").SerializeToString()
    block = client.encoder.encode([(b":path", EXECUTE.encode()), (_METADATA.encode(), b"\0" + raw)], huffman=False)
    wire.client(frames.frame(frames.HEADERS, frames.END_HEADERS, 1, block))
    assert [record.stream_opened.request_metadata for record in wire.take()] == [raw]


def test_values_that_are_too_long_are_not_kept() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, EXECUTE, (_METADATA, "A" * 7000), ("user-agent", "u")))
    (record,) = wire.take()
    assert len(record.stream_opened.request_metadata) == 5250
    wire.server(frames.settings([(5, 100_000)]))
    wire.client(client.request(3, EXECUTE, (_METADATA, "A" * 20_000), ("user-agent", "u" * 20_000)))
    (record,) = wire.take()
    assert record.stream_opened.request_metadata == b""
    assert len(record.stream_opened.user_agent) == 16 * 1024


def test_a_refused_call_is_opened_and_closed_with_its_message_percent_decoded() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, CONNECT_WORKER))
    wire.server(server.headers(1, [(":status", "200"), ("grpc-status", "3"), ("grpc-message", "a%20b%C3%A4%zz")], end=True))
    assert wire.said() == [
        {"stream_opened": {"method": CONNECT_WORKER}},
        {"stream_closed": {"grpc_status": 3, "message": "a bä%zz"}},
    ]


@pytest.mark.parametrize("status", ["", "x", "-1", "99999999999"])
def test_a_status_that_is_no_number_is_absent(status: str) -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE))
    wire.server(server.headers(1, [(":status", "200"), ("grpc-status", status)], end=True))
    assert wire.said()[-1] == {"stream_closed": {}}


def test_interim_headers_and_client_trailers_end_nothing() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE))
    wire.server(server.headers(1, [(":status", "103")]) + server.answer(1))
    wire.client(client.headers(1, [("x", "y")], end=True))
    wire.server(frames.data(1, grpc(b"m")))
    assert kinds(wire.take()) == ["stream_opened", "message"]


def _reset(stream: int) -> bytes:
    return frames.frame(frames.RST_STREAM, 0, stream, bytes(4))


_DRAIN = "/admin/scheduler/MAIN/set_drain_worker/w/1"


def test_admin_calls_over_http2_are_read_by_their_headers() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, _DRAIN, end=True) + client.request(3, _DRAIN.replace("w/1", "v/0")) + frames.data(3, b"body"))
    wire.server(server.headers(3, [(":status", "103")]) + server.headers(3, [(":status", "500"), ("content-length", "2")]))
    wire.server(frames.data(3, b"no", END_STREAM) + server.headers(1, [(":status", "200")], end=True))
    assert wire.said() == [
        {"admin_call": {"request": "POST /admin/scheduler/MAIN/set_drain_worker/v/0", "status": 500}},
        {"admin_call": {"request": f"POST {_DRAIN}", "status": 200}},
    ]


def test_an_admin_call_over_http2_that_grpc_answers_is_recorded_as_such() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, _DRAIN, end=True))
    wire.server(server.headers(1, [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", "12")], end=True))
    assert wire.said() == [{"admin_call": {"request": f"POST {_DRAIN}", "status": 200, "is_grpc": True}}]


def test_what_is_no_admin_call_or_was_not_answered_is_none() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.headers(1, [(":method", "GET"), (":path", _DRAIN)], end=True) + client.request(3, "/admin", end=True))
    wire.client(client.request(5, _DRAIN) + _reset(5) + client.request(7, _DRAIN) + client.request(9, _DRAIN))
    for stream in (1, 3, 5):
        wire.server(server.headers(stream, [(":status", "200")], end=True))
    wire.server(_reset(7) + server.headers(9, [(":status", "?")], end=True))
    assert wire.said() == []
    assert wire.decoder._holding.bytes == 0


def test_nothing_is_kept_of_admin_calls_on_a_connection_that_is_read_no_further() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, _DRAIN) + frames.frame(frames.HEADERS, frames.END_HEADERS, 3, b"\x80"))
    assert not wire.decoder.reads
    assert wire.decoder._calls._admin == {}


def test_of_admin_calls_that_wait_for_their_answers_some_are_kept() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, _DRAIN + "x" * module.MAX_ADMIN_BYTES))
    streams = range(3, 3 + 2 * (module.MAX_ADMIN_CALLS + 1), 2)
    for stream in streams:
        wire.client(client.request(stream, _DRAIN))
    for stream in (1, *streams):
        wire.server(server.headers(stream, [(":status", "200")], end=True))
    assert kinds(wire.take()) == ["admin_call"] * module.MAX_ADMIN_CALLS


def test_compressed_messages_are_inflated_with_the_directions_encoding() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE, ("grpc-encoding", "gzip")) + frames.data(1, grpc(gzip.compress(b"up"), 1)))
    wire.server(server.answer(1, ("grpc-encoding", "deflate")) + frames.data(1, grpc(b"\x18\x01")))
    wire.server(frames.data(1, grpc(gzip.compress(b"wrong"), 1)))
    up, plain, wrong = wire.take()[1:]
    assert (up.message.payload, plain.message.payload) == (b"up", b"\x18\x01")
    assert wrong.message.omitted == wrong.message.INFLATE_FAILED
    assert wrong.message.omitted_length == len(gzip.compress(b"wrong"))


def test_an_encoding_that_was_not_named_is_unknown() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, EXECUTE) + frames.data(1, grpc(b"?", 1)))
    assert wire.said()[-1] == {"message": {"direction": "TO_SERVER", "omitted": "UNKNOWN_ENCODING", "omitted_length": "1"}}


def test_messages_over_the_limit_are_told_by_their_length() -> None:
    wire, client = Wire(TapLimits(message_bytes=1000)), Peer()
    wire.client(client.request(1, EXECUTE, ("grpc-encoding", "gzip")))
    wire.client(
        frames.data(1, grpc(bytes(1000))) + frames.data(1, grpc(bytes(1001))) + frames.data(1, grpc(gzip.compress(bytes(1001)), 1))
    )
    fits, too_large, bomb = wire.take()[1:]
    assert len(fits.message.payload) == 1000
    assert (too_large.message.omitted, too_large.message.omitted_length) == (too_large.message.TOO_LARGE, 1001)
    assert (bomb.message.omitted, bomb.message.omitted_length) == (bomb.message.TOO_LARGE, len(gzip.compress(bytes(1001))))


def test_outputs_never_leave_the_tap() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    for stream, path in ((1, EXECUTE), (3, WAIT)):
        wire.client(client.request(stream, path))
        wire.server(server.answer(stream) + frames.data(stream, grpc(_operation(b"SECRET"))))
    assert payloads(wire.take()) == [_operation(), _operation()]


def test_an_answer_that_does_not_parse_is_omitted() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE))
    wire.server(server.answer(1) + frames.data(1, grpc(b"\x0f")))
    assert wire.said()[-1] == {"message": {"direction": "TO_CLIENT", "omitted": "MALFORMED", "omitted_length": "1"}}


def test_the_older_releases_result_is_redacted_and_its_keep_alives_are_messages() -> None:
    wire, client = Wire(), Peer()
    keep_alive = RESULT.replace("ExecutionResponse", "KeepAlive")
    wire.client(client.request(1, RESULT) + frames.data(1, grpc(b"\x22\x05\x0a\x03\x2a\x01S"), END_STREAM))
    wire.client(client.request(3, keep_alive) + frames.data(3, grpc(b"\x0a\x01w"), END_STREAM))
    assert payloads(wire.take()) == [b"\x22\x02\x0a\x00", b"\x0a\x01w"]


def test_a_keep_alive_is_recorded_at_once_and_those_within_a_second_of_it_with_the_next_tick() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, CONNECT_WORKER) + frames.data(1, grpc(b"\x0a\x00")))
    wire.take()
    wire.client(frames.data(1, _KEEP_ALIVE))
    (at_once,) = wire.take()
    assert (at_once.monotonic_ns, at_once.keep_alives.last_monotonic_ns, at_once.keep_alives.count) == (wire.now, wire.now, 1)
    wire.client(frames.data(1, _KEEP_ALIVE))
    wire.client(frames.data(1, _KEEP_ALIVE))
    last = wire.now
    assert wire.take() == []
    wire.journal.tick(99)
    kept, tick = wire.take()
    assert (kept.connection, kept.stream, kept.monotonic_ns) == (1, 1, 99)
    assert (kept.keep_alives.count, kept.keep_alives.last_monotonic_ns) == (2, last)
    assert tick.HasField("tick")
    wire.journal.tick(100)
    assert kinds(wire.take()) == ["tick"]
    wire.now = 10**9 + 99
    wire.client(frames.data(1, _KEEP_ALIVE))
    assert kinds(wire.take()) == ["keep_alives"]


def test_keep_alives_come_before_the_end_of_their_stream() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, CONNECT_WORKER) + frames.data(1, grpc(b"\x0a\x00")) + frames.data(1, _KEEP_ALIVE) * 2)
    wire.server(server.trailers(1))
    assert kinds(wire.take())[2:] == ["keep_alives", "keep_alives", "stream_closed"]
    wire.journal.tick(99)
    assert kinds(wire.take()) == ["tick"]


def test_only_what_is_exactly_a_workers_keep_alive_is_coalesced() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    # The first message of a stream, a keep-alive with contents, the scheduler's own, and another method's bytes.
    wire.client(client.request(1, CONNECT_WORKER) + frames.data(1, _KEEP_ALIVE) + frames.data(1, grpc(b"\x12\x02\x0a\x00")))
    wire.server(server.answer(1) + frames.data(1, _KEEP_ALIVE))
    wire.client(client.request(3, EXECUTE) + frames.data(3, grpc(b"\x0a\x00")) + frames.data(3, _KEEP_ALIVE))
    assert len(payloads(wire.take())) == 5


def test_a_connection_that_ends_closes_its_calls_first() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, EXECUTE) + client.request(3, EXECUTE))
    wire.take()
    wire.decoder.closed(50, 2, reset=True)
    assert wire.said() == [{"stream_closed": {}}, {"stream_closed": {}}, {"connection_closed": {"by": "UPSTREAM", "reset": True}}]


def test_what_comes_after_the_end_of_a_call_is_stepped_over() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE) + frames.data(1, grpc(b"x" * 50))[:30])
    wire.server(server.trailers(1))
    wire.client(frames.data(1, grpc(b"x" * 50))[30:] + frames.data(1, grpc(b"late")) + client.headers(1, [("a", "b")], end=True))
    assert kinds(wire.take()) == ["stream_opened", "stream_closed"]
    wire.client(client.request(3, EXECUTE))
    assert kinds(wire.take()) == ["stream_opened"]


def test_open_calls_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_OPEN_CALLS", 2)
    wire, client = Wire(), Peer()
    wire.client(b"".join(client.request(stream, EXECUTE) for stream in (1, 3, 5)))
    assert kinds(wire.take()) == ["stream_opened", "stream_opened", "blinded"]
    # What is open is still told to be over, and makes room.
    wire.decoder.closed(50, 1, reset=False)
    assert kinds(wire.take()) == ["stream_closed", "stream_closed", "connection_closed"]


def test_totals_count_messages_and_the_tapped_bytes() -> None:
    wire, client = Wire(), Peer()
    wire.client(
        client.request(1, EXECUTE)
        + frames.data(1, grpc(b"12345"), padding=4)
        + client.request(3, frames.READ)
        + frames.data(3, b"?")
    )
    wire.take()
    wire.journal.tick(9, ProcessTotals(ring_bytes=5, undecoded_bytes=6))
    (record,) = wire.take()
    execution = record.tick.listeners[0]
    assert (execution.messages, execution.tapped_bytes, execution.streams) == (1, 10, 1)
    assert (record.tick.ring_bytes, record.tick.undecoded_bytes) == (5, 6)

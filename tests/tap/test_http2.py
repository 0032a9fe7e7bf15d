from __future__ import annotations

import tracemalloc

import pytest

from tests.tap import frames
from tests.tap.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    EXECUTE,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    READ,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    Peer,
    frame,
    grpc,
    settings,
)
from tests.tap.reading import Wire, kinds, payloads


def _blinded(wire: Wire) -> str:
    (record,) = wire.take()
    assert record.HasField("blinded"), record
    return f"{record.blinded.Reason.Name(record.blinded.reason)}: {record.blinded.detail}"


def test_a_call_is_opened_has_messages_both_ways_and_is_closed_by_trailers() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE, ("user-agent", "bazel")) + frames.data(1, grpc(b"request"), END_STREAM))
    wire.server(server.answer(1) + frames.data(1, grpc(b"\x0a\x01n") + grpc(b"\x18\x01")) + server.trailers(1))
    assert wire.said() == [
        {"stream_opened": {"method": EXECUTE, "user_agent": "bazel"}},
        {"message": {"direction": "TO_SERVER", "payload": "cmVxdWVzdA=="}},
        {"message": {"direction": "TO_CLIENT", "payload": "CgFu"}},
        {"message": {"direction": "TO_CLIENT", "payload": "GAE="}},
        {"stream_closed": {"grpc_status": 0}},
    ]


def test_a_message_may_span_frames_and_frames_may_hold_several_messages() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, EXECUTE))
    whole = grpc(b"a" * 30) + grpc(b"") + grpc(b"b")
    for byte in whole:
        wire.client(frames.data(1, bytes((byte,))))
    assert payloads(wire.take()) == [b"a" * 30, b"", b"b"]


def test_padding_is_stepped_over() -> None:
    wire, client = Wire(), Peer()
    request = client.request(1, EXECUTE)
    block = request[9:]
    wire.client(frame(HEADERS, END_HEADERS | PADDED, 1, bytes((7,)) + block + bytes(7)))
    wire.client(frames.data(1, grpc(b"message"), padding=0))
    for byte in frames.data(1, grpc(b"piece by piece"), padding=255) + frames.data(1, b"", padding=3):
        wire.client(bytes((byte,)))
    assert payloads(wire.take()) == [b"message", b"piece by piece"]


def test_priority_and_continuation_belong_to_the_header_block() -> None:
    wire, client = Wire(), Peer()
    block = client.request(3, EXECUTE, end=True)[9:]
    wire.client(frame(PRIORITY, 0, 5, bytes(5)) + frame(HEADERS, HAS_PRIORITY | END_STREAM, 3, bytes(5) + block[:10]))
    wire.client(
        frame(CONTINUATION, 0, 3, block[10:20]) + frame(CONTINUATION, 0, 3) + frame(CONTINUATION, END_HEADERS, 3, block[20:])
    )
    assert kinds(wire.take()) == ["stream_opened"]


def test_end_stream_is_a_flag_of_headers_and_not_of_continuation() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE) + client.request(3, EXECUTE))
    first, second = server.trailers(1)[9:], server.trailers(3)[9:]
    wire.server(frame(HEADERS, 0, 1, first[:1]) + frame(CONTINUATION, END_HEADERS | END_STREAM, 1, first[1:]))
    wire.server(frame(HEADERS, END_STREAM, 3, second[:1]) + frame(CONTINUATION, END_HEADERS, 3, second[1:]))
    closed = [record.stream for record in wire.take() if record.HasField("stream_closed")]
    assert closed == [3]


def test_a_push_is_decoded_for_the_tables_sake() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE))
    pushed = server.headers(1, [("grpc-message", "indexed"), (":path", EXECUTE)])[9:]
    wire.server(frame(PUSH_PROMISE, END_HEADERS | PADDED, 1, bytes((2,)) + (2).to_bytes(4, "big") + pushed + bytes(2)))
    wire.server(server.trailers(1, 3, ("grpc-message", "indexed")))
    assert wire.said()[-1] == {"stream_closed": {"grpc_status": 3, "message": "indexed"}}


def test_data_of_other_calls_is_stepped_over_and_their_headers_are_decoded() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(settings([(5, 2**24 - 1)]))
    wire.client(client.request(1, READ, ("user-agent", "indexed")) + frames.data(1, bytes(9999), END_STREAM))
    wire.server(server.answer(1) + frames.data(1, b"\xff" * 1_000_000) + server.trailers(1, 5, ("grpc-message", "indexed")))
    assert wire.take() == []
    wire.client(client.request(3, EXECUTE, ("user-agent", "indexed")))
    wire.server(server.trailers(3, 5, ("grpc-message", "indexed")))
    assert wire.said() == [
        {"stream_opened": {"method": EXECUTE, "user_agent": "indexed"}},
        {"stream_closed": {"grpc_status": 5, "message": "indexed"}},
    ]


def test_a_reset_says_who_and_why() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, EXECUTE) + client.request(3, EXECUTE) + frame(RST_STREAM, 0, 1, (8).to_bytes(4, "big")))
    wire.server(frame(RST_STREAM, 0, 3, (0).to_bytes(4, "big")) + frame(RST_STREAM, 0, 1, bytes(4)))
    assert wire.said()[2:] == [
        {"stream_closed": {"reset": 8, "reset_direction": "TO_SERVER"}},
        {"stream_closed": {"reset": 0, "reset_direction": "TO_CLIENT"}},
    ]


def test_goaway_of_the_server_closes_what_it_will_not_answer() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, EXECUTE) + client.request(3, EXECUTE))
    wire.client(frame(GOAWAY, 0, 0, bytes(8)))
    wire.server(frame(GOAWAY, 0, 0, (2**31 - 1).to_bytes(4, "big") + bytes(4)))
    assert kinds(wire.take()) == ["stream_opened", "stream_opened"]
    wire.server(frame(GOAWAY, 0, 0, (1).to_bytes(4, "big") + bytes(4) + b"debug"))
    (closed,) = wire.take()
    assert (closed.stream, closed.stream_closed.HasField("grpc_status")) == (3, False)


def test_end_stream_of_the_server_without_trailers_closes_without_a_status() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.client(client.request(1, EXECUTE) + client.request(3, EXECUTE))
    wire.server(server.answer(1) + frames.data(1, grpc(b"m"), END_STREAM) + server.answer(3) + frames.data(3, b"", END_STREAM))
    assert [told for told in wire.said() if "stream_closed" in told] == [{"stream_closed": {}}, {"stream_closed": {}}]


def test_the_other_sides_table_size_is_used() -> None:
    wire, client, server = Wire(), Peer(), Peer()
    wire.server(settings([(1, 100_000)]))
    wire.client(SETTINGS_ACK)
    client.encoder.header_table_size = 100_000
    long_value = ("user-agent", "x" * 6000)
    wire.client(client.request(1, EXECUTE, long_value) + client.request(3, EXECUTE, long_value))
    assert kinds(wire.take()) == ["stream_opened", "stream_opened"]
    # The client did not announce a larger table to the server.
    server.encoder.header_table_size = 100_000
    wire.server(server.answer(1))
    assert _blinded(wire).startswith("HPACK: a table of 100000 bytes")


def test_frames_of_up_to_16_mib_are_read_once_they_are_announced() -> None:
    wire, client = Wire(), Peer()
    wire.server(settings([(5, 2**24 - 1)]))
    wire.client(client.request(1, EXECUTE) + frames.data(1, grpc(bytes(3_000_000))))
    assert [len(payload) for payload in payloads(wire.take())] == [3_000_000]


def test_the_frame_size_only_ever_grows() -> None:
    wire, client = Wire(), Peer()
    wire.server(settings([(5, 2**20)]) + settings([(5, 2**14)]))
    wire.client(client.request(1, EXECUTE) + frames.data(1, grpc(bytes(100_000))))
    assert len(payloads(wire.take())) == 1


def test_frames_that_change_nothing_are_stepped_over() -> None:
    wire = Wire()
    wire.client(
        frame(PING, 0, 0, bytes(8))
        + frame(WINDOW_UPDATE, 0, 7, bytes(4))
        + frame(PRIORITY, 0, 9, bytes(5))
        + frame(0xEE, 9, 4, b"?")
    )
    assert wire.take() == []
    assert wire.decoder.reads


@pytest.mark.parametrize(
    "bad",
    [
        frame(DATA),
        frame(HEADERS, END_HEADERS),
        frame(RST_STREAM, 0, 1, bytes(3)),
        frame(RST_STREAM, 0, 0, bytes(4)),
        frame(SETTINGS, 0, 0, bytes(5)),
        frame(SETTINGS, 0, 1, bytes(6)),
        frame(SETTINGS, frames.ACK, 0, bytes(6)),
        frame(PING, 0, 0, bytes(7)),
        frame(PING, 0, 1, bytes(8)),
        frame(WINDOW_UPDATE, 0, 0, bytes(5)),
        frame(GOAWAY, 0, 0, bytes(7)),
        frame(GOAWAY, 0, 1, bytes(8)),
        frame(CONTINUATION, END_HEADERS, 1),
        frame(HEADERS, 0, 1) + frame(DATA, 0, 1),
        frame(HEADERS, 0, 1) + frame(CONTINUATION, END_HEADERS, 3),
        frame(HEADERS, END_HEADERS | PADDED, 1, b"\x05abc"),
        frame(HEADERS, END_HEADERS | PADDED, 1, b""),
        frame(0xEE, 0, 1, bytes(16_385)),
    ],
)
def test_what_rfc_9113_forbids_blinds_the_connection(bad: bytes) -> None:
    wire = Wire()
    wire.client(bad)
    assert _blinded(wire).startswith("HTTP2: ")
    wire.client(Peer().request(1, EXECUTE))
    wire.server(bytes(100))
    assert wire.take() == []


def test_too_much_padding_of_a_tapped_call_blinds_the_connection() -> None:
    wire = Wire()
    wire.client(Peer().request(1, EXECUTE) + frame(DATA, PADDED, 1, b"\x09abc"))
    assert kinds(wire.take()) == ["stream_opened", "blinded"]


def test_the_first_frame_must_be_settings() -> None:
    wire = Wire(http2=False)
    wire.client(PREFACE + frame(PING, 0, 0, bytes(8)))
    assert _blinded(wire) == "HTTP2: the first frame is not SETTINGS"


def test_a_damaged_header_block_blinds_the_connection() -> None:
    wire = Wire()
    wire.client(frame(HEADERS, END_HEADERS, 1, b"\xff\xff"))
    assert _blinded(wire).startswith("HPACK: ")


def test_a_header_block_without_end_is_bounded() -> None:
    wire = Wire()
    wire.client(frame(HEADERS, 0, 1, bytes(16_000)))
    for _ in range(20):
        wire.client(frame(CONTINUATION, 0, 1, bytes(16_000)))
    assert _blinded(wire).startswith("HPACK: a header block of more than")


def test_a_frame_that_is_read_as_a_whole_is_bounded() -> None:
    wire = Wire()
    wire.client(settings([(5, 2**24 - 1)]))
    wire.server(frame(GOAWAY, 0, 0, bytes(2**20)))
    assert _blinded(wire).startswith("HTTP2: a frame of type 7")


def test_settings_without_acknowledgement_are_bounded() -> None:
    wire = Wire()
    for _ in range(5):
        wire.server(settings() * 1000)
    assert _blinded(wire) == "HTTP2: SETTINGS are not acknowledged"


def test_a_slice_of_work_is_bounded() -> None:
    wire = Wire()
    wire.decoder.feed(2, 1, frame(PING, 0, 0, bytes(8)) * 10_000)
    slices = 1
    while not wire.decoder.work():
        slices += 1
    assert slices > 10


def _calls_one_after_the_other(count: int) -> None:
    """Calls on one connection, each with headers that no other has; nothing is left of any of them."""
    wire, client, server = Wire(), Peer(), Peer()
    opened = 0
    for number in range(count):
        stream = 2 * number + 1
        wire.client(
            client.request(stream, EXECUTE, ("x-action", str(number))) + frames.data(stream, grpc(b"\x0a\x01n"), frames.END_STREAM)
        )
        wire.server(server.answer(stream) + frames.data(stream, grpc(b"\x0a\x01n")) + server.trailers(stream))
        if number % 1_000 == 999:
            opened += sum(record.HasField("stream_opened") for record in wire.take())
            assert wire.decoder._calls.open == {}
            assert wire.decoder._calls._shared.open_calls == 0
            wire.journal.tick(wire.now)
            assert wire.take()[-1].tick.undecoded_bytes == 0
    assert opened == count
    wire.journal.tick(wire.now)
    assert wire.take()[-1].tick.listeners[0].streams == count


def test_thousands_of_calls_on_one_connection_leave_nothing_behind() -> None:
    _calls_one_after_the_other(3_000)


@pytest.mark.long
def test_a_hundred_thousand_calls_on_one_connection_leave_nothing_behind() -> None:
    tracemalloc.start()
    try:
        _calls_one_after_the_other(10_000)
        before, _ = tracemalloc.get_traced_memory()
        _calls_one_after_the_other(100_000)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000

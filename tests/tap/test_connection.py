from __future__ import annotations

import base64
import logging
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.types import TapLimits
from gateway.tap.calls import Calls
from gateway.tap.records import TO_CLIENT, TO_SERVER
from tests.tap import frames
from tests.tap.frames import EXECUTE, PREFACE, Peer, grpc, settings
from tests.tap.reading import Wire, kinds, payloads

_DRAIN = b"POST /admin/scheduler/MAIN/set_drain_worker/w/1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"


def _totals(wire: Wire) -> Any:
    wire.journal.tick(10**9)
    return wire.take()[-1].tick.listeners[0]


def test_the_server_may_speak_first() -> None:
    wire, client = Wire(http2=False), Peer()
    wire.server(settings([(1, 0)]))
    wire.client(PREFACE + settings() + frames.SETTINGS_ACK)
    client.encoder.header_table_size = 0
    wire.client(client.request(1, EXECUTE))
    assert kinds(wire.take()) == ["stream_opened"]


def test_first_bytes_may_come_one_by_one() -> None:
    wire = Wire(http2=False)
    for byte in PREFACE + settings() + Peer().request(1, EXECUTE):
        wire.client(bytes((byte,)))
    assert kinds(wire.take()) == ["stream_opened"]


@pytest.mark.parametrize("first", [b"\x16\x03\x01\x02\x00", b"\x16\x03"])
def test_tls_blinds_the_connection_and_says_so_once(first: bytes, caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(http2=False)
    with caplog.at_level(logging.WARNING):
        for byte in first:
            wire.client(bytes((byte,)))
        wire.client(bytes(50))
        wire.server(bytes(50))
    (record,) = wire.take()
    assert record.blinded.reason == record.blinded.TLS
    assert len(caplog.records) == 1
    assert "10.0.0.1:5" in caplog.text
    assert _totals(wire).blind_connections == 1
    wire.decoder.closed(9, 1, reset=False)
    wire.take()
    assert _totals(wire).blind_connections == 0


@pytest.mark.parametrize("first", [b"hello", b"\x00\x01", b"\x16\x04", b"GETHTTP1", b"GET\n", b"get / HTTP/1.1"])
def test_anything_else_is_nothing_special(first: bytes) -> None:
    wire = Wire(http2=False)
    wire.client(first)
    assert not wire.decoder.reads
    assert wire.take() == []
    assert _totals(wire).blind_connections == 0


def test_a_damaged_preface_blinds_the_connection() -> None:
    wire = Wire(http2=False)
    wire.client(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
    (record,) = wire.take()
    assert record.blinded.reason == record.blinded.HTTP2


def test_an_answer_in_http1_to_a_preface_blinds_the_connection() -> None:
    wire = Wire(http2=False)
    wire.client(PREFACE + settings())
    wire.server(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    assert kinds(wire.take()) == ["blinded"]


def test_a_server_that_says_much_before_its_client_is_not_read() -> None:
    wire = Wire(http2=False)
    wire.server(bytes(40_000))
    wire.server(bytes(40_000))
    assert not wire.decoder.reads
    assert wire.take() == []


def test_admin_calls_are_read() -> None:
    wire = Wire(http2=False)
    wire.client(_DRAIN)
    wire.server(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
    assert wire.said() == [{"admin_call": {"request": "POST /admin/scheduler/MAIN/set_drain_worker/w/1", "status": 200}}]


def test_an_admin_call_that_grpc_answers_is_recorded_as_such() -> None:
    wire = Wire(http2=False)
    wire.client(_DRAIN)
    wire.server(b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 12\r\ncontent-length: 0\r\n\r\n")
    request = "POST /admin/scheduler/MAIN/set_drain_worker/w/1"
    assert wire.said() == [{"admin_call": {"request": request, "status": 200, "is_grpc": True}}]


def test_an_admin_call_may_be_answered_before_its_first_bytes_are_decided() -> None:
    wire = Wire(http2=False)
    wire.client(_DRAIN[:1])
    wire.server(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")
    wire.client(_DRAIN[1:])
    assert kinds(wire.take()) == ["admin_call"]


def test_http1_that_is_not_understood_is_nothing_special() -> None:
    wire = Wire(http2=False)
    wire.client(b"GET / HTTP/1.1\r\n\r\n")
    wire.server(b"what\r\n\r\n")
    assert not wire.decoder.reads
    assert wire.take() == []


def _upgrade(header_settings: bytes) -> bytes:
    encoded = base64.urlsafe_b64encode(header_settings).rstrip(b"=")
    return b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: " + encoded + b"\r\n\r\n"


@pytest.mark.parametrize("together", [True, False])
def test_after_an_upgrade_it_is_http2(together: bool) -> None:
    wire, client, server = Wire(http2=False), Peer(), Peer()
    server.encoder.header_table_size = 8192
    request = _upgrade(settings([(1, 8192)])[9:])
    answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n" + settings() + server.answer(1)
    rest = PREFACE + settings() + client.request(3, EXECUTE) + frames.data(3, grpc(b"m"))
    if together:
        wire.client(request + rest)
        wire.server(answer)
    else:
        wire.client(request)
        wire.server(answer)
        for byte in rest:
            wire.client(bytes((byte,)))
    wire.server(server.trailers(3, 4))
    assert kinds(wire.take()) == ["stream_opened", "message", "stream_closed"]


def test_an_upgrade_to_something_else_is_nothing_special() -> None:
    wire = Wire(http2=False)
    wire.client(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    wire.server(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n")
    assert not wire.decoder.reads
    assert wire.take() == []


def test_an_upgrade_without_a_preface_or_with_damaged_settings_blinds_the_connection() -> None:
    for request, rest in ((_upgrade(b""), b"GET / HTTP/1.1"), (_upgrade(b"").replace(b"Settings: ", b"Settings: a"), b"")):
        wire = Wire(http2=False)
        wire.client(request)
        wire.server(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
        wire.client(rest)
        assert kinds(wire.take()) == ["blinded"]


def test_a_frame_that_is_cut_off_by_fin_blinds_the_connection() -> None:
    wire = Wire()
    wire.client(frames.data(5, bytes(100))[:50])
    wire.decoder.eof(9, TO_CLIENT)
    assert wire.take() == []
    wire.decoder.eof(9, TO_SERVER)
    (record,) = wire.take()
    assert record.blinded.reason == record.blinded.HTTP2


def test_a_defect_of_the_decoder_blinds_the_connection_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("defect")

    monkeypatch.setattr(Calls, "headers", fail)
    wire = Wire()
    wire.client(Peer().request(1, EXECUTE))
    (record,) = wire.take()
    assert (record.blinded.reason, record.blinded.detail) == (record.blinded.INTERNAL, "RuntimeError")
    assert "defect" in caplog.text
    wire.client(Peer().request(3, EXECUTE))
    assert wire.take() == []


def test_who_holds_most_of_what_is_not_complete_gives_way() -> None:
    limits = TapLimits(undecoded_bytes=100_000)
    wire = Wire(limits)
    other = wire.journal.connection(2, "execution", "10.0.0.2:5")
    other.opened(1)

    def feed(data: bytes) -> None:
        other.feed(5, TO_SERVER, data)
        while not other.work():
            pass

    feed(PREFACE + settings() + Peer().request(1, EXECUTE))
    wire.client(Peer().request(1, EXECUTE))
    begun = grpc(bytes(200_000))
    for pos in range(0, 96_000, 16_000):
        feed(frames.data(1, begun[pos : pos + 16_000]))
    wire.take()
    wire.client(frames.data(1, begun[:10_000]))
    (blinded,) = wire.take()
    assert (blinded.connection, blinded.blinded.reason) == (2, blinded.blinded.OVERLOADED)
    for pos in range(10_000, 130_000, 16_000):
        wire.client(frames.data(1, begun[pos : pos + 16_000]))
    (blinded,) = wire.take()
    assert blinded.connection == 1
    wire.journal.tick(9)
    (tick,) = wire.take()
    assert tick.tick.undecoded_bytes == 0


def test_what_is_held_is_given_back_when_the_connection_ends() -> None:
    wire, client = Wire(), Peer()
    wire.client(client.request(1, EXECUTE) + frames.data(1, grpc(bytes(500))[:100]) + frames.frame(frames.HEADERS, 0, 3, b"abc"))
    wire.server(frames.data(1, b"", padding=3)[:8])
    wire.journal.tick(9)
    assert wire.take()[-1].tick.undecoded_bytes == 95 + 3 + 8
    wire.decoder.closed(9, 1, reset=False)
    wire.journal.tick(9)
    assert wire.take()[-1].tick.undecoded_bytes == 0


def _conversation() -> list[tuple[bool, bytes]]:
    client, server = Peer(), Peer()
    said: list[tuple[bool, bytes]] = [(True, PREFACE + settings([(1, 8192)])), (False, settings() + frames.SETTINGS_ACK)]
    for stream in range(1, 30, 2):
        path = EXECUTE if stream % 3 else frames.READ
        said.append(
            (True, client.request(stream, path, ("x", str(stream))) + frames.data(stream, grpc(b"r" * stream), padding=stream))
        )
        said.append((False, server.answer(stream) + frames.data(stream, grpc(b"\x0a\x01n")) + server.trailers(stream)))
    return said


def test_random_cuts_give_the_same_records() -> None:
    whole = Wire(http2=False)
    for is_client, data in _conversation():
        (whole.client if is_client else whole.server)(data)
    expected = whole.said()
    assert len(expected) > 30
    for seed in range(30):
        chance = random.Random(seed)
        wire = Wire(http2=False)
        for is_client, data in _conversation():
            left = data
            while left:
                size = chance.choice((1, 2, 5, 9, 50, 1000))
                (wire.client if is_client else wire.server)(left[:size])
                left = left[size:]
        assert wire.said() == expected


@given(st.data())
def test_damaged_bytes_never_raise_and_never_stop_the_reading_of_others(data: st.DataObject) -> None:
    wire = Wire(http2=False)
    for is_client, said in _conversation()[: data.draw(st.integers(1, 8))]:
        damaged = bytearray(said)
        for _ in range(data.draw(st.integers(0, 3))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        (wire.client if is_client else wire.server)(bytes(damaged))
    records = wire.take()
    assert sum(record.HasField("blinded") for record in records) <= 1
    assert all(record.blinded.reason != record.blinded.INTERNAL for record in records)
    wire.decoder.closed(10**6, 1, reset=False)
    wire.journal.tick(10**6)
    assert wire.take()[-1].tick.undecoded_bytes == 0


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=300)), max_size=8), st.booleans())
def test_any_bytes_never_raise(said: list[tuple[bool, bytes]], http2: bool) -> None:
    wire = Wire(http2=http2)
    for is_client, data in said:
        (wire.client if is_client else wire.server)(data)
    wire.decoder.eof(99, TO_SERVER)
    wire.decoder.closed(99, 1, reset=False)
    records = wire.take()
    assert all(record.blinded.reason != record.blinded.INTERNAL for record in records)
    assert payloads(records) == []
    wire.journal.tick(10**6)
    assert wire.take()[-1].tick.undecoded_bytes == 0


def test_what_is_kept_of_http1_is_counted_and_given_back() -> None:
    wire = Wire(http2=False)
    wire.client(b"GET /" + b"x" * 995)
    wire.journal.tick(5)
    assert wire.take()[-1].tick.undecoded_bytes == 1000
    wire.client(b" HTTP/1.1\r\n\r\nGET /")
    wire.journal.tick(5)
    # The target and the method of the first, and the beginning of another.
    assert wire.take()[-1].tick.undecoded_bytes == 999 + 5
    wire.server(b"HTTP/1.1 204 No Content\r\n\r\n")
    wire.journal.tick(5)
    assert wire.take()[-1].tick.undecoded_bytes == 5
    wire.client(_upgrade(b"")[5:])
    wire.server(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + settings())
    wire.client(PREFACE + settings())
    wire.journal.tick(5)
    assert wire.decoder.reads
    assert wire.take()[-1].tick.undecoded_bytes == 0

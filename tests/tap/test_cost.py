"""What a hostile peer can make the decoder do: work is counted in calls of functions, Python's and C's, per byte of the wire.

Limits, whatever is said and however it is cut: CALLS_PER_BYTE calls for each byte and CALLS_PER_CHUNK for each chunk, no more for
the four-thousandth byte than for the first; SLICE_CALLS between two turns of the loop; what is kept is in `undecoded_bytes`.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, Self

import pytest
import zstandard

from gateway.config.types import TapLimits
from gateway.tap.inflate import MAX_RATIO
from gateway.tap.records import TO_CLIENT, TO_SERVER
from tests.tap import frames
from tests.tap.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    EXECUTE,
    GOAWAY,
    HEADERS,
    PING,
    RST_STREAM,
    SETTINGS_ACK,
    WAIT,
    Peer,
    frame,
    grpc,
    settings,
)
from tests.tap.reading import Wire

#: A one-byte field of a header block, or a frame of nine bytes; a bare line end of HTTP/1 is the dearest.
CALLS_PER_BYTE = 12
CALLS_PER_CHUNK = 30
#: Some milliseconds.
SLICE_CALLS = 45_000

#: Who says it, and what; one chunk each.
Said = Iterable[tuple[int, bytes]]


class _Counter:
    """Counts calls while it is on."""

    def __init__(self) -> None:
        self.calls = 0

    def _called(self, _frame: Any, event: str, _argument: Any) -> None:
        if event in {"call", "c_call"}:
            self.calls += 1

    def __enter__(self) -> Self:
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


class _Cost:
    """Of one connection that says something."""

    def __init__(self, said: Said, *, http2: bool = True) -> None:
        self.wire = Wire(http2=http2)
        self.bytes = self.chunks = self.calls = self.longest_slice = 0
        for now, (direction, data) in enumerate(said, 10):
            self.bytes += len(data)
            self.chunks += 1
            self._slice(lambda now=now, direction=direction, data=data: self.wire.decoder.feed(now, direction, data))  # type: ignore[misc]
            while not self._slice(self.wire.decoder.work):
                pass
        self.records = self.wire.take()

    def _slice(self, does: Callable[[], Any]) -> Any:
        with _Counter() as counter:
            done = does()
        self.calls += counter.calls
        self.longest_slice = max(self.longest_slice, counter.calls)
        return done

    @property
    def undecoded(self) -> int:
        self.wire.journal.tick(10**9)
        return self.wire.take()[-1].tick.undecoded_bytes


def _cut(data: bytes, size: int = 1, direction: int = TO_SERVER) -> Said:
    return ((direction, data[pos : pos + size]) for pos in range(0, len(data), size))


def _block(size: int) -> bytes:
    """A header block of about so many bytes that is within the limits: a few long values that are stepped over."""
    value = b"\x7f\x80\x7d" + bytes(16_383 - 127 + 128)
    return b"".join(b"\x00\x01x" + value[:3] + bytes(16_383) for _ in range(max(1, size // 16_400)))


def _large_frames_byte_by_byte(size: int) -> Said:
    return _cut(settings([(9, 9)] * 2500) * (size // 15_000))


def _one_large_message_byte_by_byte(size: int) -> Said:
    whole = grpc(bytes(size))
    pieces = b"".join(frames.data(1, whole[pos : pos + 10_000]) for pos in range(0, len(whole), 10_000))
    return _cut(Peer().request(1, EXECUTE) + pieces)


def _one_byte_of_data_a_frame(size: int) -> Said:
    return _cut(Peer().request(1, EXECUTE) + b"".join(frames.data(1, b"\0") for _ in range(size // 10)), 65_536)


def _one_byte_continuations(size: int) -> Said:
    block = _block(size // 10)[: size // 10]
    return _cut(
        frame(HEADERS, 0, 1) + b"".join(frame(CONTINUATION, 0, 1, block[pos : pos + 1]) for pos in range(len(block))), 65_536
    )


def _empty_continuations(size: int) -> Said:
    return _cut(frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * (size // 9), 65_536)


def _one_byte_fields(size: int) -> Said:
    return _cut(frame(HEADERS, END_HEADERS, 1, b"\x82" * 4000) * (size // 4000), 65_536)


def _table_size_updates(size: int) -> Said:
    both = [settings([(1, value)]) for value in (8192, 100) * 100]
    announced = [(TO_CLIENT, b"".join(both))]
    # Each is larger than what was acknowledged, so what is announced has to be looked at.
    updates = frame(HEADERS, END_HEADERS, 1, b"\x3f\xe1\x3f\x20" * 900 + b"\x3f\x45") * (size // 3600)
    return [*announced, *_cut(updates, 65_536)]


def _references_to_a_long_value(size: int) -> Said:
    client = Peer()
    long = ("user-agent", "x" * 3800)
    first = client.request(1, EXECUTE, long)
    return [(TO_SERVER, first), *_cut(b"".join(client.request(n, EXECUTE, long) for n in range(3, size // 8, 2)), 65_536)]


def _admin_calls_with_a_long_path(size: int) -> Said:
    client, server = Peer(), Peer()
    for stream in range(1, size // 20, 2):
        yield TO_SERVER, client.request(stream, "/set_drain_worker/" + "x" * 3800)
        yield TO_CLIENT, server.headers(stream, [(":status", "200")], end=True)


def _empty_data(size: int) -> Said:
    client = Peer()
    return _cut(client.request(1, EXECUTE) + (frame(DATA, 0, 1) + frame(DATA, 0, 5)) * (size // 18), 65_536)


def _acknowledged_settings(size: int) -> Said:
    for _ in range(size // 3000):
        yield TO_SERVER, settings([(1, 4096)]) * 200
        yield TO_CLIENT, SETTINGS_ACK * 200


def _resets(size: int) -> Said:
    client = Peer()
    opened = (client.request(n, WAIT) + frame(RST_STREAM, 0, n, bytes(4)) for n in count(1, 2))
    return _cut(b"".join(next(opened) for _ in range(size // 30)), 65_536)


def _goaways_with_many_calls(size: int) -> Said:
    client = Peer()
    opened = b"".join(client.request(n, EXECUTE) for n in range(1, 400, 2))
    return [(TO_SERVER, opened), *_cut(frame(GOAWAY, 0, 0, b"\x7f\xff\xff\xff" + bytes(4)) * (size // 170), 65_536, TO_CLIENT)]


def _tiny_messages(size: int) -> Said:
    whole = b"".join(frames.data(1, grpc(b"") * 3000) for _ in range(size // 15_000))
    return _cut(Peer().request(1, EXECUTE) + whole, 65_536)


def _tiny_messages_in_large_frames(size: int) -> Said:
    announced = settings([(5, 2**24 - 1)])
    return [
        (TO_CLIENT, announced),
        *_cut(Peer().request(1, EXECUTE) + frames.data(1, grpc(b"") * (size // 5)), 262_144),
    ]


def _pings(size: int) -> Said:
    return _cut(frame(PING, 0, 0, bytes(8)) * (size // 17), 65_536)


def _padding(size: int) -> Said:
    return _cut(Peer().request(1, EXECUTE) + frames.data(1, b"", padding=0) * (size // 10), 65_536)


@pytest.mark.parametrize(
    "said",
    [
        _acknowledged_settings,
        _admin_calls_with_a_long_path,
        _empty_continuations,
        _empty_data,
        _goaways_with_many_calls,
        _large_frames_byte_by_byte,
        _one_byte_continuations,
        _one_byte_fields,
        _one_byte_of_data_a_frame,
        _one_large_message_byte_by_byte,
        _padding,
        _pings,
        _references_to_a_long_value,
        _resets,
        _table_size_updates,
        _tiny_messages,
        _tiny_messages_in_large_frames,
    ],
    ids=lambda each: each.__name__.removeprefix("_"),
)
def test_the_work_is_bounded_by_the_bytes(said: Callable[[int], Said]) -> None:
    few, many = _Cost(said(20_000)), _Cost(said(80_000))
    for cost in (few, many):
        assert cost.wire.decoder.reads, cost.records[-1:]
        assert cost.calls <= CALLS_PER_BYTE * cost.bytes + CALLS_PER_CHUNK * cost.chunks
        assert cost.longest_slice <= SLICE_CALLS
    assert many.calls / (many.bytes + many.chunks) <= 1.5 * few.calls / (few.bytes + few.chunks)
    assert many.undecoded <= TapLimits().undecoded_bytes // 100


def _http1_line_ends(size: int) -> Said:
    return _cut(b"GET / HTTP/1.1\r\n\r\n" + b"\n" * size, 65_536)


def _http1_heads_byte_by_byte(size: int) -> Said:
    return (
        each
        for _ in range(size // 900)
        for each in (
            *_cut(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 150 + b"\r\n"),
            (TO_CLIENT, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        )
    )


def _http1_chunks_byte_by_byte(size: int) -> Said:
    return _cut(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (size // 6))


@pytest.mark.parametrize("said", [_http1_line_ends, _http1_heads_byte_by_byte, _http1_chunks_byte_by_byte])
def test_the_work_on_http1_is_bounded_by_the_bytes(said: Callable[[int], Said]) -> None:
    few, many = _Cost(said(10_000), http2=False), _Cost(said(40_000), http2=False)
    for cost in (few, many):
        assert cost.wire.decoder.reads
        assert cost.calls <= CALLS_PER_BYTE * cost.bytes + CALLS_PER_CHUNK * cost.chunks
        assert cost.longest_slice <= SLICE_CALLS
    assert many.calls / (many.bytes + many.chunks) <= 1.5 * few.calls / (few.bytes + few.chunks)


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", zstandard.ZstdCompressor().compress)],
    ids=["gzip", "deflate", "zstd"],
)
def test_bombs_become_no_more_than_a_fixed_ratio(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(4_000_000))
    wire, client = Wire(TapLimits(message_bytes=2**26)), Peer()
    wire.client(client.request(1, EXECUTE, ("grpc-encoding", encoding)))
    said = grpc(bomb, compressed=1) * 20
    for pos in range(0, len(said), 16_384):
        wire.client(frames.data(1, said[pos : pos + 16_384]))
    found = [record.message for record in wire.take() if record.HasField("message")]
    assert len(found) == 20
    assert sum(len(message.payload) for message in found) <= MAX_RATIO * len(said)
    assert {len(message.payload) for message in found} <= {0, 4_000_000}
    # What is left out is said with its length on the wire.
    assert all(message.payload or message.omitted_length == len(bomb) for message in found)


def test_a_bomb_of_zstd_is_left_out_and_said_to_be_too_large() -> None:
    bomb = zstandard.ZstdCompressor().compress(bytes(4_000_000))
    assert MAX_RATIO * len(bomb) < 4_000_000
    wire = Wire()
    wire.client(Peer().request(1, EXECUTE, ("grpc-encoding", "zstd")) + frames.data(1, grpc(bomb, compressed=1)))
    message = wire.take()[-1].message
    assert message.omitted == message.TOO_LARGE


def test_what_a_short_reference_adds_to_the_ring_is_bounded_by_the_table() -> None:
    said = list(_references_to_a_long_value(20_000))
    cost = _Cost(said)
    opened = [record for record in cost.records if record.HasField("stream_opened")]
    # 14 bytes name 3,800: the table of 4 KiB is all that may be named, once for each call.
    assert len(opened) > 1000
    assert max(record.ByteSize() for record in opened) < 4096 + 200


def test_a_slice_of_references_to_long_values_is_short() -> None:
    said = b"".join(data for _, data in _references_to_a_long_value(20_000))
    wire = Wire()
    wire.decoder.feed(10, TO_SERVER, said)
    slices = 1
    while not wire.decoder.work():
        slices += 1
    assert slices >= 10

"""TapRecords as bytes: what happened in, one numbered length-delimited record out to a sink (protos/gateway/pb/tap.proto).

Written by hand: the numbers that every record has are fixed width and come first, so that one `struct` writes and reads them all.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from gateway.tap.wire import LENGTH_DELIMITED, SHORT_VARINTS, MalformedError, delimited, number, read_varint, tag, text, varint

#: Field numbers of TapRecord.record.
MESSAGE = 5
KEEP_ALIVES = 6
STREAM_OPENED = 7
STREAM_CLOSED = 8
TICK = 9
CONNECTION_OPENED = 10
CONNECTION_CLOSED = 11
UPSTREAM_REFUSED = 12
BLINDED = 13
ADMIN_CALL = 14
RUN_STARTED = 15
GAP = 16
STATE_BEGIN = 17
OPEN_STREAM = 18
STATE_END = 19

#: Message.Direction
TO_SERVER = 1
TO_CLIENT = 2
#: Message.Omission
NOT_OMITTED = 0
TOO_LARGE = 1
UNKNOWN_ENCODING = 2
INFLATE_FAILED = 3
MALFORMED = 4
#: Blinded.Reason
TLS = 1
HTTP2 = 2
HPACK = 3
OVERLOADED = 4
INTERNAL = 5
HANDED_OVER = 6
#: ConnectionClosed.By
BY_CLIENT = 1
BY_UPSTREAM = 2
BY_TAP = 3

#: sequence, monotonic_ns, connection, stream, each with its tag before it.
_HEAD = struct.Struct("<BQBQBIBI")
_FIXED64 = struct.Struct("<BQ")
#: The same, and the tag of a Message.
_MESSAGE_HEAD = struct.Struct("<BQBQBIBIB")
_MESSAGE_TAG = MESSAGE << 3 | LENGTH_DELIMITED
#: Of such a payload every length in the record is a short varint.
_SHORT_MESSAGE_BYTES = len(SHORT_VARINTS) - 64
_TAGS = {kind: tag(kind, LENGTH_DELIMITED) for kind in range(MESSAGE, STATE_END + 1)}
#: Message: direction, and the payload's tag.
_DIRECTIONS = (b"", b"\x08\x01\x12", b"\x08\x02\x12")

#: Where records go: the varint length and the record.
Sink = Callable[[bytes], None]


@dataclass(frozen=True, slots=True)
class Listener:
    """RunStarted.listeners."""

    name: str
    #: host:port, the port as bound.
    listen: str
    upstream: str
    #: Words of `gateway.config.types.Carries`.
    carries: Sequence[str]
    #: Empty: the monitoring block's.
    scheduler: str = ""


@dataclass(slots=True)
class Totals:
    """Tick.listeners: what one listener has seen since the run started."""

    name: str
    connections: int = 0
    open_connections: int = 0
    bytes: int = 0
    tapped_bytes: int = 0
    messages: int = 0
    blind_connections: int = 0
    upstream_refused: int = 0
    streams: int = 0
    #: Blinded.Reason -> connections.
    blinded: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessTotals:
    """The rest of a Tick: the tap process itself."""

    ring_bytes: int = 0
    undecoded_bytes: int = 0
    ring_limit_bytes: int = 0
    gaps: int = 0
    readers: int = 0
    behind_bytes: int = 0
    #: Delays: counts, their sum and the longest of late, nanoseconds.
    delays: tuple[Sequence[int], int, int] = ((), 0, 0)
    loop_lag_ns: int = 0


class Head(NamedTuple):
    """A record, read back just far enough to know what it is about."""

    sequence: int
    monotonic_ns: int
    connection: int
    stream: int
    #: Field number of the record's kind.
    kind: int
    #: Where its body begins and where the record ends.
    start: int
    end: int


def encode(sequence: int, monotonic_ns: int, connection: int, stream: int, kind: int, body: bytes) -> bytes:
    """One length-delimited TapRecord."""
    record = _HEAD.pack(0x09, sequence, 0x11, monotonic_ns, 0x1D, connection, 0x25, stream) + _TAGS[kind] + varint(len(body))
    return varint(len(record) + len(body)) + record + body


def read_head(data: bytes | bytearray, pos: int) -> Head:
    """Reads back the length-delimited record at `pos`, which must be one that `encode` wrote."""
    length, pos = read_varint(data, pos, len(data))
    end = pos + length
    _, sequence, _, monotonic_ns, _, connection, _, stream = _HEAD.unpack_from(data, pos)
    key, pos = read_varint(data, pos + _HEAD.size, end)
    _, pos = read_varint(data, pos, end)
    return Head(sequence, monotonic_ns, connection, stream, key >> 3, pos, end)


def run_started(run: str, unix_ns: int, monotonic_ns: int, listeners: Sequence[Listener]) -> bytes:
    """Body of RunStarted; `unix_ns` is Unix time at `monotonic_ns`."""
    parts = [text(1, run), _FIXED64.pack(0x11, unix_ns), _FIXED64.pack(0x19, monotonic_ns)]
    for each in listeners:
        carries = b"".join(text(4, word) for word in each.carries)
        parts.append(
            delimited(4, text(1, each.name) + text(2, each.listen) + text(3, each.upstream) + carries + text(5, each.scheduler))
        )
    return b"".join(parts)


def connection_opened(listener: str, peer: str) -> bytes:
    """Body of ConnectionOpened."""
    return text(1, listener) + text(2, peer)


def upstream_refused(reason: str) -> bytes:
    """Body of UpstreamRefused."""
    return text(1, reason)


def admin_call(request: str, status: int, *, is_grpc: bool) -> bytes:
    """Body of AdminCall."""
    return text(1, request) + number(2, status) + number(3, is_grpc)


def blinded(reason: int, detail: str) -> bytes:
    """Body of Blinded."""
    return number(1, reason) + text(2, detail)


def stream_opened(method: str, request_metadata: bytes, user_agent: str) -> bytes:
    """Body of StreamOpened."""
    return text(1, method) + (delimited(2, request_metadata) if request_metadata else b"") + text(3, user_agent)


#: Of a call that went well.
STREAM_CLOSED_OK = b"\x08\x00"


def stream_closed(grpc_status: int | None, message: str, reset: int | None, reset_direction: int) -> bytes:
    """Body of StreamClosed; None is absent, which is not 0."""
    status = b"" if grpc_status is None else b"\x08" + varint(grpc_status)
    code = b"" if reset is None else b"\x18" + varint(reset)
    return status + text(2, message) + code + number(4, reset_direction)


def tick(totals: Sequence[Totals], process: ProcessTotals) -> bytes:
    """Body of Tick."""
    parts = []
    for each in totals:
        numbers = (
            each.connections,
            each.open_connections,
            each.bytes,
            each.tapped_bytes,
            each.messages,
            each.blind_connections,
            each.upstream_refused,
            each.streams,
        )
        blinded = (delimited(10, number(1, reason) + number(2, count)) for reason, count in each.blinded.items())
        parts.append(delimited(1, b"".join((text(1, each.name), *_numbers(2, numbers), *blinded))))
    counts, sum_ns, max_ns = process.delays
    delays = delimited(1, b"".join(map(varint, counts))) + number(2, sum_ns) + number(3, max_ns) if counts else b""
    own = (
        process.ring_bytes,
        process.undecoded_bytes,
        process.ring_limit_bytes,
        process.gaps,
        process.readers,
        process.behind_bytes,
    )
    return b"".join((*parts, *_numbers(2, own), delimited(8, delays) if delays else b"", number(9, process.loop_lag_ns)))


def _numbers(first: int, values: Iterable[int]) -> Iterable[bytes]:
    """Varint fields one after the other."""
    return (number(each, value) for each, value in enumerate(values, first))


def gap(first: int, last: int) -> bytes:
    """Body of Gap."""
    return _FIXED64.pack(0x09, first) + _FIXED64.pack(0x11, last)


def keep_alives_at(data: bytes | bytearray, head: Head) -> int:
    """KeepAlives.last_monotonic_ns of a record that `Recorder.keep_alives` wrote: its body ends with it."""
    return int.from_bytes(data[head.end - 8 : head.end], "little")


def payload_of(data: bytes | bytearray, head: Head) -> tuple[int, bytes | None]:
    """Direction and payload of a Message record that `Recorder.message` wrote; None: the payload was omitted."""
    direction = data[head.start + 1]
    if data[head.start + 2] != 0x12:
        return direction, None
    length, pos = read_varint(data, head.start + 3, head.end)
    if pos + length != head.end:
        raise MalformedError("message record")
    return direction, bytes(data[pos : head.end])


class Recorder:
    """Numbers what happened and writes it to the sink. `monotonic_ns` is CLOCK_MONOTONIC when the bytes arrived."""

    __slots__ = ("_sink", "last_ns", "sequence")

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        #: Of the last record.
        self.sequence = 0
        #: Of the last record: within a run time never decreases, whatever is held back until its meaning is known.
        self.last_ns = 0

    def __getstate__(self) -> tuple[int, int]:
        """A sink belongs to a process."""
        return self.sequence, self.last_ns

    def __setstate__(self, state: tuple[int, int]) -> None:
        self.sequence, self.last_ns = state

    def write_to(self, sink: Sink) -> None:
        """From now on."""
        self._sink = sink

    def record(self, monotonic_ns: int, connection: int, stream: int, kind: int, body: bytes) -> None:
        """Any kind of record, by its field number and body."""
        self.sequence += 1
        self.last_ns = max(monotonic_ns, self.last_ns)
        self._sink(encode(self.sequence, self.last_ns, connection, stream, kind, body))

    def message(self, monotonic_ns: int, connection: int, stream: int, direction: int, payload: bytes) -> None:
        """A Message that is all there. The record that is written most, and the only one that is worth this much care."""
        self.sequence = sequence = self.sequence + 1
        self.last_ns = now = max(monotonic_ns, self.last_ns)
        size = len(payload)
        # What the body has besides the payload and its length, and the record besides its body.
        body_bytes, record_bytes = 3, _MESSAGE_HEAD.size
        if size < _SHORT_MESSAGE_BYTES:
            length = SHORT_VARINTS[size]
            body = SHORT_VARINTS[size + len(length) + body_bytes]
            total = SHORT_VARINTS[size + len(length) + body_bytes + len(body) + record_bytes]
        else:
            length = varint(size)
            body = varint(size + len(length) + body_bytes)
            total = varint(size + len(length) + body_bytes + len(body) + record_bytes)
        head = _MESSAGE_HEAD.pack(0x09, sequence, 0x11, now, 0x1D, connection, 0x25, stream, _MESSAGE_TAG)
        self._sink(b"".join((total, head, body, _DIRECTIONS[direction], length, payload)))

    def omitted(self, monotonic_ns: int, connection: int, stream: int, direction: int, omission: int, length: int) -> None:
        """A Message whose payload is not here; `length` is its length on the wire, without gRPC's prefix."""
        self.record(monotonic_ns, connection, stream, MESSAGE, number(1, direction) + number(3, omission) + number(4, length))

    def keep_alives(self, monotonic_ns: int, connection: int, stream: int, count: int, last_ns: int) -> None:
        """KeepAlives: `count` of them, the last at `last_ns`."""
        self.record(monotonic_ns, connection, stream, KEEP_ALIVES, number(1, count) + _FIXED64.pack(0x11, last_ns))

    def connection_closed(self, monotonic_ns: int, connection: int, by: int, *, reset: bool) -> None:
        """ConnectionClosed."""
        self.record(monotonic_ns, connection, 0, CONNECTION_CLOSED, number(1, by) + number(2, reset))

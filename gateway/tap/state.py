"""What was open after the last record that left the ring: evicted records in, OpenStream records out.

Bounded: a message of more than KEPT_MESSAGE_BYTES is not kept, and none is once all of them together exceed the ring's own
bound; then of a StreamOpened the method is kept and nothing else. What is open at all is bounded by MAX_OPEN_CALLS.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from gateway.tap import records
from gateway.tap.records import Head
from gateway.tap.wire import delimited, read_field

#: A request, a registration, an update of an operation without its result: all are far smaller.
KEPT_MESSAGE_BYTES = 64 * 1024
_OPENED_TAG = b"\x11"
_KEEP_ALIVE_TAG = b"\x41"


class _FrozenStream(NamedTuple):
    """An open stream as it was at some moment."""

    #: Of StreamOpened.
    body: bytes
    opened_ns: int
    last_ns: int
    first_to_server: bytes | None
    first_to_client: bytes | None
    latest_to_client: bytes | None
    #: 0: none.
    keep_alive_ns: int

    def encode(self) -> bytes:
        """Body of OpenStream."""
        parts = [_OPENED_TAG, self.opened_ns.to_bytes(8, "little"), delimited(4, self.body)]
        for field, message in ((5, self.first_to_server), (6, self.first_to_client), (7, self.latest_to_client)):
            if message is not None:
                parts.append(delimited(field, message))
        if self.keep_alive_ns:
            parts += (_KEEP_ALIVE_TAG, self.keep_alive_ns.to_bytes(8, "little"))
        return b"".join(parts)


class _FrozenConnection(NamedTuple):
    """An open connection as it was at some moment."""

    #: Of ConnectionOpened.
    body: bytes
    opened_ns: int
    last_ns: int
    #: Body of Blinded.
    blinded: bytes | None

    def encode(self) -> bytes:
        """Body of OpenStream, stream 0."""
        blinded = b"" if self.blinded is None else delimited(3, self.blinded)
        return delimited(1, self.body) + _OPENED_TAG + self.opened_ns.to_bytes(8, "little") + blinded


class _OpenStream:
    """One open stream of a tapped method; fields as in _FrozenStream."""

    __slots__ = (
        "body",
        "first_to_client",
        "first_to_server",
        "is_worker",
        "keep_alive_ns",
        "last_ns",
        "latest_to_client",
        "opened_ns",
    )

    def __init__(self, body: bytes, opened_ns: int) -> None:
        self.body = body
        self.opened_ns = opened_ns
        self.last_ns = opened_ns
        _, _, start, end = read_field(body, 0, len(body))  # the method comes first
        self.is_worker = body.endswith(b"/ConnectWorker", start, end)
        self.first_to_server: bytes | None = None
        self.first_to_client: bytes | None = None
        self.latest_to_client: bytes | None = None
        self.keep_alive_ns = 0

    @property
    def kept_bytes(self) -> int:
        return sum(len(each) for each in (self.body, self.first_to_server, self.first_to_client, self.latest_to_client) if each)

    def freeze(self) -> _FrozenStream:
        return _FrozenStream(
            self.body,
            self.opened_ns,
            self.last_ns,
            self.first_to_server,
            self.first_to_client,
            self.latest_to_client,
            self.keep_alive_ns,
        )


class _OpenConnection:
    """One open connection; fields as in _FrozenConnection."""

    __slots__ = ("blinded", "body", "last_ns", "opened_ns", "streams")

    def __init__(self, body: bytes, opened_ns: int) -> None:
        self.body = body
        self.opened_ns = opened_ns
        self.last_ns = opened_ns
        self.blinded: bytes | None = None
        self.streams: dict[int, _OpenStream] = {}

    def freeze(self) -> _FrozenConnection:
        return _FrozenConnection(self.body, self.opened_ns, self.last_ns, self.blinded)


class OpenState:
    """As of the last evicted record."""

    __slots__ = ("_connections", "_kept_bytes", "limit_bytes", "monotonic_ns", "sequence")

    def __init__(self, limit_bytes: int) -> None:
        """Keeps messages and headers of at most `limit_bytes` together."""
        self.limit_bytes = limit_bytes
        self._connections: dict[int, _OpenConnection] = {}
        self._kept_bytes = 0
        #: Of the last evicted record; 0: none was.
        self.sequence = 0
        self.monotonic_ns = 0

    def apply(self, data: bytes | bytearray, head: Head) -> None:
        """A record leaves the ring."""
        self.sequence, self.monotonic_ns, number, stream_id, kind, start, end = head
        if kind == records.CONNECTION_OPENED:
            self._connections[number] = _OpenConnection(bytes(data[start:end]), self.monotonic_ns)
            return
        connection = self._connections.get(number)
        if connection is None:
            return
        if stream_id:
            self._apply_to_stream(connection, data, head)
        elif kind == records.CONNECTION_CLOSED:
            # Its streams were closed before.
            del self._connections[number]
        elif kind == records.BLINDED:
            connection.blinded = bytes(data[start:end])
            connection.last_ns = self.monotonic_ns

    def _apply_to_stream(self, connection: _OpenConnection, data: bytes | bytearray, head: Head) -> None:
        if head.kind == records.STREAM_OPENED:
            body = bytes(data[head.start : head.end])
            if self._kept_bytes + len(body) > self.limit_bytes:
                body = body[: read_field(body, 0, len(body))[-1]]
            opened = connection.streams[head.stream] = _OpenStream(body, head.monotonic_ns)
            self._kept_bytes += opened.kept_bytes
            return
        stream = connection.streams.get(head.stream)
        if stream is None:
            return
        stream.last_ns = head.monotonic_ns
        if head.kind == records.STREAM_CLOSED:
            self._kept_bytes -= stream.kept_bytes
            del connection.streams[head.stream]
        elif head.kind == records.KEEP_ALIVES:
            stream.keep_alive_ns = records.keep_alives_at(data, head)
        elif head.kind == records.MESSAGE:
            self._keep(stream, *records.payload_of(data, head))

    def _keep(self, stream: _OpenStream, direction: int, payload: bytes | None) -> None:
        if payload is not None and (len(payload) > KEPT_MESSAGE_BYTES or self._kept_bytes + len(payload) > self.limit_bytes):
            payload = None
        before = stream.kept_bytes
        if direction == records.TO_SERVER:
            # Before a message to the client there can only be the first: what is not kept of it is not seen.
            if stream.first_to_server is None:
                stream.first_to_server = payload or b""
        elif not stream.is_worker:
            stream.latest_to_client = payload
        elif stream.first_to_client is None:
            stream.first_to_client = payload
        self._kept_bytes += stream.kept_bytes - before

    def restore(self, data: bytes, head: Head) -> None:
        """An OpenStream record that `snapshot` wrote: what it stands for is open."""
        self.sequence, self.monotonic_ns = head.sequence, max(self.monotonic_ns, head.monotonic_ns)
        fields: dict[int, bytes] = {}
        pos = head.start
        while pos < head.end:
            field, _, start, pos = read_field(data, pos, head.end)
            fields[field] = bytes(data[start:pos])
        opened_ns = int.from_bytes(fields.get(2, b""), "little")
        if not head.stream:
            connection = self._connections[head.connection] = _OpenConnection(fields.get(1, b""), opened_ns)
            connection.last_ns, connection.blinded = head.monotonic_ns, fields.get(3)
            return
        stream = _OpenStream(fields.get(4, b""), opened_ns)
        stream.last_ns, stream.keep_alive_ns = head.monotonic_ns, int.from_bytes(fields.get(8, b""), "little")
        stream.first_to_server, stream.first_to_client, stream.latest_to_client = (fields.get(field) for field in (5, 6, 7))
        self._kept_bytes += stream.kept_bytes
        self._connections[head.connection].streams[head.stream] = stream

    def snapshot(self) -> Iterator[bytes]:
        """Length-delimited StateBegin, OpenStream for each connection and its streams, StateEnd: as of now, encoded when taken."""
        frozen = [
            (number, connection.freeze(), [(stream_id, stream.freeze()) for stream_id, stream in connection.streams.items()])
            for number, connection in self._connections.items()
        ]
        # RunStarted is said before it, also when nothing else is gone.
        return _encode(max(self.sequence, 1), self.monotonic_ns, frozen)


def _encode(
    sequence: int, last_ns: int, frozen: list[tuple[int, _FrozenConnection, list[tuple[int, _FrozenStream]]]]
) -> Iterator[bytes]:
    yield records.encode(sequence, last_ns, 0, 0, records.STATE_BEGIN, b"")
    for number, connection, streams in frozen:
        yield records.encode(sequence, connection.last_ns, number, 0, records.OPEN_STREAM, connection.encode())
        for stream_id, stream in streams:
            yield records.encode(sequence, stream.last_ns, number, stream_id, records.OPEN_STREAM, stream.encode())
    yield records.encode(sequence, last_ns, 0, 0, records.STATE_END, b"")

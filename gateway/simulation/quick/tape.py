"""A tape: what happens on connections comes in, the records of a tap that had read it go out (protos/gateway/pb/tap.proto)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from google.protobuf.message import Message

from gateway.pb import tap_pb2

TO_SERVER, TO_CLIENT = tap_pb2.Message.TO_SERVER, tap_pb2.Message.TO_CLIENT
#: sequence, monotonic_ns, connection, stream, each with its tag before it: as the tap writes them, which leaves out no zero.
_HEAD = struct.Struct("<BQBQBIBI")
#: What a varint carries in a byte.
_SEVEN = 0x7F


@dataclass(slots=True)
class Line:
    """A connection that was opened."""

    number: int
    listener: str
    #: Of the latest stream.
    stream: int = -1


@dataclass(slots=True)
class _Seen:
    """Totals of a listener."""

    connections: int = 0
    bytes: int = 0
    messages: int = 0
    streams: int = 0


@dataclass(slots=True)
class Tape:
    """One run of a tap. Times are Unix nanoseconds, which never go back; to the tap's clock they are those since the beginning."""

    #: Takes each record with its length before it.
    write: Callable[[bytes], object]
    began: int
    sequence: int = 0
    _connections: int = 0
    #: {listener: what it has seen}
    _seen: dict[str, _Seen] = field(default_factory=dict)

    def start(self, run: str, listeners: list[tap_pb2.Listener]) -> None:
        """The first record."""
        self._seen = {each.name: _Seen() for each in listeners}
        self._record(self.began, 0, 0, run_started=tap_pb2.RunStarted(run=run, unix_ns=self.began, listeners=listeners))

    def connect(self, at: int, listener: str, peer: str) -> Line:
        """A peer connects."""
        self._connections += 1
        self._seen[listener].connections += 1
        self._record(at, self._connections, 0, connection_opened=tap_pb2.ConnectionOpened(listener=listener, peer=peer))
        return Line(self._connections, listener)

    def call(self, at: int, line: Line, method: str, user_agent: str, metadata: bytes = b"") -> int:
        """A call begins; its stream."""
        line.stream += 2
        self._seen[line.listener].streams += 1
        opened = tap_pb2.StreamOpened(method=method, request_metadata=metadata, user_agent=user_agent)
        self._record(at, line.number, line.stream, stream_opened=opened)
        return line.stream

    def message(self, at: int, line: Line, stream: int, direction: tap_pb2.Message.Direction.ValueType, message: Message) -> None:
        """One side says something in a call."""
        payload = message.SerializeToString()
        seen = self._seen[line.listener]
        seen.messages += 1
        seen.bytes += len(payload)
        self._record(at, line.number, stream, message=tap_pb2.Message(direction=direction, payload=payload))

    def kept_alive(self, at: int, line: Line, stream: int) -> None:
        """A worker's keep-alive."""
        self._seen[line.listener].messages += 1
        self._record(at, line.number, stream, keep_alives=tap_pb2.KeepAlives(count=1, last_monotonic_ns=at - self.began))

    def end(self, at: int, line: Line, stream: int) -> None:
        """A call ends well."""
        self._record(at, line.number, stream, stream_closed=tap_pb2.StreamClosed(grpc_status=0))

    def tick(self, at: int) -> None:
        """A second is over, or everything is."""
        totals = [
            tap_pb2.ListenerTotals(
                name=name,
                connections=seen.connections,
                open_connections=seen.connections,
                bytes=seen.bytes,
                tapped_bytes=seen.bytes,
                messages=seen.messages,
                streams=seen.streams,
            )
            for name, seen in self._seen.items()
        ]
        self._record(at, 0, 0, tick=tap_pb2.Tick(listeners=totals))

    def _record(self, at: int, connection: int, stream: int, **kind: Message) -> None:
        self.sequence += 1
        head = _HEAD.pack(0x09, self.sequence, 0x11, at - self.began, 0x1D, connection, 0x25, stream)
        body = tap_pb2.TapRecord(**kind).SerializeToString()  # type: ignore[arg-type] # the oneof's member by its name
        self.write(b"".join((_varint(len(head) + len(body)), head, body)))


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > _SEVEN:
        found.append(number & _SEVEN | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)

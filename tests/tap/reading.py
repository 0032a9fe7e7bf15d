"""The tap's records read with the real protobuf library, and decoders to feed without sockets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from google.protobuf.json_format import MessageToDict

from gateway.config.types import TapLimits
from gateway.pb import tap_pb2
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.journal import Journal
from gateway.tap.offline import ChunkEvent, decode_chunks
from gateway.tap.records import TO_CLIENT, TO_SERVER, Listener
from tests.tap.frames import PREFACE, settings

EXECUTION = Listener("execution", "127.0.0.1:50151", "127.0.0.1:50051", ("execution",))
WORKERS = Listener("workers", "127.0.0.1:50161", "127.0.0.1:50061", ("admin", "worker_api"), "OTHER")


def parse(record: bytes) -> tap_pb2.TapRecord:
    """One length-delimited record, which must be exactly that."""
    length = shift = pos = 0
    while True:
        byte = record[pos]
        length |= (byte & 0x7F) << shift
        pos += 1
        shift += 7
        if byte < 0x80:
            break
    assert len(record) == pos + length
    return tap_pb2.TapRecord.FromString(record[pos:])


def split(data: bytes) -> tuple[list[tap_pb2.TapRecord], bytes]:
    """Records back to back, and what is left of the last."""
    found = []
    while data:
        length = shift = pos = 0
        while pos < len(data):
            byte = data[pos]
            length |= (byte & 0x7F) << shift
            pos += 1
            shift += 7
            if byte < 0x80:
                break
        else:
            break
        if len(data) < pos + length:
            break
        found.append(tap_pb2.TapRecord.FromString(data[pos : pos + length]))
        data = data[pos + length :]
    return found, data


def decode(events: Iterable[ChunkEvent], limits: TapLimits | None = None) -> list[tap_pb2.TapRecord]:
    """What `decode_chunks` makes of events, RunStarted first."""
    decoded = decode_chunks(events, run="run", unix_ns=10**18, monotonic_ns=0, listeners=[EXECUTION, WORKERS], limits=limits)
    return [parse(record) for record in decoded]


def kinds(records: Iterable[tap_pb2.TapRecord]) -> list[str]:
    return [record.WhichOneof("record") or "" for record in records]


class Wire:
    """One connection's decoder, and the records that came of it."""

    def __init__(self, limits: TapLimits | None = None, *, http2: bool = True) -> None:
        self._raw: list[bytes] = []
        self.journal = Journal("run", 10**18, 0, [EXECUTION, WORKERS], limits or TapLimits(), self._raw.append)
        self.decoder: ConnectionDecoder = self.journal.connection(1, "execution", "10.0.0.1:5")
        self.now = 1
        self.decoder.opened(self.now)
        if http2:
            self.client(PREFACE + settings())
            self.server(settings())
        self.take()

    def client(self, data: bytes) -> None:
        """The client says this."""
        self._feed(TO_SERVER, data)

    def server(self, data: bytes) -> None:
        """The server says this."""
        self._feed(TO_CLIENT, data)

    def _feed(self, direction: int, data: bytes) -> None:
        self.now += 1
        self.decoder.feed(self.now, direction, data)
        while not self.decoder.work():
            pass

    def take(self) -> list[tap_pb2.TapRecord]:
        """The records since the last time."""
        taken = [parse(record) for record in self._raw]
        self._raw.clear()
        return taken

    def said(self) -> list[dict[str, object]]:
        """The records since the last time, without the numbers that every record has."""
        return [told(record) for record in self.take()]


def told(record: tap_pb2.TapRecord) -> dict[str, object]:
    """A record's kind and what it says."""
    kind = record.WhichOneof("record")
    assert kind
    return {kind: MessageToDict(getattr(record, kind), preserving_proto_field_name=True)}


def payloads(records: Sequence[tap_pb2.TapRecord]) -> list[bytes]:
    return [record.message.payload for record in records if record.HasField("message")]

"""What real peers said, cut from the shared recordings, for mutating: whole short connections, header blocks, messages, records."""

from __future__ import annotations

from functools import cache

from gateway.tap.http2 import Http2
from gateway.tap.offline import decode_chunks
from tests.e2e import recordings
from tests.observe.test_recordings import LISTENERS, chunks
from tests.tap.reading import Wire, parse

#: Of a connection, the first so many bytes of both directions.
_CONNECTION_BYTES = 6_000

#: (is the client's, bytes) in order of arrival.
Conversation = tuple[tuple[bool, bytes], ...]


@cache
def conversations() -> tuple[Conversation, ...]:
    """The beginnings of all connections."""
    found = []
    for name in recordings.ALL:
        for entries in recordings.load(name).of_connection().values():
            said: list[tuple[bool, bytes]] = []
            size = 0
            for entry in entries:
                if entry.kind in {">", "<"} and size < _CONNECTION_BYTES:
                    data = entry.data[: _CONNECTION_BYTES - size]
                    said.append((entry.kind == ">", data))
                    size += len(data)
            if said:
                found.append(tuple(said))
    return tuple(found)


@cache
def header_blocks() -> tuple[bytes, ...]:
    """What `HeaderDecoder.decode` is given, of all connections, each once."""
    found: dict[bytes, None] = {}
    for conversation in conversations():
        wire = Wire(http2=False)
        for is_client, data in conversation:
            (wire.client if is_client else wire.server)(data)
            http2: Http2 | None = wire.decoder._http2
            for half in () if http2 is None else (http2.to_server, http2.to_client):
                decode = half.decoder.decode
                if not getattr(decode, "is_watched", False):
                    half.decoder = _Watched(half.decoder, found)  # type: ignore[assignment] # a decoder as far as it is used
    return tuple(found)


class _Watched:
    """A decoder, and what it was given."""

    def __init__(self, decoder: object, found: dict[bytes, None]) -> None:
        self._decoder = decoder
        self._found = found

    def decode(self, block: bytes) -> object:
        self._found[block] = None
        return self._decoder.decode(block)  # type: ignore[attr-defined] # as above

    decode.is_watched = True  # type: ignore[attr-defined] # a mark of the test's own

    def __getattr__(self, name: str) -> object:
        return getattr(self._decoder, name)


@cache
def record_streams() -> tuple[tuple[bytes, ...], ...]:
    """The length-delimited records of each recording."""
    found = []
    for name in recordings.ALL:
        began, events = chunks(name)
        found.append(tuple(decode_chunks(events, run="run", unix_ns=began, monotonic_ns=0, listeners=LISTENERS)))
    return tuple(found)


@cache
def messages() -> tuple[bytes, ...]:
    """Payloads of all gRPC messages of the tapped methods, each once."""
    found: dict[bytes, None] = {}
    for records in record_streams():
        for record in records:
            payload = parse(record).message.payload
            if payload:
                found[payload] = None
    return tuple(found)

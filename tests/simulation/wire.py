"""Recorded TCP bytes in, the gRPC conversation of each HTTP/2 stream out: what the simulation's traffic is compared by.

Written on hyperframe and hpack and independent of the tap, so that the simulation is not measured by the decoder that it tests.
It expects well-formed traffic and fails loudly on anything else.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hpack import Decoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    RstStreamFrame,
    SettingsFrame,
)

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Line(NamedTuple):
    """One line of a recording, see shared recordings.md; `payload` is decoded from base64 for bytes."""

    seconds: float
    connection: int
    kind: str
    payload: object


class Item(NamedTuple):
    """One thing that happened on a stream: `kind` is headers, message, end or reset, or request/status of HTTP/1."""

    seconds: float
    #: `>` client to server, `<` server to client.
    direction: str
    kind: str
    headers: dict[str, str]
    payload: bytes


@dataclass
class Stream:
    """One HTTP/2 stream, or the one exchange of an HTTP/1 connection (stream 0)."""

    connection: int
    stream: int
    listener: str
    #: `:path` of the request.
    path: str = ""
    items: list[Item] = field(default_factory=list)


def read_recording(path: Path) -> list[Line]:
    """All lines of a recording file."""
    with gzip.open(path, "rt") as lines:
        return [_line(*json.loads(line)) for line in lines]


def _line(seconds: float, connection: int, kind: str, payload: object) -> Line:
    if kind in {">", "<"}:
        assert isinstance(payload, str)
        return Line(seconds, connection, kind, base64.b64decode(payload))
    return Line(seconds, connection, kind, payload)


def decode(lines: Iterable[Line]) -> list[Stream]:
    """The streams of a recording in the order in which they opened."""
    conversations: dict[int, _Conversation] = {}
    streams: list[Stream] = []
    for seconds, connection, kind, payload in lines:
        if kind == "open":
            assert isinstance(payload, str)
            conversations[connection] = _Conversation(connection, payload, streams)
        elif kind in {">", "<"}:
            assert isinstance(payload, bytes)
            conversations[connection].feed(seconds, kind, payload)
    return streams


class _Conversation:
    """One TCP connection."""

    def __init__(self, connection: int, listener: str, streams: list[Stream]) -> None:
        self._connection = connection
        self._listener = listener
        self._streams = streams
        self._by_id: dict[int, Stream] = {}
        self._buffers = {">": bytearray(), "<": bytearray()}
        self._hpack = {">": Decoder(), "<": Decoder()}
        self._blocks: dict[str, tuple[HeadersFrame, bytearray]] = {}
        self._data: dict[tuple[int, str], bytearray] = {}
        self._is_http1: bool | None = None
        for decoder in self._hpack.values():
            decoder.max_allowed_table_size = 1 << 20

    def feed(self, seconds: float, direction: str, data: bytes) -> None:
        buffer = self._buffers[direction]
        buffer += data
        if self._is_http1 is None and direction == ">":
            if len(buffer) < len(_PREFACE):
                self._is_http1 = not _PREFACE.startswith(bytes(buffer[:4]))
            else:
                self._is_http1 = not buffer.startswith(_PREFACE)
            if not self._is_http1:
                del buffer[: len(_PREFACE)]
        if self._is_http1:
            self._http1(seconds, direction)
        else:
            for frame in _frames(buffer):
                self._frame(seconds, direction, frame)

    def _http1(self, seconds: float, direction: str) -> None:
        buffer = self._buffers[direction]
        head, separator, _ = bytes(buffer).partition(b"\r\n")
        if not separator or not head.startswith((b"POST ", b"HTTP/1")):
            return
        stream = self._stream(0)
        kind, words = ("request", head.split()) if direction == ">" else ("status", head.split())
        if direction == ">":
            stream.path = words[1].decode()
        if not any(item.kind == kind for item in stream.items):
            stream.items.append(Item(seconds, direction, kind, {}, words[1]))

    def _stream(self, stream_id: int) -> Stream:
        if stream_id not in self._by_id:
            self._by_id[stream_id] = Stream(self._connection, stream_id, self._listener)
            self._streams.append(self._by_id[stream_id])
        return self._by_id[stream_id]

    def _frame(self, seconds: float, direction: str, frame: Frame) -> None:
        match frame:
            case SettingsFrame() | GoAwayFrame():
                pass
            case HeadersFrame():
                self._blocks[direction] = (frame, bytearray(frame.data))
                if "END_HEADERS" in frame.flags:
                    self._headers(seconds, direction)
            case ContinuationFrame():
                self._blocks[direction][1].extend(frame.data)
                if "END_HEADERS" in frame.flags:
                    self._headers(seconds, direction)
            case DataFrame():
                self._messages(seconds, direction, frame)
                if "END_STREAM" in frame.flags:
                    self._stream(frame.stream_id).items.append(Item(seconds, direction, "end", {}, b""))
            case RstStreamFrame():
                self._stream(frame.stream_id).items.append(Item(seconds, direction, "reset", {"error": str(frame.error_code)}, b""))
            case _:
                pass

    def _headers(self, seconds: float, direction: str) -> None:
        frame, block = self._blocks.pop(direction)
        headers = {str(name): str(value) for name, value in self._hpack[direction].decode(bytes(block))}
        stream = self._stream(frame.stream_id)
        stream.path = headers.get(":path", stream.path)
        stream.items.append(Item(seconds, direction, "headers", headers, b""))
        if "END_STREAM" in frame.flags:
            stream.items.append(Item(seconds, direction, "end", {}, b""))

    def _messages(self, seconds: float, direction: str, frame: DataFrame) -> None:
        buffer = self._data.setdefault((frame.stream_id, direction), bytearray())
        buffer += frame.data
        while len(buffer) >= 5:
            assert buffer[0] == 0, "a compressed message"
            length = int.from_bytes(buffer[1:5], "big")
            if len(buffer) < 5 + length:
                return
            message = bytes(buffer[5 : 5 + length])
            del buffer[: 5 + length]
            self._stream(frame.stream_id).items.append(Item(seconds, direction, "message", {}, message))


def _frames(buffer: bytearray) -> Iterator[Frame]:
    while len(buffer) >= 9:
        frame, length = Frame.parse_frame_header(memoryview(bytes(buffer[:9])))
        if len(buffer) < 9 + length:
            return
        frame.parse_body(memoryview(bytes(buffer[9 : 9 + length])))
        del buffer[: 9 + length]
        yield frame

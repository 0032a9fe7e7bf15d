"""gRPC framing (gRPC over HTTP/2, "Length-Prefixed-Message"): pieces of one direction of one stream in, whole messages out.

A message is a flag byte, four bytes of length, and that many bytes. What is over the limit is counted and not kept.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

PREFIX = struct.Struct(">BI")


class Framed(NamedTuple):
    """One message as it was on the wire."""

    #: 0: as it is; otherwise compressed with the stream's grpc-encoding.
    compressed: int
    #: None: over the limit.
    payload: bytes | None
    #: Of the payload on the wire, in bytes.
    length: int


class MessageReader:
    """One direction of one stream, between two pieces."""

    __slots__ = ("_buffer", "_compressed", "_left", "_length", "_limit", "_prefix")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: A part of a prefix.
        self._prefix = b""
        self._compressed = 0
        self._length = 0
        #: Bytes of the message begun that have not come yet; -1: none is begun.
        self._left = -1
        #: Of the message begun.
        self._buffer = bytearray()

    @property
    def idle(self) -> bool:
        """The next byte begins a message."""
        return self._left < 0 and not self._prefix

    @property
    def held(self) -> int:
        """Bytes kept here of a message that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes, pos: int, end: int) -> list[Framed]:
        """Reads `data[pos:end]`: the messages that are complete with it."""
        found: list[Framed] = []
        while pos < end:
            if self._left < 0:
                stop = min(end, pos + PREFIX.size - len(self._prefix))
                self._prefix += data[pos:stop]
                pos = stop
                if len(self._prefix) < PREFIX.size:
                    break
                self._compressed, self._left = PREFIX.unpack(self._prefix)
                self._length = self._left
                self._prefix = b""
            stop = min(end, pos + self._left)
            self._left -= stop - pos
            if not self._left:
                found.append(self._complete(data[pos:stop]))
                self._left = -1
            elif self._length <= self._limit:
                self._buffer += data[pos:stop]
            pos = stop
        return found

    def _complete(self, last: bytes) -> Framed:
        if self._length > self._limit:
            return Framed(self._compressed, None, self._length)
        if self._buffer:
            self._buffer += last
            last = bytes(self._buffer)
            self._buffer = bytearray()
        return Framed(self._compressed, last, self._length)

"""One HTTP/2 connection of a quick peer. In: bytes. Out: gRPC messages and the ends of calls; what is to be said, as frames."""

from __future__ import annotations

import asyncio
from typing import cast

from google.protobuf.message import Message

from gateway.simulation.quick import frames
from gateway.simulation.quick.frames import DATA, END_STREAM, GOAWAY, HEADERS, PING, PREFIX, SETTINGS

#: Of the window that each side opens, this much is given back at a time.
_WINDOW = 2**28


class Conversation(asyncio.Protocol):
    """Either side of a connection. Every message of the quick peers is one frame."""

    #: Whether the other side begins with the preface.
    is_server = False

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._awaits_preface = self.is_server
        #: Bytes of DATA whose window was not given back.
        self._taken = 0

    @property
    def is_open(self) -> bool:
        """Whether anything can be said."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Opens the windows."""
        # uvloop's own is not a subclass of it.
        self._transport = cast("asyncio.Transport", transport)
        self.write(frames.OPENING if self.is_server else frames.PREFACE + frames.OPENING)

    def data_received(self, data: bytes) -> None:
        """Takes what is whole."""
        data = self._rest + data if self._rest else data
        if self._awaits_preface:
            if len(data) < len(frames.PREFACE):
                self._rest = data
                return
            data, self._awaits_preface = data[len(frames.PREFACE) :], False
        read = 0
        for kind, flags, stream, begin, end in frames.frames(data):
            read = end
            if kind == DATA:
                self._take(stream, end - begin)
                if end > begin:
                    self.heard(stream, data[begin + PREFIX : end])
            elif kind == HEADERS:
                self.headers(stream, data[begin:end])
            elif kind == PING and not flags:
                self.write(frames.frame(PING, frames.ACK, 0, data[begin:end]))
            elif kind == SETTINGS and not flags:
                self.write(frames.SETTINGS_ACK)
            elif kind == GOAWAY:
                self.close()
            if flags & END_STREAM and kind in {DATA, HEADERS}:
                self.ended(stream)
        self._rest = data[read:]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        """Nothing can be said any more."""
        self._transport = None

    def write(self, data: bytes) -> None:
        """Frames; nothing happens once the connection is over."""
        if self.is_open and self._transport is not None:
            self._transport.write(data)

    def say(self, stream: int, message: Message) -> None:
        """A message."""
        self.write(frames.frame(DATA, 0, stream, frames.grpc(message.SerializeToString())))

    def close(self) -> None:
        """Everything that was written is still sent."""
        if self._transport is not None:
            self._transport.close()

    def headers(self, stream: int, block: bytes) -> None:
        """A header block: of a request, an answer, or trailers."""

    def heard(self, stream: int, message: bytes) -> None:
        """A message."""

    def ended(self, stream: int) -> None:
        """The other side has said everything in this call."""

    def _take(self, stream: int, count: int) -> None:
        self._taken += count
        if self._taken > _WINDOW:
            # Of a stream that lasts; the others are over long before.
            self.write(frames.window(0, self._taken) + frames.window(stream, self._taken))
            self._taken = 0

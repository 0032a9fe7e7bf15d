"""HTTP/2 frames (RFC 9113) of one connection, both directions: bytes in, tapped calls' headers, DATA and ends out to `Calls`.

Every header block is decoded, since HPACK is stateful. DATA is looked at for tapped calls only, and stepped over without
copying for all others; so are frames that change nothing here.
"""

from __future__ import annotations

import struct

from gateway.tap.bounds import Holding, UnreadableError
from gateway.tap.calls import Call, Calls
from gateway.tap.headers import HeaderDecoder, HeaderError
from gateway.tap.records import HPACK, HTTP2, TO_CLIENT, TO_SERVER

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: Length and type, flags, stream.
_FRAME = struct.Struct(">IBI")
_SETTING = struct.Struct(">HI")
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
#: Read as a whole; everything else is DATA or stepped over.
_WHOLE = frozenset({_HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _GOAWAY, _CONTINUATION})
#: Lengths that RFC 9113 fixes, with a connection error otherwise.
_FIXED_LENGTHS = {_RST_STREAM: 4, _PING: 8, _WINDOW_UPDATE: 4}
_END_STREAM = _ACK = 0x1
_END_HEADERS, _PADDED, _PRIORITY = 0x4, 0x8, 0x20
_SETTINGS_HEADER_TABLE_SIZE, _SETTINGS_MAX_FRAME_SIZE = 1, 5
_STREAM_MASK = 0x7FFFFFFF
#: SETTINGS_MAX_FRAME_SIZE until something else is said (RFC 9113 6.5.2).
_DEFAULT_FRAME_BYTES = 16_384
#: A header block, or another frame that is read as a whole; peers of these services refuse lists of more than 8 to 64 KiB.
_MAX_WHOLE_BYTES = 256 * 1024
#: DATA of a tapped call is read in pieces of at most this size, which may be 800 messages; nearly always a frame is one.
_PIECE_BYTES = 4096
#: How much `work` does before it lets others: frames and pieces, and bytes of messages.
_SLICE_FRAMES = 256
_SLICE_BYTES = 256 * 1024
#: What a byte of a header block costs, in bytes of messages: it may be a field.
_BLOCK_WORK = 16


class Half:
    """One direction of a connection, between two pieces."""

    __slots__ = (
        "_block",
        "_block_ends_stream",
        "_block_stream",
        "_call",
        "_calls",
        "_data",
        "_direction",
        "_ends_stream",
        "_holding",
        "_kept",
        "_left",
        "_need",
        "_now",
        "_padding",
        "_pos",
        "_skip",
        "_started",
        "decoder",
        "max_frame_bytes",
        "other",
    )

    other: Half

    def __init__(self, direction: int, calls: Calls, holding: Holding) -> None:
        self._direction = direction
        self._calls = calls
        self._holding = holding
        self.decoder = HeaderDecoder()
        #: The largest that the receiving peer ever announced.
        self.max_frame_bytes = _DEFAULT_FRAME_BYTES
        #: The first frame was seen; it must be SETTINGS.
        self._started = False
        #: What is read, up to where, and when it arrived.
        self._data = b""
        self._pos = 0
        self._now = 0
        #: The beginning of a frame that is read as a whole, and how long it has to be.
        self._kept = bytearray()
        self._need = 0
        #: Bytes to step over.
        self._skip = 0
        #: DATA of a tapped call: bytes still to come, padding after them.
        self._call: Call | None = None
        self._left = 0
        self._padding = 0
        self._ends_stream = False
        #: A header block that goes on in CONTINUATION; stream 0: none. Stream -1: of a push, decoded for the table's sake only.
        self._block = bytearray()
        self._block_stream = 0
        self._block_ends_stream = False

    @property
    def inside_frame(self) -> bool:
        """Some of a frame is missing."""
        return bool(self._skip or self._kept or self._call or self._block_stream)

    def feed(self, data: bytes, now: int) -> None:
        """Takes bytes that arrived at `now`; `work` reads them. All that was taken before must have been read.

        Raises:
            UnreadableError: Too much is kept.
        """
        self._now = now
        self._pos = 0
        if self._kept:
            self._keep(data)
            if len(self._kept) < self._need:
                self._data = b""
                return
            data = bytes(self._kept)
            self._holding.give(len(data))
            self._kept = bytearray()
        self._data = data

    def work(self) -> bool:
        """Reads a slice of what was taken: whether all of it has been read.

        Raises:
            UnreadableError: RFC 9113 or 7541 does not allow it, or it is over a bound.
        """
        data, pos, end = self._data, self._pos, len(self._data)
        calls = self._calls
        frames = 0
        max_frame_bytes = self.max_frame_bytes
        until = calls.worked + _SLICE_BYTES
        while pos < end:
            if self._skip:
                step = min(self._skip, end - pos)
                self._skip -= step
                pos += step
                continue
            if frames >= _SLICE_FRAMES or calls.worked >= until:
                self._pos = pos
                return False
            frames += 1
            if self._call is not None:
                pos = self._tapped(self._call, data, pos, end)
                continue
            if end - pos < _FRAME.size:
                self._wait(data[pos:], _FRAME.size)
                break
            word, flags, stream = _FRAME.unpack_from(data, pos)
            length, kind, stream = word >> 8, word & 0xFF, stream & _STREAM_MASK
            if length > max_frame_bytes or self._block_stream or not self._started or kind in _FIXED_LENGTHS:
                self._check(length, kind, stream)
            if kind == _DATA:
                call = calls.open.get(stream)
                if call is not None:
                    pos = self._begin_tapped(call, data, pos, length, flags)
                    if pos < 0:
                        break
                    continue
                if not stream:
                    raise UnreadableError(HTTP2, "DATA on stream 0")
                pos = self._step_over(data, pos, _FRAME.size + length)
            elif kind not in _WHOLE:
                self._skip = length
                pos += _FRAME.size
            elif length > _MAX_WHOLE_BYTES:
                raise UnreadableError(HTTP2, f"a frame of type {kind} with {length} bytes")
            elif end - pos < _FRAME.size + length:
                self._wait(data[pos:], _FRAME.size + length)
                break
            else:
                pos += _FRAME.size
                self._whole(kind, flags, stream, data[pos : pos + length])
                pos += length
        self._data = b""
        return True

    def _step_over(self, data: bytes, pos: int, step: int) -> int:
        """Past the frame of `step` bytes at `pos`, and those behind it that begin alike: bulk is hundreds of them."""
        head = data[pos : pos + _FRAME.size]
        pos += step
        while data.startswith(head, pos):
            pos += step
        self._skip = max(pos - len(data), 0)
        return pos - self._skip

    def _keep(self, data: bytes) -> None:
        self._kept += data
        self._holding.take(len(data))

    def _wait(self, data: bytes, need: int) -> None:
        """The rest of a frame has not arrived."""
        self._need = need
        self._keep(data)

    def _check(self, length: int, kind: int, stream: int) -> None:
        """What is not so with nearly every frame."""
        if length > self.max_frame_bytes:
            raise UnreadableError(HTTP2, f"a frame of {length} bytes where {self.max_frame_bytes} are allowed")
        if not self._started:
            if kind != _SETTINGS:
                raise UnreadableError(HTTP2, "the first frame is not SETTINGS")
            self._started = True
        if self._block_stream and kind != _CONTINUATION:
            raise UnreadableError(HTTP2, "a header block is interrupted")
        if length != _FIXED_LENGTHS.get(kind, length) or (kind == _PING and stream):
            raise UnreadableError(HTTP2, f"a frame of type {kind} with {length} bytes on stream {stream}")

    def _begin_tapped(self, call: Call, data: bytes, pos: int, length: int, flags: int) -> int:
        """Begins the DATA frame of a tapped call at `pos`; where to go on, -1: when more has come."""
        start = pos + _FRAME.size
        if flags & _PADDED:
            if start == len(data):
                self._wait(data[pos:], _FRAME.size + 1)
                return -1
            self._padding = data[start]
            start += 1
            length -= 1 + self._padding
            if length < 0:
                raise UnreadableError(HTTP2, "more padding than DATA")
        elif 0 < length <= len(data) - start and length <= _PIECE_BYTES:
            # Nearly always: the whole frame is there.
            pos = start + length
            self._calls.data(self._now, call, self._direction, data, start, pos)
            if flags & _END_STREAM:
                self._calls.end(self._now, call.stream, self._direction)
            return pos
        self._call = call
        self._left = length
        self._ends_stream = bool(flags & _END_STREAM)
        return start if length else self._tapped(call, data, start, start)

    def _tapped(self, call: Call, data: bytes, pos: int, end: int) -> int:
        """Goes on with DATA of a tapped call; where that ends."""
        stop = min(end, pos + self._left, pos + _PIECE_BYTES)
        self._left -= stop - pos
        if not self._left:
            self._call = None
            self._skip, self._padding = self._padding, 0
        if stop > pos:
            self._calls.data(self._now, call, self._direction, data, pos, stop)
        if self._ends_stream and not self._left:
            self._calls.end(self._now, call.stream, self._direction)
        return stop

    def _whole(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == _SETTINGS:
            self._settings(flags, stream, payload)
        elif kind == _GOAWAY:
            if stream or len(payload) < 8:
                raise UnreadableError(HTTP2, "GOAWAY")
            if self._direction == TO_CLIENT:
                self._calls.go_away(self._now, int.from_bytes(payload[:4], "big") & _STREAM_MASK)
        elif not stream:
            raise UnreadableError(HTTP2, f"a frame of type {kind} on stream 0")
        elif kind == _RST_STREAM:
            self._calls.reset(self._now, stream, self._direction, int.from_bytes(payload, "big"))
        elif kind == _CONTINUATION:
            if stream != abs(self._block_stream):
                raise UnreadableError(HTTP2, "CONTINUATION of nothing")
            self._header_block(flags, self._block_stream, payload)
        else:
            self._block_ends_stream = bool(flags & _END_STREAM) and kind == _HEADERS
            payload = _without_padding(flags, payload, 4 if kind == _PUSH_PROMISE else 5 if flags & _PRIORITY else 0)
            # A push opens no call; its block is decoded for the table's sake.
            self._header_block(flags, stream if kind == _HEADERS else -stream, payload)

    def _header_block(self, flags: int, stream: int, fragment: bytes) -> None:
        if not flags & _END_HEADERS or self._block_stream:
            self._block_stream = stream
            self._block += fragment
            self._holding.take(len(fragment))
            if len(self._block) > _MAX_WHOLE_BYTES:
                raise UnreadableError(HPACK, f"a header block of more than {_MAX_WHOLE_BYTES} bytes")
            if not flags & _END_HEADERS:
                return
            fragment = bytes(self._block)
            self._holding.give(len(fragment))
            self._block = bytearray()
            self._block_stream = 0
        self._calls.worked += len(fragment) * _BLOCK_WORK
        try:
            fields = self.decoder.decode(fragment)
        except HeaderError as error:
            raise UnreadableError(HPACK, str(error)) from None
        if stream > 0:
            self._calls.headers(self._now, self._direction, stream, fields, end=self._block_ends_stream)

    def agreed(self, settings: bytes) -> None:
        """The receiving peer's SETTINGS came with an upgrade and count as acknowledged (RFC 7540 3.2.1)."""
        self.other.announce(settings)
        self.decoder.acknowledged()

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream or (flags & _ACK and payload):
            raise UnreadableError(HTTP2, "SETTINGS")
        if flags & _ACK:
            self.decoder.acknowledged()
        else:
            self.announce(payload)

    def announce(self, payload: bytes) -> None:
        """The sending peer's SETTINGS, which say how the other direction may be written."""
        if len(payload) % _SETTING.size:
            raise UnreadableError(HTTP2, "SETTINGS")
        table_bytes = None
        for setting, value in _SETTING.iter_unpack(payload):
            if setting == _SETTINGS_HEADER_TABLE_SIZE:
                table_bytes = value
            elif setting == _SETTINGS_MAX_FRAME_SIZE:
                # What is on its way may still be as large as the old value allows, so it only ever grows.
                self.other.max_frame_bytes = max(self.other.max_frame_bytes, value)
        try:
            self.other.decoder.announced(table_bytes)
        except HeaderError as error:
            raise UnreadableError(HTTP2, str(error)) from None


class Http2:
    """Both directions."""

    __slots__ = ("to_client", "to_server")

    def __init__(self, calls: Calls, holding: Holding) -> None:
        self.to_server = Half(TO_SERVER, calls, holding)
        self.to_client = Half(TO_CLIENT, calls, holding)
        self.to_server.other = self.to_client
        self.to_client.other = self.to_server

    def part(self) -> None:
        """Nothing more will be read: they are gone with the last reference, without the collector."""
        del self.to_server.other, self.to_client.other

    def half(self, direction: int) -> Half:
        """That of Message.Direction `direction`."""
        return self.to_server if direction == TO_SERVER else self.to_client


def _without_padding(flags: int, payload: bytes, fixed: int) -> bytes:
    """The header block fragment of HEADERS or PUSH_PROMISE: without padding and the `fixed` bytes before it (RFC 9113 6.2, 6.6)."""
    start, end = fixed, len(payload)
    if flags & _PADDED:
        start += 1
        end -= payload[0] if payload else 0
    if start > end:
        raise UnreadableError(HTTP2, "more padding than HEADERS")
    return payload[start:end]

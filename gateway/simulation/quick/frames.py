"""HTTP/2 and gRPC frames: made, and found in what arrives. Without flow control but for windows as wide as they get."""

from __future__ import annotations

import struct
from collections.abc import Iterator

DATA, HEADERS, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
FRAME = 9
PREFIX = 5
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MAX_FRAME = 16_384
#: Half of what there may be: it is given back before it is known to be used.
_WINDOW = 2**30


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame."""
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def grpc(message: bytes) -> bytes:
    """A message with its prefix."""
    return struct.pack(">BI", 0, len(message)) + message


def window(stream: int, count: int) -> bytes:
    """Room for so many bytes more, of the connection (0) or of a stream."""
    return frame(WINDOW_UPDATE, 0, stream, count.to_bytes(4, "big"))


#: What both sides begin with: windows as wide as they get.
OPENING = frame(SETTINGS, 0, 0, struct.pack(">HI", 4, _WINDOW)) + window(0, _WINDOW)
SETTINGS_ACK = frame(SETTINGS, ACK, 0, b"")


def frames(data: bytes) -> Iterator[tuple[int, int, int, int, int]]:
    """Of the whole frames in it: kind, flags, stream, and where the payload begins and ends."""
    at, length = 0, len(data)
    while at + FRAME <= length:
        size, kind, flags, stream = (
            data[at] << 16 | data[at + 1] << 8 | data[at + 2],
            data[at + 3],
            data[at + 4],
            data[at + 5 : at + 9],
        )
        end = at + FRAME + size
        if end > length:
            return
        yield kind, flags, int.from_bytes(stream, "big"), at + FRAME, end
        at = end

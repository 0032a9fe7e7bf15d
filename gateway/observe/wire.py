"""Length-delimited protobuf by hand: the framing of the record link, and messages put together from parts that are encoded already.

A length-delimited field is tag, varint length, bytes (protobuf's encoding guide); parts that stand one behind the other are one
message. So an entity is encoded once and its bytes go into every snapshot, batch and list that contain it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class FramingError(Exception):
    """Bytes that are not a sequence of length-delimited messages within the limit."""


def varint(number: int) -> bytes:
    """A whole number, not negative."""
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def delimited(message: bytes) -> bytes:
    """A message behind its length."""
    return varint(len(message)) + message


def field(number: int, messages: Iterable[bytes]) -> Iterator[bytes]:
    """The parts of a repeated (or, with one message, single) field of type message, for `b"".join`."""
    tag = varint(number << 3 | 2)
    for message in messages:
        yield tag
        yield varint(len(message))
        yield message


class Splitter:
    """Bytes as they arrive in, whole messages out. Keeps at most one message that is not whole yet."""

    def __init__(self, limit: int) -> None:
        #: Bytes of a message at most.
        self._limit = limit
        #: What has come of a message that is not whole, in the pieces in which it came: joined once it is, so that a large one is
        #: not copied with every piece.
        self._pieces: list[bytes] = []
        self._have = 0
        #: Bytes that have to be there before it is worth a look.
        self._need = 0

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """The messages that are whole now, as views.

        Raises:
            FramingError: a length is over the limit, or no varint. What follows cannot be found.
        """
        if self._pieces:
            self._pieces.append(data)
            self._have += len(data)
            if self._have < self._need:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        view = memoryview(data)
        start = 0
        size = len(data)
        need = 0
        while True:
            length = shift = 0
            position = start
            while position < size and (byte := data[position]) & 0x80:
                length |= (byte & 0x7F) << shift
                shift += 7
                position += 1
                if shift > 28:
                    raise FramingError("a length of more than five bytes")
            if position >= size:
                break
            length |= data[position] << shift
            if length > self._limit:
                raise FramingError(f"a message of {length} bytes, over the limit of {self._limit}")
            end = position + 1 + length
            if end > size:
                need = end - start
                break
            yield view[position + 1 : end]
            start = end
        if start < size:
            self._pieces.append(data[start:])
            self._have, self._need = size - start, need

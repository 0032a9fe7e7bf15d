"""Protobuf's wire format, as far as the tap writes and walks it (protobuf.dev, "Encoding"): bytes in, bytes and offsets out.

No message types: who calls knows the field numbers.
"""

from __future__ import annotations

#: Wire types.
VARINT = 0
FIXED64 = 1
LENGTH_DELIMITED = 2
FIXED32 = 5


class MalformedError(ValueError):
    """The bytes are not a protobuf message."""


def _encode(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


#: What nearly every length is, encoded once.
SHORT_VARINTS = tuple(_encode(value) for value in range(1 << 12))


def varint(value: int) -> bytes:
    """Encodes a non-negative number."""
    return SHORT_VARINTS[value] if value < len(SHORT_VARINTS) else _encode(value)


def tag(number: int, wire_type: int) -> bytes:
    """What a field begins with."""
    return varint(number << 3 | wire_type)


def delimited(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    return tag(number, LENGTH_DELIMITED) + varint(len(value)) + value


def text(number: int, value: str) -> bytes:
    """A string field; nothing when it is empty, as proto3 has it. What UTF-8 cannot say becomes a question mark."""
    return delimited(number, value.encode("utf-8", "replace")) if value else b""


def number(field: int, value: int) -> bytes:
    """A varint field; nothing when it is 0, as proto3 has it."""
    return tag(field, VARINT) + varint(value) if value else b""


def read_varint(data: bytes | bytearray, pos: int, end: int) -> tuple[int, int]:
    """Reads a varint before `end`: its value and where it ends.

    Raises:
        MalformedError: It is cut off, or longer than ten bytes.
    """
    value = shift = 0
    while pos < end:
        byte = data[pos]
        pos += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
        if shift > 63:
            break
    raise MalformedError("varint")


def read_field(data: bytes | bytearray, pos: int, end: int) -> tuple[int, int, int, int]:
    """Reads a field before `end`: its number, its wire type, where its value begins and where it ends.

    The value of a length-delimited field is what follows its length.

    Raises:
        MalformedError: It is cut off, has number 0, or is a group (which no message that the tap reads contains).
    """
    key, pos = read_varint(data, pos, end)
    field, wire_type = key >> 3, key & 7
    start = pos
    if wire_type == LENGTH_DELIMITED:
        length, start = read_varint(data, pos, end)
        pos = start + length
    elif wire_type == VARINT:
        _, pos = read_varint(data, pos, end)
    elif wire_type == FIXED64:
        pos += 8
    elif wire_type == FIXED32:
        pos += 4
    else:
        raise MalformedError("wire type")
    if pos > end or not field:
        raise MalformedError("field")
    return field, wire_type, start, pos

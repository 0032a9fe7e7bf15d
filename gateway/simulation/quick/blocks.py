"""Header blocks of the quick peers, encoded once (RFC 7541). In: a method, who calls it. Out: bytes that any decoder understands.

A connection's first request puts what all have in common into the dynamic table, the others refer to it; what differs from request
to request is never put there. Answers are the same bytes every time.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from hpack import Encoder, NeverIndexedHeaderTuple

from gateway.simulation.clients import METADATA_KEY

#: Of a literal that is not indexed, its name spelled out.
_LITERAL = b"\x00"
_SEVEN = 0x7F


@lru_cache
def requests(method: str, agent: str) -> tuple[bytes, bytes]:
    """The block of a connection's first request, and of any further one."""
    fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "nativelink:50051"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("user-agent", agent),
    ]
    encoder = Encoder()
    return encoder.encode(fields), encoder.encode(fields)


def metadata(value: bytes) -> bytes:
    """RequestMetadata, to be put behind the block of a request."""
    return _LITERAL + _text(METADATA_KEY.encode()) + _text(base64.b64encode(value).rstrip(b"="))


def _fixed(*fields: tuple[str, str]) -> bytes:
    return Encoder().encode([NeverIndexedHeaderTuple(*each) for each in fields], huffman=False)


HEAD = _fixed((":status", "200"), ("content-type", "application/grpc"))
#: Trailers of a call that went well.
TAIL = _fixed(("grpc-status", "0"))


def failure(code: int, message: str) -> bytes:
    """An answer that is over before it began; the message is ASCII without %."""
    return _fixed((":status", "200"), ("content-type", "application/grpc"), ("grpc-status", str(code)), ("grpc-message", message))


def _text(text: bytes) -> bytes:
    """A string literal, not Huffman coded; its length is an integer with a prefix of seven bits."""
    length = len(text)
    if length < _SEVEN:
        return bytes((length,)) + text
    found = bytearray((_SEVEN,))
    length -= _SEVEN
    while length > _SEVEN:
        found.append(length & _SEVEN | 0x80)
        length >>= 7
    found.append(length)
    return bytes(found) + text

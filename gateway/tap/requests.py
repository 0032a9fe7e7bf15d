"""Bytes of a reader of the record link come in, its ReadRequest and Acknowledgements go out (protos/gateway/pb/tap.proto)."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.tap.wire import FIXED64, LENGTH_DELIMITED, MalformedError, read_field, read_varint

_MAX_MESSAGE_BYTES = 4096


class RequestFrames:
    """Length-delimited messages, whole ones only."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete now.

        Raises:
            MalformedError: One is longer than any of them is.
        """
        self._rest += data
        while self._rest:
            try:
                length, start = read_varint(self._rest, 0, len(self._rest))
            except MalformedError:
                if len(self._rest) >= 10:
                    raise
                return
            if length > _MAX_MESSAGE_BYTES:
                raise MalformedError("a message that is too long")
            if len(self._rest) < start + length:
                return
            message = bytes(self._rest[start : start + length])
            del self._rest[: start + length]
            yield message


def read_request(request: bytes) -> tuple[str, int]:
    """Run and next_sequence of a ReadRequest.

    Raises:
        MalformedError: It is none.
    """
    run, next_sequence, pos = "", 0, 0
    while pos < len(request):
        field, wire_type, start, pos = read_field(request, pos, len(request))
        if (field, wire_type) == (1, LENGTH_DELIMITED):
            run = request[start:pos].decode("utf-8", "replace")
        elif (field, wire_type) == (2, FIXED64):
            next_sequence = int.from_bytes(request[start:pos], "little")
    return run, next_sequence


def read_acknowledgement(message: bytes) -> int:
    """Sequence of an Acknowledgement.

    Raises:
        MalformedError: It is none.
    """
    sequence, pos = 0, 0
    while pos < len(message):
        field, wire_type, start, pos = read_field(message, pos, len(message))
        if (field, wire_type) == (1, FIXED64):
            sequence = int.from_bytes(message[start:pos], "little")
    return sequence

"""What two tap processes tell each other, as bytes and back. As `gateway.tap.moving` this is meant to stay."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from gateway.config.types import Config
from gateway.tap.moving import Moving, MovingSide, Reading

#: Of these messages and their order. Processes that speak another one do not hand over to each other.
PROTOCOL = 1
_OPEN_STATE = struct.Struct(">QQ")
_HEADER = struct.Struct(">I")
#: Flags of a side, by number.
_SIDE = dict(enumerate(("is_gone", "finished", "closing", "resetting")))
#: What comes of JSON, or of anything else, that is not what it should be.
_WRONG = (ValueError, KeyError, TypeError, RecursionError, struct.error)


class MessageError(ValueError):
    """The bytes are no such message."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a process is."""

    protocol: int
    release: str
    #: Of its snapshots.
    layout: str
    #: A supervisor keeps it.
    supervised: bool
    #: Name, listen, upstream, words of carries, scheduler of each tap.
    taps: list[list[Any]]

    def encode(self) -> bytes:
        """JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Hello:
        """Keys of later releases are not looked at.

        Raises:
            MessageError: It is none.
        """
        try:
            values = json.loads(data)
            return cls(*(values[field.name] for field in fields(cls)))
        except _WRONG as error:
            raise MessageError(f"no hello: {error}") from error


def taps_of(config: Config) -> list[list[Any]]:
    """Hello.taps: what cannot change while connections live on."""
    return [
        [tap.name, str(tap.listen), str(tap.upstream), sorted(each.value for each in tap.carries), tap.scheduler]
        for tap in config.taps
    ]


def encode_open_state(position: int, sequence: int, state: bytes) -> bytes:
    """OPEN_STATE: of the ring's first record, and what was open before it (`snapshot.dump`)."""
    return _OPEN_STATE.pack(position, sequence) + state


def decode_open_state(data: bytes) -> tuple[int, int, bytes]:
    """Position, sequence, state.

    Raises:
        MessageError: It is none.
    """
    if len(data) < _OPEN_STATE.size:
        raise MessageError("no open state")
    position, sequence = _OPEN_STATE.unpack_from(data)
    return position, sequence, data[_OPEN_STATE.size :]


@dataclass(frozen=True, slots=True)
class State:
    """STATE: everything that has not been said, but for the descriptors and what decoders know.

    Those come next: descriptors of each listener, then of each connection's sides; then DECODERS, `snapshot.dump` of the run, where
    the layouts are the same.
    """

    #: CLOCK_MONOTONIC nanoseconds at which forwarding stood still.
    paused_ns: int
    #: Names.
    listeners: list[str]
    connections: list[Moving]
    #: Records after those that were said before.
    records: bytes

    @property
    def descriptors(self) -> int:
        """How many come."""
        return len(self.listeners) + sum(len(each.sides) for each in self.connections)

    def encode(self) -> bytes:
        """A header in JSON with the lengths of the bytes that follow it."""
        blobs = [self.records]
        connections = []
        for each in self.connections:
            sides = [None if side is None else _encode_side(side, blobs) for side in (each.client, each.upstream)]
            connections.append([each.number, each.listener, each.peer, each.reading, each.by, each.with_reset, *sides])
        header = json.dumps(
            {
                "paused_ns": self.paused_ns,
                "listeners": self.listeners,
                "connections": connections,
                "records": len(self.records),
            }
        ).encode()
        return b"".join((_HEADER.pack(len(header)), header, *blobs))

    @classmethod
    def decode(cls, data: bytes) -> State:
        """Keys of later releases are not looked at.

        Raises:
            MessageError: It is none.
        """
        try:
            (length,) = _HEADER.unpack_from(data)
            header = json.loads(data[_HEADER.size : _HEADER.size + length])
            blobs = _Blobs(data, _HEADER.size + length)
            records = blobs.take(header["records"])
            connections = [
                Moving(number, listener, peer, Reading(reading), side, _decode_side(upstream, blobs), by, with_reset)
                for number, listener, peer, reading, by, with_reset, client, upstream in header["connections"]
                if (side := _decode_side(client, blobs)) is not None
            ]
            return cls(header["paused_ns"], header["listeners"], connections, records)
        except _WRONG as error:
            raise MessageError(f"no state: {error}") from error


class _Blobs:
    """Bytes, one piece after the other."""

    def __init__(self, data: bytes, pos: int) -> None:
        self._data = data
        self._pos = pos

    def take(self, size: int) -> bytes:
        """The next piece."""
        taken = self._data[self._pos : self._pos + size]
        if not 0 <= size == len(taken):
            raise MessageError("cut off")
        self._pos += size
        return taken


def _encode_side(side: MovingSide, blobs: list[bytes]) -> list[int]:
    """Length of what is unsent, which goes to the blobs, and numbers of the flags that are set."""
    blobs.append(side.unsent)
    return [len(side.unsent), *(number for number, name in _SIDE.items() if getattr(side, name))]


def _decode_side(side: Sequence[int] | None, blobs: _Blobs) -> MovingSide | None:
    if side is None:
        return None
    unsent, *flags = side
    return MovingSide(unsent=blobs.take(unsent), **{_SIDE[number]: True for number in flags})

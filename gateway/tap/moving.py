"""A connection on its way to another process, besides its sockets and what its decoder knows.

No release may change what this means: it is all that forwarding needs, so that one whose decoders are different still cuts nothing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from gateway.tap.connection import ConnectionDecoder


class Reading(IntEnum):
    """What its decoder made of it."""

    #: Nothing was said yet: any decoder can begin.
    FRESH = 0
    #: It is read: only a decoder that knows what came before can go on.
    READ = 1
    BLIND = 2
    #: It is nothing special.
    IGNORED = 3


class MovingSide(NamedTuple):
    """One of its two ends."""

    #: Closed already.
    is_gone: bool = False
    #: Of its socket in this process; -1: it is gone, or came from another process.
    descriptor: int = -1
    #: What it was told and the system has not taken.
    unsent: bytes = b""
    #: It sent FIN.
    finished: bool = False
    #: Closed as soon as it has taken what it was told.
    closing: bool = False
    #: Reset once it has acknowledged what it was told.
    resetting: bool = False


class Moving(NamedTuple):
    """One connection."""

    number: int
    listener: str
    peer: str
    reading: Reading
    client: MovingSide
    #: None: it is being dialled.
    upstream: MovingSide | None = None
    #: ConnectionClosed.By of who ended it, 0: nobody has; and how.
    by: int = 0
    with_reset: bool = False

    @classmethod
    def of(
        cls, decoder: ConnectionDecoder, client: MovingSide, upstream: MovingSide | None, by: int = 0, *, with_reset: bool = False
    ) -> Moving:
        """Of a decoder's connection."""
        return cls(decoder.number, decoder.listener, decoder.peer, _reading(decoder), client, upstream, by, with_reset)

    @property
    def sides(self) -> tuple[MovingSide, ...]:
        """Those whose sockets come along: the client's first."""
        return tuple(side for side in (self.client, self.upstream) if side is not None and not side.is_gone)


def _reading(decoder: ConnectionDecoder) -> Reading:
    if decoder.is_blind:
        return Reading.BLIND
    if not decoder.reads:
        return Reading.IGNORED
    return Reading.FRESH if decoder.is_fresh else Reading.READ

"""One connection, both sides: what one side says is written to the other before anything else, and then given to the intake.

Half-close, reset and back-pressure pass through: FIN becomes FIN, RST becomes RST, and a side that takes nothing more stops the
reading of the other.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from time import monotonic_ns
from typing import cast

from gateway.tap.connection import ConnectionDecoder
from gateway.tap.encryption import Encryption
from gateway.tap.intake import Intake
from gateway.tap.moving import Moving, MovingSide
from gateway.tap.records import BY_CLIENT, BY_TAP, BY_UPSTREAM, TO_CLIENT, TO_SERVER
from gateway.tap.unsent import Unsent

#: What may wait to be written to one side before the other is not read any more.
_WRITE_BUFFER_BYTES = 256 * 1024
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
#: How long a side that is to be reset gets to take what it was told before.
_DELIVERY_S = 5.0
_DELIVERY_POLL_S = 0.02
#: States of a socket that has not said its end: ESTABLISHED, CLOSE_WAIT (tcp_states.h of Linux).
_MAY_TALK = frozenset({1, 8})


def prepare(sock: socket.socket) -> None:
    """Sets what both sides of a splice have: a peer that vanished without FIN is noticed after two minutes of silence.

    One that owes acknowledgements is noticed by the system's retries (tcp_retries2, a quarter of an hour). TCP_USER_TIMEOUT would
    make that shorter, and end as well who is alive and has stopped reading, which no tap may do.
    """
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 6)


def reset(sock: socket.socket) -> None:
    """Closes with RST instead of FIN."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    sock.close()


def has_said_end(sock: socket.socket) -> bool:
    """FIN is sent, or to be sent after what the kernel has (TCP_INFO, tcp(7))."""
    state = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    return state not in _MAY_TALK


def _unacknowledged(sock: socket.socket) -> int:
    """Bytes in the kernel that the peer has not acknowledged (SIOCOUTQ, tcp(7))."""
    (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
    return int(count)


class _Side(asyncio.Protocol):
    """One of a connection's two ends."""

    __slots__ = (
        "_by",
        "_decoder",
        "_delays",
        "_direction",
        "_early",
        "_intake",
        "_loop",
        "_reset_by",
        "_splice",
        "_to_tell",
        "_unsent",
        "finished",
        "gone",
        "is_full",
        "other",
        "transport",
    )

    other: _Side

    def __init__(self, splice: Splice, direction: int, by: int) -> None:
        self._splice = splice
        self._decoder = splice.decoder
        self._intake = splice.intake
        self._delays = splice.intake.delays
        #: Of what this side says.
        self._direction = direction
        #: ConnectionClosed.By, of this side.
        self._by = by
        self.transport: asyncio.Transport | None = None
        #: It sent FIN.
        self.finished = False
        self.gone = False
        #: What it said before the other side was there: one read, then it is paused.
        self._early = b""
        self._loop = asyncio.get_running_loop()
        #: Loop time at which it is reset, whatever it has not acknowledged; 0: it is not to be reset.
        self._reset_by = 0.0
        #: What it was told and has not taken.
        self._unsent = Unsent()
        #: What the process before this one had not yet told it.
        self._to_tell = b""
        #: It takes nothing more for the moment.
        self.is_full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        if self._to_tell:
            self._tell(self.transport, self._to_tell)
            self._to_tell = b""
        self.other.partner_made(self.transport)

    def partner_made(self, transport: asyncio.Transport) -> None:
        """The other side is there: it gets what was said before."""
        if self.transport is None:
            return
        if self.gone:
            self.other.end(with_reset=True)
        elif self._early or self.finished:
            if self._early:
                self.other._tell(transport, self._early)  # noqa: SLF001 - its own class
                self._early = b""
                self.transport.resume_reading()
            if self.finished and not has_said_end(transport.get_extra_info("socket")):
                self._pass_end(transport)

    def data_received(self, data: bytes) -> None:
        began = monotonic_ns()
        other = self.other
        if other.transport is None:
            self._early += data
            cast("asyncio.Transport", self.transport).pause_reading()
        elif not other.transport.is_closing():
            other._tell(other.transport, data)  # noqa: SLF001 - its own class
        now = monotonic_ns()
        self._delays.forwarded(began, now)
        if self._decoder.reads:
            self._intake.chunk(now, self._decoder, self._direction, data)
        else:
            self._decoder.forwarded(len(data))

    def _tell(self, transport: asyncio.Transport, data: bytes) -> None:
        transport.write(data)
        self._unsent.wrote(data, transport.get_write_buffer_size())

    def eof_received(self) -> bool:
        if self.finished:
            return True  # the process before this one saw it
        self.finished = True
        self._splice.ended(self._by, with_reset=False)
        decoder, direction = self._decoder, self._direction
        self._intake.happened(lambda now: decoder.eof(now, direction))
        other = self.other
        if other.transport is not None and not other.transport.is_closing():
            self._pass_end(other.transport)
            if other.finished:
                # Both have said everything: each is closed when it has taken what it was told.
                other.end(with_reset=False)
                self.end(with_reset=False)
        return True

    def _pass_end(self, to: asyncio.Transport) -> None:
        """An end that TLS did not vouch for is passed on as such where that can be told."""
        if isinstance(to, Encryption) and isinstance(self.transport, Encryption) and self.transport.is_truncated:
            to.write_fin()
        else:
            to.write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone = True
        if exc is not None:
            self._splice.ended(self._by, with_reset=True)
            self.other.reset_after_delivery()
        elif not self.finished:
            self.other.end(with_reset=False)
        self._splice.side_gone()

    def pause_writing(self) -> None:
        self.is_full = True
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        if self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()

    def reset_after_delivery(self) -> None:
        """Resets this side once it has acknowledged what it was told.

        Without the tap a reset overtakes nothing that was said before it. Nearly always nothing is on its way: then at once.
        """
        if self.transport is None or self.transport.is_closing():
            return
        sock = self.transport.get_extra_info("socket")
        now = self._loop.time()
        self._reset_by = self._reset_by or now + _DELIVERY_S
        if now < self._reset_by and (self.transport.get_write_buffer_size() or _unacknowledged(sock)):
            self._loop.call_later(_DELIVERY_POLL_S, self.reset_after_delivery)
        else:
            self.end(with_reset=True)

    def end(self, *, with_reset: bool) -> None:
        """Closes this side: with RST at once, or with FIN after what it was told."""
        if self.transport is None or self.gone:
            return
        if with_reset:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()
        else:
            self.transport.close()

    def part(self) -> None:
        """Both sides are gone, and go with the last reference to them, without the collector."""
        self.transport = None
        del self.other, self._splice

    @property
    def is_settled(self) -> bool:
        """It is made, and if it is closed it knows."""
        return self.gone or (self.transport is not None and self._descriptor >= 0)

    @property
    def _descriptor(self) -> int:
        """-1: closed."""
        sock = cast("asyncio.Transport", self.transport).get_extra_info("socket")
        return -1 if sock is None else cast("int", sock.fileno())

    def let_go(self) -> None:
        """Of what it has taken by now."""
        if self.transport is not None and not self.gone:
            self._unsent.let_go(self.transport.get_write_buffer_size())

    def moving(self) -> MovingSide:
        """What a process needs to know that goes on with it."""
        descriptor = -1 if self.transport is None or self.gone else self._descriptor
        if self.transport is None or descriptor < 0:
            return MovingSide(is_gone=True, finished=self.finished)
        left = self.transport.get_write_buffer_size()
        unsent = self._unsent.last(left) if left else b""
        return MovingSide(False, descriptor, unsent, self.finished, self.transport.is_closing(), bool(self._reset_by))

    def prepare_to_go_on(self, moved: MovingSide) -> None:
        """It is about to be made from the socket that was another process's."""
        self.gone = moved.is_gone
        self.finished = moved.finished
        self._to_tell = moved.unsent

    def go_on(self, moved: MovingSide) -> None:
        """It is made, and so is the other unless that is gone."""
        if self.transport is None or self.transport.is_closing():
            return
        if self.is_full:
            self.pause_writing()
        if moved.closing:
            self.end(with_reset=False)
        elif moved.resetting:
            self.reset_after_delivery()
        elif self.other.finished and not has_said_end(self.transport.get_extra_info("socket")):
            self.transport.write_eof()


class Splice:
    """A client's connection and the one that was dialled for it."""

    __slots__ = ("_by", "_over", "_sides_left", "_with_reset", "client", "decoder", "intake", "upstream")

    def __init__(self, decoder: ConnectionDecoder, intake: Intake, over: Callable[[Splice], None]) -> None:
        """`over` is called when both sides are gone."""
        self.decoder = decoder
        self.intake = intake
        self._over = over
        self._sides_left = 2
        #: Who ended it first, and how.
        self._by = 0
        self._with_reset = False
        self.client = _Side(self, TO_SERVER, BY_CLIENT)
        self.upstream = _Side(self, TO_CLIENT, BY_UPSTREAM)
        self.client.other = self.upstream
        self.upstream.other = self.client

    def ended(self, by: int, *, with_reset: bool) -> None:
        """A side ended; the first counts."""
        if not self._by:
            self._by, self._with_reset = by, with_reset

    @property
    def is_settled(self) -> bool:
        """Nothing is being made, and no end is on its way from a socket to here."""
        return self.client.is_settled and self.upstream.is_settled

    def let_go(self) -> None:
        """Of what is kept of bytes that have been sent by now."""
        self.client.let_go()
        self.upstream.let_go()

    def moving(self) -> Moving:
        """What a process needs to know that goes on with it; it is settled."""
        return Moving.of(self.decoder, self.client.moving(), self.upstream.moving(), self._by, with_reset=self._with_reset)

    async def go_on(self, moved: Moving, client: socket.socket | None, upstream: socket.socket | None) -> None:
        """Is made from sockets that were another process's; None: that side is gone.

        Raises:
            OSError: One cannot be used. The caller closes both, and the splice is over.
        """
        self._by, self._with_reset = moved.by, moved.with_reset
        self._sides_left = (client is not None) + (upstream is not None)
        loop = asyncio.get_running_loop()
        sides = ((self.upstream, cast("MovingSide", moved.upstream), upstream), (self.client, moved.client, client))
        for side, was, _ in sides:
            side.prepare_to_go_on(was)
        for side, _, sock in sides:
            if sock is not None:
                await loop.connect_accepted_socket(lambda side=side: side, sock=sock)  # type: ignore[misc] # mypy infers no default
        for side, was, _ in sides:
            # uvloop begins to read after connection_made: only now can it be told not to.
            side.go_on(was)

    def side_gone(self) -> None:
        """A side is closed."""
        self._sides_left -= 1
        if self._sides_left:
            return
        decoder, by, with_reset = self.decoder, self._by or BY_TAP, self._with_reset
        self.intake.happened(lambda now: decoder.closed(now, by, reset=with_reset))
        self._over(self)
        self.client.part()
        self.upstream.part()

    def unmet(self) -> None:
        """The client's side could not be made; its socket is closed by who accepted it."""
        self.ended(BY_TAP, with_reset=False)
        self.upstream.end(with_reset=True)
        self.side_gone()

    def close(self) -> None:
        """The tap stops: each side gets what it was told, then FIN."""
        self.ended(BY_TAP, with_reset=False)
        self.client.end(with_reset=False)
        self.upstream.end(with_reset=False)

    def abort(self) -> None:
        """The tap cannot wait any longer."""
        for side in (self.client, self.upstream):
            if side.transport is not None and not side.gone:
                side.transport.abort()

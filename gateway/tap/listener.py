"""One of the tap's listeners: accepts, dials upstream at once, and splices the two.

Whoever connects while upstream does not answer is reset. At the bound of file descriptors accepting pauses; connects wait in
the backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from typing import Any

from gateway.config.types import Address, Tap
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.dial import DialError, dial
from gateway.tap.encryption import HandshakeError
from gateway.tap.handshake import Ends, TapTls
from gateway.tap.intake import Intake
from gateway.tap.records import BY_CLIENT, BY_TAP
from gateway.tap.room import Room, connections_that_fit
from gateway.tap.splice import Splice, prepare, reset

_log = logging.getLogger(__name__)

#: Accepted in a row before others get their turn.
_ACCEPTS = 64
#: How long accepting pauses when the system has no descriptor or memory left.
_PAUSE_S = 0.1


class TapListener:
    """Accepts on a socket that listens; the socket is the caller's."""

    def __init__(
        self,
        tap: Tap,
        sock: socket.socket,
        intake: Intake,
        decoder: Callable[[str, str], ConnectionDecoder],
        tls: TapTls | None = None,
        room: Room | None = None,
    ) -> None:
        """`decoder` makes one for a listener's name and a peer. Without `tls` both sides are plaintext; `room` may be shared."""
        self._tap = tap
        self._room = room or Room(connections_that_fit())
        #: Accepting waits for room, which was said.
        self._is_full = False
        self._stopped = False
        self._tls = tls
        self._sock = sock
        self._intake = intake
        self._decoder = decoder
        self._loop = asyncio.get_running_loop()
        self._dials: set[asyncio.Task[bool]] = set()
        self._splices: set[Splice] = set()
        self._handle: asyncio.Handle | None = None
        #: Upstream answers, as far as was seen.
        self._upstream_answers = True
        self._over = asyncio.Event()

    def start(self) -> None:
        """Accepts from now on."""
        if self._stopped:
            return
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def stop(self, within_s: float) -> None:
        """Accepts nothing more and ends what is open: what was told is delivered, for so long, then FIN."""
        self._stopped = True
        self._loop.remove_reader(self._sock.fileno())
        if self._handle is not None:
            self._handle.cancel()
        dials = list(self._dials)
        for each in dials:
            each.cancel()
        await asyncio.gather(*dials, return_exceptions=True)
        for splice in list(self._splices):
            splice.close()
        if await self._ended(within_s):
            return
        for splice in list(self._splices):
            splice.abort()
        await self._ended(within_s)

    async def _ended(self, within_s: float) -> bool:
        """Waits for the splices to end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self._splices:
                    self._over.clear()
                    await self._over.wait()
        return not self._splices

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            if not self._room.enter():
                self._wait_for_room()
                return
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                self._room.leave()
                return
            except OSError as error:
                self._room.leave()
                self._pause(error)
                return
            self._accepted(sock, peer)

    def _wait_for_room(self) -> None:
        self._loop.remove_reader(self._sock.fileno())
        self._room.wait(self.start)
        if not self._is_full:
            self._is_full = True
            _log.error(
                "tap %s accepts nothing until a connection ends: %d are open, as many as its open files allow. Raise the limit "
                "(ulimit -n, LimitNOFILE= of the unit, --ulimit nofile= of the container)",
                self._tap.name,
                self._room.used,
            )

    def _pause(self, error: OSError) -> None:
        _log.error("tap %s accepts nothing for the moment: %s", self._tap.name, error.strerror or error)
        self._loop.remove_reader(self._sock.fileno())
        self._handle = self._loop.call_later(_PAUSE_S, self.start)

    def _accepted(self, sock: socket.socket, peer: Any) -> None:
        address = str(Address(peer[0], peer[1]))
        decoder = self._decoder(self._tap.name, address)
        self._intake.happened(decoder.opened)
        if self._room.used <= self._room.limit // 2:
            self._is_full = False
        task = self._loop.create_task(
            self._connect(sock, decoder, address), name=f"tap {self._tap.name} connection {decoder.number}"
        )
        self._dials.add(task)
        task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[bool]) -> None:
        self._dials.discard(task)
        if task.cancelled() or not task.result():
            self._room.leave()

    async def _connect(self, sock: socket.socket, decoder: ConnectionDecoder, peer: str) -> bool:
        """Dials for an accepted connection; whether that became a splice, which ends by itself.

        Until upstream is there the client's bytes wait in its socket: bounded.
        """
        try:
            prepare(sock)
            upstream = await dial(self._tap.upstream, self._tap.dial_timeout_s)
        except DialError as error:
            self._refused(decoder, str(error))
            reset(sock)
            self._intake.happened(lambda now: decoder.closed(now, BY_TAP, reset=True))
            return False
        except (OSError, asyncio.CancelledError):
            # The client is gone already, or the tap stops.
            sock.close()
            self._intake.happened(lambda now: decoder.closed(now, BY_TAP, reset=False))
            return False
        try:
            client_tls, upstream_tls = await self._agree(sock, upstream, decoder, peer)
        except HandshakeError as error:
            if error.is_upstream:
                self._refused(decoder, str(error))
            by, with_reset = BY_CLIENT if error.is_peers_end else BY_TAP, error.is_upstream
            self._intake.happened(lambda now: decoder.closed(now, by, reset=with_reset))
            return False
        except (OSError, asyncio.CancelledError):
            self._intake.happened(lambda now: decoder.closed(now, BY_TAP, reset=False))
            return False
        if upstream_tls is None:
            self._answered()
        splice = Splice(decoder, self._intake, self._splice_over)
        self._splices.add(splice)
        try:
            if upstream_tls is None:
                await self._loop.create_connection(lambda: splice.upstream, sock=upstream)
            else:
                upstream_tls.attach(splice.upstream)
            if client_tls is None:
                await self._loop.connect_accepted_socket(lambda: splice.client, sock=sock)
            else:
                client_tls.attach(splice.client)
        except (OSError, asyncio.CancelledError):
            if splice.upstream.transport is None:
                upstream.close()
                splice.side_gone()
            if splice.client.transport is None:
                if client_tls is not None:
                    client_tls.abort()
                sock.close()
                splice.unmet()
        return True

    async def _agree(self, sock: socket.socket, upstream: socket.socket, decoder: ConnectionDecoder, peer: str) -> Ends:
        """TLS on the sides that have it."""
        if self._tls is None:
            return None, None
        return await self._tls.agree(sock, upstream, peer, self._answered, lambda reason: self._refused(decoder, reason))

    def _splice_over(self, splice: Splice) -> None:
        self._splices.discard(splice)
        self._over.set()
        self._room.leave()

    def _refused(self, decoder: ConnectionDecoder, reason: str) -> None:
        self._intake.happened(lambda now: decoder.refused(now, reason))
        if self._upstream_answers:
            self._upstream_answers = False
            _log.warning("tap %s: upstream does not answer: %s", self._tap.name, reason)

    def _answered(self) -> None:
        if not self._upstream_answers:
            self._upstream_answers = True
            _log.info("tap %s: upstream answers again", self._tap.name)

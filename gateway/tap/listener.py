"""One of the tap's listeners: accepts, dials upstream at once, and splices the two.

Whoever connects while upstream does not answer is reset. At the bound of file descriptors accepting pauses; connects wait in
the backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any, cast

from gateway.config.types import Address, Tap
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.dial import DialError, dial
from gateway.tap.encryption import HandshakeError
from gateway.tap.handshake import Ends, TapTls
from gateway.tap.intake import Intake
from gateway.tap.moving import Moving, MovingSide
from gateway.tap.records import BY_CLIENT, BY_TAP
from gateway.tap.room import Room, connections_that_fit
from gateway.tap.splice import Splice, prepare, reset

_log = logging.getLogger(__name__)

#: Accepted in a row before others get their turn.
_ACCEPTS = 64
#: How long what was sent may be kept.
_LET_GO_S = 10.0
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
        #: By task: what is dialled for; None: it has become a splice.
        self._dials: dict[asyncio.Task[bool], tuple[socket.socket, ConnectionDecoder] | None] = {}
        self._splices: set[Splice] = set()
        self._adoptions: set[asyncio.Task[None]] = set()
        self._handle: asyncio.Handle | None = None
        self._letting_go: asyncio.Handle | None = None
        #: Upstream answers, as far as was seen.
        self._upstream_answers = True
        self._over = asyncio.Event()

    def start(self) -> None:
        """Accepts from now on."""
        if self._stopped:
            return
        self._sock.setblocking(False)
        if self._letting_go is None:
            self._let_go()
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def stop(self, within_s: float) -> None:
        """Accepts nothing more and ends what is open: what was told is delivered, for so long, then FIN."""
        self._stopped = True
        self._loop.remove_reader(self._sock.fileno())
        for handle in (self._handle, self._letting_go):
            if handle is not None:
                handle.cancel()
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
        decoder = self._decoder(self._tap.name, str(Address(peer[0], peer[1])))
        self._intake.happened(decoder.opened)
        if self._room.used <= self._room.limit // 2:
            self._is_full = False
        self._dial(sock, decoder)

    def _dial(self, sock: socket.socket, decoder: ConnectionDecoder) -> None:
        task = self._loop.create_task(self._connect(sock, decoder), name=f"tap {self._tap.name} connection {decoder.number}")
        self._dials[task] = sock, decoder
        task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[bool]) -> None:
        del self._dials[task]
        if task.cancelled() or not task.result():
            self._room.leave()

    async def _connect(self, sock: socket.socket, decoder: ConnectionDecoder) -> bool:
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
            client_tls, upstream_tls = await self._agree(sock, upstream, decoder)
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
        self._dials[cast("asyncio.Task[bool]", asyncio.current_task())] = None
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

    async def _agree(self, sock: socket.socket, upstream: socket.socket, decoder: ConnectionDecoder) -> Ends:
        """TLS on the sides that have it."""
        if self._tls is None:
            return None, None
        return await self._tls.agree(sock, upstream, decoder.peer, self._answered, lambda reason: self._refused(decoder, reason))

    @property
    def _can_move(self) -> bool:
        """TLS cannot: what it knows is OpenSSL's."""
        return self._tap.tls is None and self._tap.upstream_tls is None

    @property
    def is_settled(self) -> bool:
        """No connection is between two states, of those that can move."""
        return not self._can_move or all(splice.is_settled for splice in self._splices)

    @property
    def is_dialling(self) -> bool:
        """For any connection that can move."""
        return self._can_move and any(each is not None for each in self._dials.values())

    @property
    def decoders(self) -> list[ConnectionDecoder]:
        """Of its connections."""
        return [*(splice.decoder for splice in self._splices), *(each[1] for each in self._dials.values() if each is not None)]

    def moving(self) -> list[Moving]:
        """Its connections, settled, as another process needs them to go on with them, as far as they can move."""
        if not self._can_move:
            return []
        dialling = [
            Moving.of(decoder, MovingSide(descriptor=sock.fileno()), None)
            for sock, decoder in filter(None, self._dials.values())
            if sock.fileno() >= 0
        ]
        return [*(splice.moving() for splice in self._splices), *dialling]

    def go_on(self, moved: Moving, decoder: ConnectionDecoder, socks: Sequence[socket.socket]) -> None:
        """Goes on with another process's connection; `socks` are those of `moved.sides`."""
        self._room.admit()
        if moved.upstream is None:
            self._dial(socks[0], decoder)
        else:
            task = self._loop.create_task(self._go_on(moved, decoder, socks), name=f"tap {self._tap.name} adopts {decoder.number}")
            self._adoptions.add(task)
            task.add_done_callback(self._adoptions.discard)

    async def adopted(self) -> None:
        """Waits until all are made."""
        await asyncio.gather(*self._adoptions)

    async def _go_on(self, moved: Moving, decoder: ConnectionDecoder, socks: Sequence[socket.socket]) -> None:
        splice = Splice(decoder, self._intake, self._splice_over)
        self._splices.add(splice)
        left = iter(socks)
        client = None if moved.client.is_gone else next(left)
        upstream = None if cast("MovingSide", moved.upstream).is_gone else next(left)
        try:
            await splice.go_on(moved, client, upstream)
        except OSError as error:
            _log.warning("tap %s: connection %d is lost: %s", self._tap.name, decoder.number, error.strerror or error)
            splice.abort()
            for sock in socks:
                sock.close()
            self._intake.happened(lambda now: decoder.closed(now, BY_TAP, reset=False))
            self._splice_over(splice)

    def _let_go(self) -> None:
        """What was sent long ago is not kept for somebody who goes on with it."""
        for splice in self._splices:
            splice.let_go()
        self._letting_go = self._loop.call_later(_LET_GO_S, self._let_go)

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

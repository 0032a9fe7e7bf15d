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
from gateway.tap.intake import Intake
from gateway.tap.moving import Moving, MovingSide
from gateway.tap.records import BY_TAP
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

    def __init__(self, tap: Tap, sock: socket.socket, intake: Intake, decoder: Callable[[str, str], ConnectionDecoder]) -> None:
        """`decoder` makes one for a listener's name and a peer."""
        self._tap = tap
        self._sock = sock
        self._intake = intake
        self._decoder = decoder
        self._loop = asyncio.get_running_loop()
        #: By task: what is dialled for.
        self._dials: dict[asyncio.Task[None], tuple[socket.socket, ConnectionDecoder]] = {}
        self._splices: set[Splice] = set()
        self._adoptions: set[asyncio.Task[None]] = set()
        self._handle: asyncio.Handle | None = None
        self._letting_go: asyncio.Handle | None = None
        #: Upstream answers, as far as was seen.
        self._upstream_answers = True
        self._over = asyncio.Event()

    def start(self) -> None:
        """Accepts from now on."""
        self._sock.setblocking(False)
        if self._letting_go is None:
            self._let_go()
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def stop(self, within_s: float) -> None:
        """Accepts nothing more and ends what is open: what was told is delivered, for so long, then FIN."""
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
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause(error)
                return
            self._accepted(sock, peer)

    def _pause(self, error: OSError) -> None:
        _log.error("tap %s accepts nothing for the moment: %s", self._tap.name, error.strerror or error)
        self._loop.remove_reader(self._sock.fileno())
        self._handle = self._loop.call_later(_PAUSE_S, self.start)

    def _accepted(self, sock: socket.socket, peer: Any) -> None:
        decoder = self._decoder(self._tap.name, str(Address(peer[0], peer[1])))
        self._intake.happened(decoder.opened)
        self._dial(sock, decoder)

    def _dial(self, sock: socket.socket, decoder: ConnectionDecoder) -> None:
        task = self._loop.create_task(self._connect(sock, decoder), name=f"tap {self._tap.name} connection {decoder.number}")
        self._dials[task] = sock, decoder
        task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dials.pop(task, None)

    async def _connect(self, sock: socket.socket, decoder: ConnectionDecoder) -> None:
        """Dials for an accepted connection. Until upstream is there the client's bytes wait in its socket: bounded."""
        try:
            prepare(sock)
            upstream = await dial(self._tap.upstream, self._tap.dial_timeout_s)
        except DialError as error:
            self._refused(decoder, str(error))
            reset(sock)
            self._intake.happened(lambda now: decoder.closed(now, BY_TAP, reset=True))
            return
        except (OSError, asyncio.CancelledError):
            # The client is gone already, or the tap stops.
            sock.close()
            self._intake.happened(lambda now: decoder.closed(now, BY_TAP, reset=False))
            return
        self._answered()
        splice = Splice(decoder, self._intake, self._splice_over)
        self._splices.add(splice)
        self._dials.pop(cast("asyncio.Task[None]", asyncio.current_task()), None)
        try:
            await self._loop.create_connection(lambda: splice.upstream, sock=upstream)
            await self._loop.connect_accepted_socket(lambda: splice.client, sock=sock)
        except (OSError, asyncio.CancelledError):
            if splice.upstream.transport is None:
                upstream.close()
                splice.side_gone()
            if splice.client.transport is None:
                sock.close()
                splice.unmet()

    @property
    def is_settled(self) -> bool:
        """No connection is between two states."""
        return all(splice.is_settled for splice in self._splices)

    @property
    def is_dialling(self) -> bool:
        """For any connection."""
        return bool(self._dials)

    @property
    def decoders(self) -> list[ConnectionDecoder]:
        """Of its connections."""
        return [*(splice.decoder for splice in self._splices), *(decoder for _, decoder in self._dials.values())]

    def moving(self) -> list[Moving]:
        """Its connections, settled, as another process needs them to go on with them; those with TLS cannot move."""
        if self._tap.tls or self._tap.upstream_tls:
            return []
        dialling = [
            Moving.of(decoder, MovingSide(descriptor=sock.fileno()), None)
            for sock, decoder in self._dials.values()
            if sock.fileno() >= 0
        ]
        return [*(splice.moving() for splice in self._splices), *dialling]

    def go_on(self, moved: Moving, decoder: ConnectionDecoder, socks: Sequence[socket.socket]) -> None:
        """Goes on with another process's connection; `socks` are those of `moved.sides`."""
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

    def _refused(self, decoder: ConnectionDecoder, reason: str) -> None:
        self._intake.happened(lambda now: decoder.refused(now, reason))
        if self._upstream_answers:
            self._upstream_answers = False
            _log.warning("tap %s: upstream does not answer: %s", self._tap.name, reason)

    def _answered(self) -> None:
        if not self._upstream_answers:
            self._upstream_answers = True
            _log.info("tap %s: upstream answers again", self._tap.name)

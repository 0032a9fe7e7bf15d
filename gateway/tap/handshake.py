"""TLS of one tap: accepted and dialled sockets in, encrypted connections out, ready to be spliced.

Certificates are looked at off the loop: a file system that hangs holds up no connection.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence

from gateway.config.types import Tap
from gateway.tap.encryption import Encryption, HandshakeError
from gateway.tap.splice import reset
from gateway.tls import DialContext, ListenerContext

_log = logging.getLogger(__name__)

#: The client's end and upstream's, where they have TLS.
Ends = tuple[Encryption | None, Encryption | None]

#: gRPC; callers of NativeLink's admin API.
_PROTOCOLS = ("h2", "http/1.1")
#: Complaints of different peers or with different reasons that are told; then none for a day.
_COMPLAINTS_MAX = 100
_DAY_S = 24 * 60 * 60


class TapTls:
    """The certificates of a tap's two sides, and what is made with them."""

    def __init__(self, tap: Tap) -> None:
        """Reads the files.

        Raises:
            StartError: One of them cannot be used.
        """
        self._tap = tap
        setting = f"gateway.taps[{tap.name}]"
        self._listener = ListenerContext(tap.tls, f"{setting}.tls", alpn=_PROTOCOLS) if tap.tls else None
        self._upstream = DialContext(tap.upstream_tls, f"{setting}.upstream_tls", alpn=_PROTOCOLS) if tap.upstream_tls else None
        #: Peers' hosts with what was wrong, since when.
        self._complaints: set[tuple[str, str]] = set()
        self._complaints_since = 0.0

    def look(self) -> None:
        """Reads files again that changed, from any thread."""
        for context in (self._listener, self._upstream):
            if context is not None:
                context.look()

    async def agree(
        self,
        client: socket.socket,
        upstream: socket.socket,
        peer: str,
        answered: Callable[[], None],
        refused: Callable[[str], None],
    ) -> Ends:
        """Shakes hands on the sides that have TLS, the client's first: what it wants to speak is what upstream is asked for.

        Args:
            client: Accepted.
            upstream: Connected.
            peer: The client's address.
            answered: Told when upstream says its first, in TLS.
            refused: Told when upstream ends it for TLS's sake before that, as it does when it does not accept our certificate.

        Raises:
            HandshakeError: One did not come to terms, or not in time. Both are closed then, as on any other error.
        """
        ends: Ends = (None, None)
        try:
            ends = (await self._accepted(client, peer), None)
            return ends[0], await self._dialled(upstream, _asked(ends[0]), answered, refused)
        except BaseException as error:
            upstream.close()
            if isinstance(error, HandshakeError) and error.is_upstream:
                reset(client)
            if ends[0] is not None:
                ends[0].abort()
            client.close()
            raise

    async def _accepted(self, sock: socket.socket, peer: str) -> Encryption | None:
        if self._listener is None:
            return None
        end = Encryption(self._listener.context, None, lambda: None, lambda words: self._complain(peer, words))
        try:
            await self._shake(end, sock)
        except HandshakeError as error:
            # Who looks whether somebody listens, and goes, is nothing special.
            if not (error.is_peers_end and end.is_silent):
                self._complain(peer, str(error))
            raise
        return end

    async def _dialled(
        self, sock: socket.socket, asked: Sequence[str], answered: Callable[[], None], refused: Callable[[str], None]
    ) -> Encryption | None:
        if self._upstream is None:
            return None
        address = self._tap.upstream

        def failed(words: str) -> None:
            if end.has_heard:
                _log.warning("tap %s: upstream %s: %s", self._tap.name, address, words)
            else:
                refused(f"{address}: {words}")

        context = self._upstream.context
        # A connection takes them over when it is made, in the next line: each its own.
        context.set_alpn_protocols(asked)
        end = Encryption(context, self._upstream.server_name(address.host), answered, failed)
        try:
            await self._shake(end, sock)
        except HandshakeError as error:
            raise HandshakeError(f"{address}: {error}", is_upstream=True) from None
        return end

    async def _shake(self, end: Encryption, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(lambda: end, sock=sock)
            await end.handshake(self._tap.dial_timeout_s)
        except HandshakeError:
            # What was wrong is told to the peer first.
            end.give_up()
            raise
        except BaseException:
            end.abort()
            raise

    def _complain(self, peer: str, words: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._complaints_since > _DAY_S:
            self._complaints.clear()
            self._complaints_since = now
        what = (peer.rpartition(":")[0], words)
        if what in self._complaints or len(self._complaints) >= _COMPLAINTS_MAX:
            return
        self._complaints.add(what)
        _log.warning("tap %s: %s: %s", self._tap.name, *what)
        if len(self._complaints) == _COMPLAINTS_MAX:
            _log.warning("tap %s: no more of such are told for a day", self._tap.name)


def _asked(client: Encryption | None) -> Sequence[str]:
    """What upstream is offered (ALPN).

    NativeLink knows h2 alone, and refuses who offers something else (RFC 7301, 3.2), also on the listener of its admin API; from
    who offers nothing it takes either. Of a client without TLS nothing is known yet.
    """
    if client is None:
        return _PROTOCOLS
    return ["h2"] if client.protocol == "h2" else []


def certificates(taps: Sequence[Tap]) -> dict[str, TapTls]:
    """Of each tap that has any, by name.

    Raises:
        StartError: A file cannot be used.
    """
    return {tap.name: TapTls(tap) for tap in taps if tap.tls or tap.upstream_tls}


async def keep_current(certificates: Sequence[TapTls]) -> None:
    """Looks at files that may change, once a second, until it is cancelled."""
    while certificates:
        for each in certificates:
            await asyncio.to_thread(each.look)
        await asyncio.sleep(1)

"""TLS on one side of a splice: bytes of a connection in, what they say out, and the other way round.

To the connection it is a protocol, to the side a transport. Everything that a plaintext connection has stays: half-close (a
close_notify, then FIN), reset, back-pressure, and nothing is kept back between the two. Event loops' own TLS has no half-close and
says FIN and close_notify alike.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Any, cast

#: Most of a TLS record.
_RECORD_BYTES = 16 * 1024
#: Far more than forwarding ever lets wait for one side.
_UNTAKEN_BYTES = 4 * 1024 * 1024
#: How long a side that broke TLS gets to take the alert that says so.
_ALERT_S = 1.0


class HandshakeError(Exception):
    """Two did not come to terms on TLS; why, in words."""

    def __init__(self, words: str, *, is_peers_end: bool = False, is_upstream: bool = False) -> None:
        super().__init__(words)
        #: The other went away; it was not us who gave up.
        self.is_peers_end = is_peers_end
        #: The other is upstream; otherwise the client.
        self.is_upstream = is_upstream


class Encryption(asyncio.Transport, asyncio.Protocol):
    """One TLS connection. First `handshake`, then `attach`; nothing is read between the two."""

    __slots__ = (
        "_broken",
        "_ended",
        "_failed",
        "_gone",
        "_heard_end",
        "_heard_first",
        "_incoming",
        "_loop",
        "_outgoing",
        "_shaken",
        "_side",
        "_tls",
        "connection",
        "has_heard",
        "is_silent",
        "is_truncated",
    )

    def __init__(
        self, context: ssl.SSLContext, server_name: str | None, heard: Callable[[], None], failed: Callable[[str], None]
    ) -> None:
        """Takes a connection's end, or dials where there is a `server_name`.

        Args:
            context: Made for that.
            server_name: What the certificate of whoever was dialled has to be for; None: we were dialled.
            heard: Told when the other end says its first, after the handshake.
            failed: Told when the other end breaks TLS, or says that we do, after the handshake.
        """
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name)
        self._heard_first = heard
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._shaken: asyncio.Future[None] = self._loop.create_future()
        #: None: not made yet.
        self.connection: asyncio.Transport | None = None
        self._side: asyncio.Protocol | None = None
        #: We said the end; the other side did.
        self._ended = False
        self._heard_end = False
        #: Nothing came, not even the beginning of a handshake.
        self.is_silent = True
        #: It said something, after the handshake.
        self.has_heard = False
        #: Its end came without close_notify: somebody else may have cut it off. Many peers always end so.
        self.is_truncated = False
        #: The connection is lost, with this if it was not by us.
        self._gone = False
        self._broken: Exception | None = None

    async def handshake(self, within_s: float) -> None:
        """Waits until both have agreed.

        Raises:
            HandshakeError: They have not, or not in time.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._shaken
        except TimeoutError:
            raise HandshakeError(f"no TLS handshake within {within_s:g} s") from None

    @property
    def protocol(self) -> str | None:
        """What both agreed to speak (ALPN); None: the client offered nothing."""
        return self._tls.selected_alpn_protocol()

    def attach(self, side: asyncio.Protocol) -> None:
        """What comes is for `side` from now on."""
        self._side = side
        side.connection_made(self)
        if self._gone:
            self._loop.call_soon(side.connection_lost, self._broken)
        else:
            self._transport.resume_reading()
            self._read()

    # What the connection says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is there: a client speaks first."""
        self.connection = cast("asyncio.Transport", transport)
        self._shake()

    def data_received(self, data: bytes) -> None:
        """TLS records, in any pieces."""
        self.is_silent = False
        if self._heard_end:
            # Whatever follows the end is nothing.
            return
        self._incoming.write(data)
        if self._side is not None:
            self._read()
        elif not self._shaken.done():
            self._shake()

    def eof_received(self) -> bool:
        """FIN."""
        if self._side is None:
            self._unmet(HandshakeError("the connection was ended during the TLS handshake", is_peers_end=True))
            return False
        if not self._heard_end:
            self.is_truncated = True
            self._side.eof_received()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whomever."""
        self._gone = True
        self._broken = self._broken or exc
        self._unmet(HandshakeError("the connection was reset during the TLS handshake", is_peers_end=True))
        if self._side is not None:
            self._side.connection_lost(self._broken)

    def pause_writing(self) -> None:
        """Much waits to be written."""
        if self._side is not None:
            self._side.pause_writing()

    def resume_writing(self) -> None:
        """Little waits to be written."""
        if self._side is not None:
            self._side.resume_writing()

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
        except ssl.SSLError as error:
            self._flush()
            self._unmet(HandshakeError(_words(error)))
        else:
            self._flush()
            # What comes now is nobody's yet.
            self._transport.pause_reading()
            self._shaken.set_result(None)

    def _unmet(self, error: HandshakeError) -> None:
        if not self._shaken.done():
            self._shaken.set_exception(error)

    def _read(self) -> None:
        """Gives the side everything that is whole."""
        found = []
        broken: ssl.SSLError | None = None
        try:
            while self._incoming.pending or self._tls.pending():
                data = self._tls.read(_RECORD_BYTES)
                if not data:
                    self._heard_end = True
                    break
                found.append(data)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._heard_end = True
        except ssl.SSLError as error:
            broken = error
        if self._outgoing.pending:
            # TLS answers by itself: also to one who asks and takes no answers.
            self._flush()
            if self._transport.get_write_buffer_size() > _UNTAKEN_BYTES:
                self._transport.abort()
        side = cast("asyncio.Protocol", self._side)
        if found:
            if not self.has_heard:
                self.has_heard = True
                self._heard_first()
            side.data_received(found[0] if len(found) == 1 else b"".join(found))
        if self._heard_end:
            side.eof_received()
        elif broken is not None:
            self._break(broken)

    def _break(self, error: ssl.SSLError) -> None:
        """TLS is broken: nothing more can be said or heard."""
        if self._broken is None:
            self._broken = error
            self._failed(_words(error))
            self.give_up()

    def _flush(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(self._outgoing.read())

    # What the side says.

    def write(self, data: Any) -> None:
        """Says it at once."""
        if self._ended or self._transport.is_closing():
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            self._break(error)
        else:
            self._transport.write(self._outgoing.read())

    def write_eof(self) -> None:
        """Says that this was all."""
        self._notify()
        self.write_fin()

    def write_fin(self) -> None:
        """Ends without a word, as the other side did."""
        if not self._transport.is_closing():
            self._ended = True
            self._transport.write_eof()

    def close(self) -> None:
        """Ends, once what was said is on its way."""
        self._notify()
        self._transport.close()

    def _notify(self) -> None:
        """close_notify, once and before FIN."""
        if self._ended or self._transport.is_closing():
            return
        self._ended = True
        with contextlib.suppress(ssl.SSLError):  # the other end has not said its own yet
            self._tls.unwrap()
        self._flush()

    def give_up(self) -> None:
        """Ends at once, but for the alert that may be on its way."""
        self._ended = True
        self._transport.close()
        self._loop.call_later(_ALERT_S, self._transport.abort)

    def abort(self) -> None:
        """Ends at once."""
        if self.connection is not None:
            self.connection.abort()

    def pause_reading(self) -> None:
        """Hears nothing more for now; what came already has been passed on."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Hears again."""
        self._transport.resume_reading()

    def can_write_eof(self) -> bool:
        """Half-close is part of TLS."""
        return True

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self._transport.is_closing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of encrypted bytes."""
        self._transport.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """Encrypted bytes that wait."""
        return self._transport.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the connection."""
        return self._transport.get_extra_info(name, default)

    @property
    def _transport(self) -> asyncio.Transport:
        return cast("asyncio.Transport", self.connection)


def _words(error: ssl.SSLError) -> str:
    """OpenSSL's reason, readable."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    return f"TLS: {(error.reason or 'broken').lower().replace('_', ' ')}"

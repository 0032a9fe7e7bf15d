"""The record link for other machines: a listening socket and certificates in, readers of the link out, over mutual TLS.

Whoever shows no certificate of ours reads nothing, and however many try, they take a bounded part of the process.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

from gateway.config.types import Address, RecordLink
from gateway.errors import StartError
from gateway.tls import ListenerContext

_log = logging.getLogger(__name__)

_BACKLOG = 64
#: Handshakes under way; who comes beyond them waits in the backlog.
_HANDSHAKES_MAX = 16
_HANDSHAKE_S = 10.0
#: How long accepting pauses when the system has no descriptor or memory left.
_PAUSE_S = 0.1
_TLS = "gateway.record_link.tls"


def check(config: RecordLink, process: int) -> None:
    """Whether the link can be published: for a start, before anything is in the way of it.

    Raises:
        StartError: A certificate cannot be used, or the address not be had.
    """
    if config.listen is not None and config.tls is not None:
        ListenerContext(config.tls, _TLS)
        _bind(config.listen, process).close()


def publication(config: RecordLink, process: int, reader: Callable[[], asyncio.Protocol]) -> Publication | None:
    """What publishes a process's link; None: nothing does.

    A tap that was started already goes on without it where it cannot be: builds need the tap, and health of observe tells.
    """
    if config.listen is None or config.tls is None:
        return None
    try:
        context = ListenerContext(config.tls, _TLS)
        return Publication(_bind(config.listen, process), context, reader)
    except StartError as error:
        _log.error("%s; until the tap is started again other machines cannot read its records", error)
        return None


def _bind(listen: Address, process: int) -> socket.socket:
    address = Address(listen.host, listen.port + process if listen.port else 0)
    setting = f"gateway.record_link.listen: {address}"
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, resolved = found[0]
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise StartError(f"{setting}: {error.strerror or error}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(resolved)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(f"{setting}: {error.strerror or error}") from None
    return sock


class Publication:
    """Accepts readers. The socket is its own."""

    def __init__(self, sock: socket.socket, context: ListenerContext, reader: Callable[[], asyncio.Protocol]) -> None:
        self._sock = sock
        self._context = context
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._handshakes: set[asyncio.Task[None]] = set()
        self._handle: asyncio.Handle | None = None

    @property
    def address(self) -> Address:
        """Where it listens."""
        host, port = self._sock.getsockname()[:2]
        return Address(host, port)

    def look(self) -> None:
        """Reads certificates again that changed, from any thread."""
        self._context.look()

    def start(self) -> None:
        """Accepts from now on."""
        self._handle = None
        self._loop.add_reader(self._sock.fileno(), self._accept)

    async def stop(self) -> None:
        """Accepts nothing more; readers that are there stay."""
        self._loop.remove_reader(self._sock.fileno())
        if self._handle is not None:
            self._handle.cancel()
        self._sock.close()
        handshakes = list(self._handshakes)
        for each in handshakes:
            each.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)

    def _accept(self) -> None:
        while len(self._handshakes) < _HANDSHAKES_MAX:
            try:
                sock, peer = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                _log.warning("cannot accept a reader of the record link: %s", error.strerror or error)
                self._loop.remove_reader(self._sock.fileno())
                self._handle = self._loop.call_later(_PAUSE_S, self.start)
                return
            sock.setblocking(False)
            task = self._loop.create_task(self._agree(sock, str(Address(*peer[:2]))), name="handshake of a reader")
            self._handshakes.add(task)
            task.add_done_callback(self._agreed)
        self._loop.remove_reader(self._sock.fileno())

    def _agreed(self, task: asyncio.Task[None]) -> None:
        was_full = len(self._handshakes) >= _HANDSHAKES_MAX
        self._handshakes.discard(task)
        if was_full and self._sock.fileno() >= 0 and self._handle is None:
            self.start()

    async def _agree(self, sock: socket.socket, peer: str) -> None:
        # The context as it was read last: who looks at files is elsewhere, off the loop.
        try:
            await self._loop.connect_accepted_socket(
                self._reader, sock, ssl=self._context.context, ssl_handshake_timeout=_HANDSHAKE_S
            )
        except (OSError, TimeoutError) as error:
            sock.close()
            _log.warning("the record link is not for %s: %s", peer, str(error) or "no handshake in time")
        except asyncio.CancelledError:
            sock.close()
            raise

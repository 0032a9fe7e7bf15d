"""The record link for readers on other machines: TCP, with certificates on both sides (design 6)."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from gateway.config.types import Address, RecordLink
from gateway.errors import StartError
from gateway.tls import ListenerContext

_log = logging.getLogger(__name__)

_BACKLOG = 64
_HANDSHAKE_S = 5.0
#: After a failure.
_AGAIN_S = 0.5
#: Handshakes at a time; who connects beyond that waits in the backlog.
_MAX_HANDSHAKES = 16
_SETTING = "gateway.record_link"


class RemoteListener:
    """Accepts readers, each with the certificates of that moment."""

    def __init__(self, link: RecordLink, process: int) -> None:
        """Of a configuration that has a `listen`; the tap process with number N listens N ports above it.

        Raises:
            StartError: A certificate cannot be used.
        """
        if link.listen is None or link.tls is None:
            raise ValueError("nothing to listen at")
        port = link.listen.port
        self._address = Address(link.listen.host, port + process if port else 0)
        self._context = ListenerContext(link.tls, f"{_SETTING}.tls")
        self._sock: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._handshakes: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> Address:
        """Where it listens, once it does."""
        if self._sock is None:
            return self._address
        host, port = self._sock.getsockname()[:2]
        return Address(host, port)

    def check(self) -> None:
        """Finds out whether the address can be had.

        Raises:
            StartError: It cannot.
        """
        self._bind().close()

    def _bind(self) -> socket.socket:
        try:
            found = socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, _, _, _, address = found[0]
            sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind(address)
                sock.listen(_BACKLOG)
            except OSError:
                sock.close()
                raise
        except OSError as error:
            raise StartError(f"{_SETTING}.listen: {self._address}: {error.strerror or error}") from None
        return sock

    def start(self, reader: Callable[[], asyncio.Protocol]) -> None:
        """Hands every connection that shows a certificate to a `reader`. Where it cannot listen it tries again and again."""
        self._accepting = asyncio.create_task(self._run(reader), name="record link over TCP")

    async def stop(self) -> None:
        """Accepts nobody any more; readers stay."""
        waiting = [task for task in (self._accepting, *self._handshakes) if task is not None]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    async def _run(self, reader: Callable[[], asyncio.Protocol]) -> None:
        problem = None
        while self._sock is None:
            try:
                self._sock = self._bind()
            except StartError as error:
                # The process before this one may have it for a moment longer.
                if str(error) != problem:
                    problem = str(error)
                    _log.warning("%s: trying again", problem)
                await asyncio.sleep(_AGAIN_S)
        _log.info("records for other machines at %s", self.address)
        await self._accept(self._sock, reader)

    async def _accept(self, sock: socket.socket, reader: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(sock)
            except OSError as error:
                _log.warning("the record link accepts nobody for the moment: %s", error.strerror or error)
                await asyncio.sleep(_AGAIN_S)
                continue
            task = asyncio.create_task(self._shake(connection, reader), name="record link handshake")
            self._handshakes.add(task)
            task.add_done_callback(self._handshakes.discard)
            if len(self._handshakes) >= _MAX_HANDSHAKES:
                await asyncio.wait(self._handshakes, return_when=asyncio.FIRST_COMPLETED)

    async def _shake(self, connection: socket.socket, reader: Callable[[], asyncio.Protocol]) -> None:
        loop = asyncio.get_running_loop()
        try:
            peer = str(Address(*connection.getpeername()[:2]))
            # Off the loop: a file system that hangs holds up no build.
            context = await asyncio.to_thread(self._context.current)
            await loop.connect_accepted_socket(reader, connection, ssl=context, ssl_handshake_timeout=_HANDSHAKE_S)
        except (OSError, ssl.SSLError) as error:
            connection.close()
            _log.warning("a reader of the record link was refused: %s", error.strerror or error)
        else:
            _log.info("a reader of the record link from %s", peer)

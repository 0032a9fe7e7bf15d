"""Peers of a tap with and without TLS that can do what either protocol allows: half-close, reset, ends without close_notify."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gateway.config.trust import DialTls, ListenerTls
from gateway.config.types import Config
from gateway.tls import DialContext, ListenerContext
from tests.certificates import Authority
from tests.tap.running import PATIENCE_S, RunningTap, configuration

SETTING = "tests"


class Peer:
    """A connected socket, and TLS on it where there is a context."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext | None = None, server_name: str | None = None) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls: ssl.SSLObject | None = None
        if context is not None:
            self.tls = context.wrap_bio(
                self._incoming, self._outgoing, server_side=server_name is None, server_hostname=server_name
            )
        #: It said close_notify.
        self.notified = False
        self._left = bytearray()
        self.ended = False

    async def shake(self) -> None:
        """The handshake, where there is one."""
        while self.tls is not None:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._recv()
                assert data, "ended during the handshake"
                self._incoming.write(data)
            except ssl.SSLError:
                await self._flush()
                raise
            else:
                await self._flush()
                return

    async def _recv(self) -> bytes:
        async with asyncio.timeout(PATIENCE_S):
            return await self._loop.sock_recv(self.sock, 65536)

    async def _flush(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._loop.sock_sendall(self.sock, self._outgoing.read())

    async def send(self, data: bytes) -> None:
        """All of it."""
        async with asyncio.timeout(PATIENCE_S):
            await self._loop.sock_sendall(self.sock, self.encrypted(data))

    def encrypted(self, data: bytes) -> bytes:
        """What goes over the wire to say it."""
        if self.tls is None:
            return data
        self.tls.write(data)
        return self._outgoing.read()

    async def some(self) -> bytes:
        """What is there next; empty at the end."""
        while not self.ended:
            data = await self._recv()
            if not data:
                self.ended = True
                break
            if self.tls is None:
                return data
            self._incoming.write(data)
            if found := self._decrypted(self.tls):
                return found
        return b""

    def _decrypted(self, tls: ssl.SSLObject) -> bytes:
        found = []
        try:
            while data := tls.read(65536):
                found.append(data)
            self.notified = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.notified = True
        return b"".join(found)

    async def read(self, count: int) -> bytes:
        """Exactly so many bytes."""
        while len(self._left) < count:
            data = await self.some()
            assert data, f"ended after {len(self._left)} bytes"
            self._left += data
        found = bytes(self._left[:count])
        del self._left[:count]
        return found

    async def read_end(self) -> bytes:
        """What is left until FIN."""
        while data := await self.some():
            self._left += data
        return bytes(self._left)

    async def is_reset(self) -> bool:
        """Waits for the end; whether it was RST."""
        try:
            await self.read_end()
        except ConnectionResetError:
            return True
        return False

    async def end(self, *, notify: bool = True) -> None:
        """Says nothing more."""
        if self.tls is not None and notify:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.unwrap()
            await self._flush()
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Wiring:
    """Who has TLS: clients, upstream; `mutual` where both show certificates."""

    def __init__(self, directory: Path, client: bool, upstream: bool, mutual: bool = False) -> None:
        self.authority = Authority(directory, "theirs")
        self.own = Authority(directory, "own-ca")
        gateway, nativelink, bazel = self.own.issue("gateway"), self.authority.issue("nativelink"), self.authority.issue("bazel")
        shown = self.own.issue("shown")
        self.tls: ListenerTls | None = None
        self.upstream_tls: DialTls | None = None
        self.client_context: ssl.SSLContext | None = None
        self.server_context: ssl.SSLContext | None = None
        if client:
            self.tls = gateway.listener(self.authority.file if mutual else None)
            dial = bazel.dial(self.own.file) if mutual else self.own.dial()
            self.client_context = DialContext(dial, SETTING).current()
        if upstream:
            self.upstream_tls = shown.dial(self.authority.file) if mutual else self.authority.dial()
            listener = nativelink.listener(self.own.file if mutual else None)
            self.server_context = ListenerContext(listener, SETTING, alpn=("h2", "http/1.1")).current()

    def configuration(self, directory: Path, upstream_port: int, dial_timeout_s: float = 10) -> Config:
        """One tap, `execution`, wired so."""
        config = configuration(directory, upstream_port)
        tap = replace(config.taps[0], tls=self.tls, upstream_tls=self.upstream_tls, dial_timeout_s=dial_timeout_s)
        return replace(config, taps=(tap,))


async def connect(tap: RunningTap, receive_bytes: int = 0) -> socket.socket:
    """A client's socket, connected to the tap."""
    sock = socket.socket()
    if receive_bytes:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", tap.ports["execution"]))
    return sock


@asynccontextmanager
async def joined(
    tap: RunningTap, upstream: socket.socket, wiring: Wiring, receive_bytes: int = 0
) -> AsyncIterator[tuple[Peer, Peer]]:
    """Client and server of a connection through the tap, after their handshakes."""
    client = Peer(await connect(tap, receive_bytes), wiring.client_context, "localhost" if wiring.client_context else None)
    async with asyncio.timeout(PATIENCE_S):
        sock, _ = await asyncio.get_running_loop().sock_accept(upstream)
    server = Peer(sock, wiring.server_context)
    try:
        await asyncio.gather(client.shake(), server.shake())
        yield client, server
    finally:
        client.sock.close()
        server.sock.close()

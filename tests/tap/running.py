"""A running tap for tests: the real role or its parts, between real sockets on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from gateway.config.types import Address, Carries, Config, Tap, TapLimits
from gateway.pb import tap_pb2
from gateway.tap import role
from tests.tap.reading import split

PATIENCE_S = 90


def delimited(message: bytes) -> bytes:
    return bytes((len(message),)) + message


async def until(condition: Callable[[], bool]) -> None:
    """Waits until it is so."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def configuration(state_dir: Path, *upstream_ports: int, limits: TapLimits | None = None) -> Config:
    """Taps called `execution`, `workers`, on free ports."""
    taps = tuple(
        Tap(name, Address("127.0.0.1", 0), Address("127.0.0.1", port), carries)
        for name, port, carries in zip(
            ("execution", "workers"),
            upstream_ports,
            (frozenset({Carries.EXECUTION}), frozenset({Carries.WORKER_API, Carries.ADMIN})),
            strict=False,
        )
    )
    return Config(Address("127.0.0.1", 0), "MAIN", taps, None, state_dir, tap=limits or TapLimits(decode_interval_ms=1))


class LinkReader:
    """Reads the record link as an observer does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._left = b""
        #: Everything read so far.
        self.records: list[tap_pb2.TapRecord] = []

    async def until(self, found: Callable[[list[tap_pb2.TapRecord]], bool]) -> list[tap_pb2.TapRecord]:
        """Reads until the records so far say so."""
        async with asyncio.timeout(PATIENCE_S):
            while not found(self.records):
                data = await self._reader.read(65536)
                assert data, "the link ended"
                records, self._left = split(self._left + data)
                self.records += records
        return self.records

    async def until_kind(self, kind: str, count: int = 1) -> list[tap_pb2.TapRecord]:
        """Reads until there are so many of a kind."""
        return await self.until(lambda records: sum(record.WhichOneof("record") == kind for record in records) >= count)

    async def ended(self) -> list[tap_pb2.TapRecord]:
        """Reads to the end."""
        async with asyncio.timeout(PATIENCE_S):
            while data := await self._reader.read(65536):
                records, self._left = split(self._left + data)
                self.records += records
        return self.records

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def link_reader(path: Path, run: str = "", next_sequence: int = 0) -> AsyncIterator[LinkReader]:
    """Connects to the record link and asks for records."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(delimited(tap_pb2.ReadRequest(run=run, next_sequence=next_sequence).SerializeToString()))
    link = LinkReader(reader, writer)
    try:
        yield link
    finally:
        await link.close()


class RunningTap:
    """The tap role; `ports` by listener."""

    def __init__(self, config: Config, ports: dict[str, int]) -> None:
        self.config = config
        self.ports = ports

    def link(self, run: str = "", next_sequence: int = 0) -> contextlib.AbstractAsyncContextManager[LinkReader]:
        return link_reader(self.config.record_sockets[0], run, next_sequence)


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[RunningTap]:
    """Runs the role until the block ends; whatever it raises is raised here."""
    listeners = role.bind(config)
    ports = {name: sock.getsockname()[1] for name, sock in listeners.items()}
    stop = asyncio.Event()
    task = asyncio.create_task(role.run(config, listeners, stop), name="tap")
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not config.record_sockets[0].exists():
                assert not task.done(), task.result()
                await asyncio.sleep(0.005)
        yield RunningTap(config, ports)
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE_S):
            await task


def with_dial_timeout(config: Config, timeout_s: float) -> Config:
    return replace(config, taps=tuple(replace(tap, dial_timeout_s=timeout_s) for tap in config.taps))


class Pair:
    """Both ends of one spliced connection, as blocking-free raw sockets."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self._loop = asyncio.get_running_loop()

    async def read(self, sock: socket.socket, count: int) -> bytes:
        """Exactly so many bytes."""
        found = bytearray()
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                data = await self._loop.sock_recv(sock, count - len(found))
                assert data, f"ended after {len(found)} bytes"
                found += data
        return bytes(found)

    async def read_end(self, sock: socket.socket) -> bytes:
        """What is left until FIN."""
        found = bytearray()
        async with asyncio.timeout(PATIENCE_S):
            while data := await self._loop.sock_recv(sock, 65536):
                found += data
        return bytes(found)

    async def is_reset(self, sock: socket.socket) -> bool:
        """Waits for the end; whether it was RST."""
        try:
            await self.read_end(sock)
        except ConnectionResetError:
            return True
        return False

    async def send(self, sock: socket.socket, data: bytes) -> None:
        async with asyncio.timeout(PATIENCE_S):
            await self._loop.sock_sendall(sock, data)

    async def pass_on(self, sock: socket.socket, data: bytes) -> None:
        """Sends, and reads it at the other end."""
        await self.send(sock, data)
        assert await self.read(self.server if sock is self.client else self.client, len(data)) == data

    def reset(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()

    def close(self) -> None:
        self.client.close()
        self.server.close()


@asynccontextmanager
async def spliced(tap: RunningTap, upstream: socket.socket, listener: str = "execution") -> AsyncIterator[Pair]:
    """A connection through the tap to a listening, non-blocking socket."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setblocking(False)
    await loop.sock_connect(client, ("127.0.0.1", tap.ports[listener]))
    async with asyncio.timeout(PATIENCE_S):
        server, _ = await loop.sock_accept(upstream)
    pair = Pair(client, server)
    try:
        yield pair
    finally:
        pair.close()


@asynccontextmanager
async def listening() -> AsyncIterator[socket.socket]:
    """An upstream that listens and accepts when it is told."""
    sock = socket.create_server(("127.0.0.1", 0))
    sock.setblocking(False)
    try:
        yield sock
    finally:
        sock.close()

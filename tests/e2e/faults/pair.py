"""Two ends of one connection through a tap: random bytes in at both, digests of what left and of what arrived out.

The bytes are HTTP/2 as a ByteStream call has it, so that the tap reads along as it does with bulk; calls of a tapped method may be
among them, with messages as large as wanted.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator

from tests.command import PATIENCE_S
from tests.tap import frames

_FRAME_BYTES = 16 * 1024
_POOL_BYTES = 1024 * 1024
#: Frames at a time, and the pause after them.
_BURST = 4
_PAUSE_S = 0.02


class _End:
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.bytes_sent = 0

    async def read(self) -> None:
        """To the other side's end."""
        while data := await self._reader.read(256 * 1024):
            self.received.update(data)

    async def write(self, data: bytes) -> None:
        self.sent.update(data)
        self.bytes_sent += len(data)
        self._writer.write(data)
        await self._writer.drain()

    async def write_all(self, chunks: Iterator[bytes], until: asyncio.Event) -> None:
        """At an even pace, and then the end."""
        for chunk in chunks:
            await self.write(chunk)
            await asyncio.sleep(_PAUSE_S)
            if until.is_set():
                break
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


class Pair:
    """One connection, from `run` until `end`."""

    def __init__(self, upstream_port: int, via_port: int, seed: int, *, large_bytes: int = 0) -> None:
        """Args: where the upstream end listens; the tap's port; of the bytes; of messages now and then on a tapped method, or 0."""
        self._upstream_port = upstream_port
        self._via_port = via_port
        self._seed = seed
        self._large_bytes = large_bytes
        self._ended = asyncio.Event()
        #: How many bytes came through, both directions together.
        self.bytes = 0
        #: What went wrong.
        self.problems: list[str] = []

    def end(self) -> None:
        """Both ends stop writing; what is on its way arrives."""
        self._ended.set()

    async def run(self) -> None:
        """Connect, write and read at both ends, compare after the end."""
        accepted: asyncio.Queue[_End] = asyncio.Queue()
        server = await asyncio.start_server(
            lambda reader, writer: accepted.put_nowait(_End(reader, writer)), "127.0.0.1", self._upstream_port
        )
        async with server:
            client = _End(*await asyncio.open_connection("127.0.0.1", self._via_port))
            async with asyncio.timeout(PATIENCE_S):
                upstream = await accepted.get()
            try:
                await asyncio.gather(
                    client.write_all(_bytes(self._seed, self._large_bytes, is_client=True), self._ended),
                    upstream.write_all(_bytes(self._seed + 1, self._large_bytes, is_client=False), self._ended),
                    client.read(),
                    upstream.read(),
                )
            except OSError as error:
                self.problems.append(f"the connection broke: {error}")
            finally:
                client.close()
                upstream.close()
        for what, source, sink in (("request", client, upstream), ("response", upstream, client)):
            if source.sent.digest() != sink.received.digest():
                self.problems.append(f"{what} bytes are not those that were sent")
        self.bytes = client.bytes_sent + upstream.bytes_sent


def _bytes(seed: int, large_bytes: int, *, is_client: bool) -> Iterator[bytes]:
    """For ever."""
    chance = random.Random(seed)
    pool = chance.randbytes(_POOL_BYTES)
    peer = frames.Peer()
    yield (frames.PREFACE if is_client else b"") + frames.settings([(5, _FRAME_BYTES)])
    yield peer.request(1, frames.READ) if is_client else peer.answer(1)
    stream = 1
    while True:
        yield b"".join(frames.data(1, _some(chance, pool)) for _ in range(_BURST))
        if large_bytes and chance.random() < 0.05:
            stream += 2
            yield peer.request(stream, frames.EXECUTE) if is_client else peer.answer(stream)
            yield from _message(stream, pool, large_bytes)
            yield frames.data(stream, b"", frames.END_STREAM) if is_client else peer.trailers(stream)


def _message(stream: int, pool: bytes, size: int) -> Iterator[bytes]:
    """One gRPC message of that size, a megabyte at a time."""
    left = memoryview(frames.grpc(pool * (size // len(pool) + 1)))
    for start in range(0, len(left), _POOL_BYTES):
        part = bytes(left[start : start + _POOL_BYTES])
        yield b"".join(frames.data(stream, part[at : at + _FRAME_BYTES]) for at in range(0, len(part), _FRAME_BYTES))


def _some(chance: random.Random, pool: bytes) -> bytes:
    start, size = chance.randrange(_POOL_BYTES), chance.randint(1, _FRAME_BYTES)
    return pool[start : start + size]

"""Plays a recording through a real tap from both ends: as the peers that connect, and as the NativeLink that answers.

Each connection keeps its own order: before one side speaks, what the other side said before has arrived. Bytes are
compared where they arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.command import free_ports
from tests.e2e.recordings import Entry, Recording

_PATIENCE_S = 20


@dataclass
class _Side:
    """One end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    received: bytearray = field(default_factory=bytearray)
    finished: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        """Collects until the other end finishes or resets."""
        try:
            while data := await self.reader.read(65536):
                self.received += data
                await self._say()
        except ConnectionError:
            pass  # a reset is an end; whether the bytes before it are all there is compared afterwards
        self.finished = True
        await self._say()

    async def _say(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    async def has(self, count: int, *, finished: bool = False) -> None:
        """Waits until so many bytes, and the end if asked for, have arrived."""
        async with asyncio.timeout(_PATIENCE_S), self.changed:
            await self.changed.wait_for(lambda: self.finished or (len(self.received) >= count and not finished))


class Upstream:
    """A NativeLink listener that can be away: a port that stays the same whether or not anything listens on it."""

    def __init__(self) -> None:
        self._accepted: asyncio.Queue[_Side] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        (self.port,) = free_ports(1)

    async def listen(self) -> None:
        if self._server is None:
            async with asyncio.timeout(_PATIENCE_S):
                while self._server is None:
                    # While it was away, somebody else may look whether the port is free.
                    with contextlib.suppress(OSError):
                        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, reuse_address=True)
                        return
                    await asyncio.sleep(0.05)

    async def leave(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._accepted.put(_Side(reader, writer))

    async def accepted(self) -> _Side:
        async with asyncio.timeout(_PATIENCE_S):
            return await self._accepted.get()


class Player:
    """Plays one recording; afterwards `problems` names every byte or end that did not come through as it was sent."""

    def __init__(self, recording: Recording, taps: Mapping[str, tuple[str, int]], upstreams: Mapping[str, Upstream]) -> None:
        self._recording = recording
        self._taps = taps
        self._upstreams = upstreams
        self._connecting = asyncio.Lock()
        self._began: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        #: Unix seconds at which the recording began to be played.
        self.unix_began = 0.0
        self.problems: list[str] = []

    async def play(self) -> None:
        """Plays in the recording's own time; the recording begins now."""
        self.unix_began = time.time()
        self._began.set_result(asyncio.get_running_loop().time())
        for upstream in self._upstreams.values():
            await upstream.listen()
        try:
            async with asyncio.TaskGroup() as tasks:
                for connection, entries in self._recording.of_connection().items():
                    tasks.create_task(self._connection(connection, entries), name=f"{self._recording.name} {connection}")
        finally:
            for upstream in self._upstreams.values():
                await upstream.leave()

    async def until(self, at: float) -> None:
        """Sleeps until that second of the recording."""
        began = await asyncio.shield(self._began)
        await asyncio.sleep(began + at - asyncio.get_running_loop().time())

    async def _connection(self, connection: int, entries: list[Entry]) -> None:
        first = entries[0]
        await self.until(first.at)
        refused = any(entry.kind == "refused" for entry in entries)
        async with self._connecting:
            upstream = self._upstreams[first.text]
            await (upstream.leave() if refused else upstream.listen())
            client = _Side(*await asyncio.open_connection(*self._taps[first.text]))
            server = None if refused else await upstream.accepted()
            if server is None:
                # Holds the lock until the tap has seen the refusal: the next connection may find upstream there again.
                await client.read()
        if server is None:
            client.writer.close()
            return
        async with asyncio.TaskGroup() as readers:
            readers.create_task(client.read(), name="client")
            readers.create_task(server.read(), name="server")
            await self._converse(entries[1:], client, server)
            for side in (client, server):
                await side.has(0, finished=True)
        self._compare(connection, client, server)

    async def _converse(self, entries: list[Entry], client: _Side, server: _Side) -> None:
        sent = {">": 0, "<": 0}
        ended = {">": False, "<": False}
        sides = {">": (client, server), "<": (server, client)}
        for entry in entries:
            await self.until(entry.at)
            direction = entry.kind[0]
            if entry.kind == "close":
                continue  # both sides have ended, or end below
            speaker, _ = sides[direction]
            other = "<" if direction == ">" else ">"
            await speaker.has(sent[other], finished=ended[other])
            if entry.kind in {">", "<"}:
                speaker.writer.write(entry.data)
                sent[direction] += len(entry.data)
            else:
                speaker.writer.write_eof()
                ended[direction] = True
        for direction, (speaker, listener) in sides.items():
            await listener.has(sent[direction])
            if not ended[direction]:
                speaker.writer.write_eof()

    def _compare(self, connection: int, client: _Side, server: _Side) -> None:
        for kind, side in ((">", server), ("<", client)):
            if bytes(side.received) != self._recording.sent(connection, kind):
                self.problems.append(f"{self._recording.name}: connection {connection}: bytes {kind} differ")
        for side in (client, server):
            side.writer.close()

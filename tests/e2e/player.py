"""Plays a recording through a real tap from both ends: as the peers that connect, and as the NativeLink that answers.

Each connection keeps its own order: before one side speaks, what the other side said before has arrived. Bytes are
compared where they arrive.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.command import free_ports
from tests.e2e.recordings import Entry, Recording

_PATIENCE_S = 90
#: Playing may be late by less: times are compared in seconds.
_LATE_S = 0.25


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
            self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, reuse_address=True)

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
    """Plays one recording; afterwards `problems` names every byte or end that did not come through as it was sent.

    The recording has a clock of its own. It stands still while playing is late, as on a machine that is busy, and at a second at
    which it was told to stop: what is played keeps its distances.
    """

    def __init__(self, recording: Recording, taps: Mapping[str, tuple[str, int]], upstreams: Mapping[str, Upstream]) -> None:
        self._recording = recording
        self._taps = taps
        self._upstreams = upstreams
        self._connecting = asyncio.Lock()
        self._began = asyncio.Event()
        #: Loop time of the recording's second 0, by its clock.
        self._zero = 0.0
        #: Nothing after that second is played.
        self._stops_at = math.inf
        self._goes_on = asyncio.Event()
        #: Unix seconds at which the recording began to be played.
        self._unix_began = 0.0
        #: Second of the recording -> how long the clock had stood still by then, in order.
        self._stood: list[tuple[float, float]] = []
        self.problems: list[str] = []

    async def play(self) -> None:
        """Plays in the recording's own time; the recording begins now."""
        for upstream in self._upstreams.values():
            await upstream.listen()
        self._unix_began = time.time()
        self._zero = asyncio.get_running_loop().time()
        self._began.set()
        try:
            async with asyncio.TaskGroup() as tasks:
                for connection, entries in self._recording.of_connection().items():
                    tasks.create_task(self._connection(connection, entries), name=f"{self._recording.name} {connection}")
        finally:
            for upstream in self._upstreams.values():
                await upstream.leave()

    @property
    def now(self) -> float:
        """Second of the recording."""
        return asyncio.get_running_loop().time() - self._zero

    @property
    def stood_s(self) -> float:
        """How long the clock has stood still until now."""
        return self._stood[-1][1] if self._stood else 0.0

    def played(self, unix: float) -> tuple[float, float]:
        """The earliest and latest that what happened within a second from that moment of the recording was played; Unix seconds."""
        second = unix - self._recording.began
        before = max((stood_s for at, stood_s in self._stood if at <= second), default=0.0)
        within = max((stood_s for at, stood_s in self._stood if at <= second + 1), default=0.0)
        return self._unix_began + second + before, self._unix_began + second + within

    async def until(self, at: float) -> None:
        """Sleeps until that second of the recording."""
        await self._began.wait()
        while (left := at - self.now) > 0:  # noqa: ASYNC110 # the clock may stand still meanwhile, time and again
            await asyncio.sleep(left)

    def stop_at(self, at: float) -> None:
        """Plays nothing after that second of the recording until it is told otherwise, or for good with infinity."""
        if self._began.is_set() and self.now > self._stops_at:
            self._stand_still(self._stops_at)
        self._stops_at = at
        self._goes_on.set()

    def _stand_still(self, at: float) -> None:
        """It is that second, not a later one."""
        late_s = self.now - at
        self._zero += late_s
        self._stood.append((at, self.stood_s + late_s))

    async def _turn(self, at: float) -> None:
        """Sleeps until what is of that second may be played."""
        await self.until(at)
        while at > self._stops_at:
            self._goes_on.clear()
            await self._goes_on.wait()
            await self.until(at)

    def _is_played(self, at: float) -> None:
        """Just now."""
        if self.now - at > _LATE_S:
            self._stand_still(at)

    async def _connection(self, connection: int, entries: list[Entry]) -> None:
        first = entries[0]
        await self._turn(first.at)
        refused = any(entry.kind == "refused" for entry in entries)
        async with self._connecting:
            upstream = self._upstreams[first.text]
            await (upstream.leave() if refused else upstream.listen())
            client = _Side(*await asyncio.open_connection(*self._taps[first.text]))
            server = None if refused else await upstream.accepted()
            if server is None:
                # Holds the lock until the tap has seen the refusal: the next connection may find upstream there again.
                await client.read()
        self._is_played(first.at)
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
            await self._turn(entry.at)
            direction = entry.kind[0]
            if entry.kind == "close":
                continue  # both sides have ended, or end below
            speaker, _ = sides[direction]
            other = "<" if direction == ">" else ">"
            await speaker.has(sent[other], finished=ended[other])
            self._is_played(entry.at)
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

"""The player: clients, workers and bulk of the tap benchmark, pre-recorded frames played from here at the wanted rate.

What is played is made before it is played (`tap_messages`); while playing nothing is encoded. In: a port and numbers. Out: how long
each Execute took, how many messages of bulk were answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import cast

from benchmarks import tap_messages as messages
from gateway.simulation.quick import frames as http2
from gateway.simulation.quick.frames import DATA, END_STREAM, HEADERS

_HOST = "127.0.0.1"
_PATIENCE_S = 90.0
#: Between two turns of a player with a rate.
_TURN_S = 0.005
#: Of real workers.
_KEEP_ALIVE_S = 2.5


class _Peer(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self) -> None:
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first bytes."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Frames, or bytes to forward."""
        if self.rest:
            data = self.rest + data
        read = 0
        for kind, flags, stream, begin, end in http2.frames(data):
            read = end
            if kind in {DATA, HEADERS}:
                self.got(kind, flags, stream, data, begin, end)
            elif kind == http2.PING and not flags:
                self.transport.write(http2.frame(http2.PING, http2.ACK, 0, data[begin:end]))
            elif kind == http2.SETTINGS and not flags:
                self.transport.write(http2.SETTINGS_ACK)
            elif kind == http2.GOAWAY:
                raise SystemExit(f"the other side ended the connection: {data[begin:end]!r}")
        self.rest = data[read:]

    def got(self, kind: int, flags: int, stream: int, data: bytes, begin: int, end: int) -> None:
        """A frame with something in it."""
        raise NotImplementedError


class Client(_Peer):
    """A connection with Execute calls."""

    def __init__(self) -> None:
        super().__init__()
        self._requests = messages.Requests()
        self._calls: deque[tuple[int, bytes]] = deque()
        #: {number of a call: when it was written, nanoseconds}
        self.written: dict[int, int] = {}
        self._began: dict[int, int] = {}
        self._messages: dict[int, int] = {}
        self._stream = -1
        #: Nanoseconds that each finished call took.
        self.took: list[int] = []
        self._idle: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first bytes."""
        super().connection_made(transport)
        self.transport.write(http2.PREFACE + http2.OPENING)

    def record(self, numbers: Sequence[int]) -> None:
        """Encodes the calls that `begin` plays."""
        self._calls.extend((number, self._requests.next(number)) for number in numbers)

    def begin(self) -> None:
        """Plays the next call."""
        self._stream += 2
        number, call = self._calls.popleft()
        self._began[self._stream] = self.written[number] = time.perf_counter_ns()
        self.transport.write(call)

    def got(self, kind: int, flags: int, stream: int, data: bytes, begin: int, end: int) -> None:  # noqa: ARG002 - of no interest
        """A frame with something in it."""
        if kind == DATA:
            self._messages[stream] = self._messages.get(stream, 0) + end - begin
        if flags & END_STREAM:
            if self._messages.pop(stream, 0) < 1_000:
                raise SystemExit(f"stream {stream} ended without its updates")
            self.took.append(time.perf_counter_ns() - self._began.pop(stream))
            if self._idle is not None and not self._began:
                self._idle.set_result(None)
                self._idle = None

    async def idle(self) -> None:
        """Until every call that began has ended."""
        if self._began:
            self._idle = asyncio.get_running_loop().create_future()
            async with asyncio.timeout(_PATIENCE_S):
                await self._idle

    async def sequence(self, count: int) -> None:
        """One after another."""
        for _ in range(count):
            self.begin()
            await self.idle()


class Worker(_Peer):
    """A worker's connection: answers each action after `runs_s`."""

    def __init__(self, runs_s: float) -> None:
        super().__init__()
        self._runs_s = runs_s
        self.connected = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first bytes."""
        super().connection_made(transport)
        self.transport.write(messages.registration())

    def got(self, kind: int, flags: int, stream: int, data: bytes, begin: int, end: int) -> None:  # noqa: ARG002 - of no interest
        """A frame with something in it."""
        if kind != DATA:
            return
        if end - begin == messages.START_BYTES:
            number = messages.started(data, begin)
            if self._runs_s:
                asyncio.get_running_loop().call_later(self._runs_s, self._done, number)
            else:
                self._done(number)
        elif not self.connected.done():
            self.connected.set_result(None)

    def _done(self, number: int) -> None:
        complete, result = messages.worker_is_done(number)
        self.transport.write(complete)
        self.transport.write(result)


class Bulk(_Peer):
    """One stream with a message of 256 KiB under way in each direction for each of `in_flight`."""

    def __init__(self, in_flight: int) -> None:
        super().__init__()
        self._message = messages.bulk()
        self._in_flight = in_flight
        self._owed = len(self._message) + len(http2.OPENING + http2.SETTINGS_ACK + messages.Answers().head(1))
        #: Messages that were answered.
        self.answered = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first bytes."""
        super().connection_made(transport)
        self.transport.write(messages.bulk_opening())
        for _ in range(self._in_flight):
            self.transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        """Frames, or bytes to forward."""
        self._owed -= len(data)
        while self._owed <= 0:
            self._owed += len(self._message)
            self.answered += 1
            self.transport.write(self._message)


async def client(port: int) -> Client:
    """Connects."""
    return (await asyncio.get_running_loop().create_connection(Client, _HOST, port))[1]


async def bulk(port: int, in_flight: int) -> Bulk:
    """Connects and begins."""
    return (await asyncio.get_running_loop().create_connection(lambda: Bulk(in_flight), _HOST, port))[1]


async def workers(port: int, count: int, runs_s: float = 0.0) -> list[Worker]:
    """Connects, a few at a time, until each has its id."""
    loop = asyncio.get_running_loop()
    found: list[Worker] = []
    for at in range(0, count, 50):
        some = [loop.create_connection(lambda: Worker(runs_s), _HOST, port) for _ in range(min(50, count - at))]
        connected = [each for _, each in await asyncio.gather(*some)]
        async with asyncio.timeout(_PATIENCE_S):
            await asyncio.gather(*(each.connected for each in connected))
        found += connected
    return found


async def keep_alive(alive: Sequence[Worker]) -> None:
    """Each worker every 2.5 s, spread evenly, until it is cancelled."""
    loop = asyncio.get_running_loop()
    began, sent = loop.time(), 0
    while True:
        await asyncio.sleep(_TURN_S)
        due = int((loop.time() - began) / _KEEP_ALIVE_S * len(alive))
        for number in range(sent, due):
            alive[number % len(alive)].transport.write(messages.KEEP_ALIVE)
        sent = due


async def at_rate(clients: Sequence[Client], rate: float, count: int) -> float:
    """Plays so many recorded calls a second, the clients in turn; seconds it took until the last was answered."""
    loop = asyncio.get_running_loop()
    began, played = loop.time(), 0
    while played < count:
        await asyncio.sleep(_TURN_S)
        due = min(int((loop.time() - began) * rate), count)
        for number in range(played, due):
            clients[number % len(clients)].begin()
        played = due
    for each in clients:
        await each.idle()
    return loop.time() - began

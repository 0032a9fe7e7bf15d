"""The processes of the tap benchmark: `python -m benchmarks.tap_processes ROLE [ARGUMENT …]`.

upstream                    a NativeLink without a think time; prints the ports of Execution and WorkerApi
splice EXECUTION WORKERS    the named peer: an asyncio splice on uvloop that decodes nothing, before those ports; prints its own
client EXECUTION WORKERS    does what lines of JSON on stdin say (`_Player`), answers each with one on stdout
grpc                        an upstream for Execution alone that speaks gRPC by the library
watch SOCKET                subscribes to introspection; at each line on stdin prints what it saw since the last
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, cast

import grpc.aio
import uvloop

from benchmarks import tap_clients as play
from benchmarks import tap_grpc
from benchmarks.tap_upstream import ExecutionSide, Scheduler, WorkerSide
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub

_HOST = "127.0.0.1"
_BACKLOG = 4_096
_PATIENCE_S = 90.0


async def _upstream() -> None:
    scheduler = Scheduler()
    await _serve([partial(ExecutionSide, scheduler), partial(WorkerSide, scheduler)])


async def _splice(*ports: str) -> None:
    await _serve([partial(_Spliced, int(port)) for port in ports])


async def _serve(factories: list[Callable[[], asyncio.Protocol]]) -> None:
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(factory, _HOST, 0, backlog=_BACKLOG) for factory in factories]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.Event().wait()


class _Spliced(asyncio.Protocol):
    """A client's side, which dials the other."""

    def __init__(self, port: int = 0, other: _Spliced | None = None) -> None:
        self._port = port
        self.other = other
        self.transport: asyncio.Transport | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.transport.set_write_buffer_limits(high=256 * 1024)
        if self.other is None:
            other = _Spliced(other=self)
            self._dialling = asyncio.ensure_future(asyncio.get_running_loop().create_connection(lambda: other, _HOST, self._port))
        else:
            self.other.other = self
            self.transport.write(self.other.taken_early())

    def taken_early(self) -> bytes:
        """What was said before the other side was there."""
        early, self._early = self._early, b""
        return early

    def data_received(self, data: bytes) -> None:
        if self.other is None or self.other.transport is None:
            self._early += data
        else:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - however it ended
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None and not self.other.transport.is_closing():
            self.other.transport.resume_reading()


class _Player:
    """What the client's process can be told. Every answer is JSON."""

    def __init__(self, execution: str, workers: str) -> None:
        self._execution, self._workers = int(execution), int(workers)
        self._clients: list[play.Client] = []
        self._alive: list[play.Worker] = []
        self._bulk: play.Bulk | None = None
        self._grpc: tap_grpc.Calls | None = None
        self._keeping: asyncio.Task[None] | None = None

    async def connect(self, clients: int, workers: int, runs_s: float = 0.0) -> int:
        """Clients, and workers with their keep-alives."""
        self._clients = [await play.client(self._execution) for _ in range(clients)]
        self._alive = await play.workers(self._workers, workers, runs_s)
        if workers:
            self._keeping = asyncio.create_task(play.keep_alive(self._alive), name="keep-alives")
        return len(self._alive)

    async def record(self, first: int, count: int) -> int:
        """Encodes so many calls, numbered from there."""
        clients = self._clients
        for number, client in enumerate(clients):
            client.record(range(first + number, first + count, len(clients)))
        gc.collect()
        gc.freeze()
        return count

    async def sequence(self, count: int) -> list[int]:
        """Plays them one after another on the first connection: nanoseconds of each."""
        client = self._clients[0]
        client.took.clear()
        await client.sequence(count)
        return client.took

    async def by_grpc(self, first: int, count: int) -> list[int]:
        """As `sequence`, by the library."""
        self._grpc = self._grpc or tap_grpc.Calls(self._execution)
        return self._grpc.sequence(first, count)

    async def at_rate(self, rate: float, count: int) -> float:
        """Plays them at a rate over all connections: the seconds it took."""
        return await play.at_rate(self._clients, rate, count)

    async def began(self, numbers: list[int]) -> list[int]:
        """When the calls with these numbers were written, nanoseconds of the monotonic clock."""
        written = {number: at for client in self._clients for number, at in client.written.items()}
        return [written[number] for number in numbers]

    async def begin_bulk(self, in_flight: int) -> int:
        """One connection of bulk, from now on."""
        self._bulk = await play.bulk(self._execution, in_flight)
        return 0

    async def rest(self, seconds: float) -> int:
        """Goes on for so long: messages of bulk that were answered meanwhile."""
        before = self._bulk.answered if self._bulk else 0
        await asyncio.sleep(seconds)
        return self._bulk.answered - before if self._bulk else 0


async def _client(execution: str, workers: str) -> None:
    player = _Player(execution, workers)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, arguments = json.loads(line)
        print(json.dumps(await getattr(player, name)(*arguments)), flush=True)


class _Watcher:
    """How old what a subscriber of Watch hears is, by the records' own clock, which is this machine's."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._over: set[int] = set()
        self._delays: list[float] = []
        self._missed = 0
        self._completed = 0
        self._blind = 0
        self._gaps = 0

    def saw(self, batch: pb.ChangeBatch) -> None:
        """An operation's first appearance: now, less when the tap was given its request's bytes."""
        now = time.time()
        for operation in batch.operations:
            if operation.stage == pb.STAGE_COMPLETED and operation.arrival not in self._over:
                self._over.add(operation.arrival)
                self._completed += 1
            if operation.arrival not in self._known:
                self._known.add(operation.arrival)
                self._delays.append(now - operation.load.seconds - operation.load.nanos / 1e9)
        if batch.HasField("scheduler"):
            scheduler = batch.scheduler
            self._missed = scheduler.records_missed
            self._blind = sum(reason.connections for tap in scheduler.taps for reason in tap.blinded)
            self._gaps = sum(process.gaps for process in scheduler.tap_processes)

    def taken(self) -> dict[str, Any]:
        """What was seen, and from now on anew."""
        delays, self._delays = self._delays, []
        completed, self._completed = self._completed, 0
        return {"delays": delays, "completed": completed, "missed": self._missed, "blind": self._blind, "gaps": self._gaps}


async def _watch(path: str) -> None:
    watcher, subscribed = _Watcher(), asyncio.Event()

    async def follow() -> None:
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            async for response in IntrospectionStub(channel).Watch(pb.WatchRequest()):
                if response.HasField("changes"):
                    watcher.saw(response.changes)
                else:
                    subscribed.set()

    following = asyncio.create_task(follow(), name="watch")
    # The first answer says that nothing is missed from here on.
    async with asyncio.timeout(_PATIENCE_S):
        await subscribed.wait()
    while await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline) and not following.done():
        print(json.dumps(watcher.taken()), flush=True)
    following.cancel()


if __name__ == "__main__":
    roles: dict[str, Callable[..., Coroutine[None, None, None]]] = {
        "upstream": _upstream,
        "splice": _splice,
        "client": _client,
        "watch": _watch,
        "grpc": tap_grpc.serve,
    }
    uvloop.run(roles[sys.argv[1]](*sys.argv[2:]))

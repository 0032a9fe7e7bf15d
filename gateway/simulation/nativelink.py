"""A whole simulated NativeLink: scheduler, CAS, gRPC services, worker port with its admin call; stopped, killed, started again.

In: `async with Simulation(settings) as simulation`. Out: two addresses that speak NativeLink's protocols, and the scheduler's own
state to compare with.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc

from gateway.simulation import admin
from gateway.simulation.cas import Cas
from gateway.simulation.clients import SimulatedClient
from gateway.simulation.playbook import Playbook
from gateway.simulation.relay import Relay
from gateway.simulation.scheduler import Scheduler
from gateway.simulation.services import handlers
from gateway.simulation.settings import Settings
from gateway.simulation.truth import Truth, truth_of
from gateway.simulation.workers import SimulatedWorker, WorkerSpec

_OPTIONS = (
    ("grpc.so_reuseport", 0),
    # A worker's HTTP/2 pings are its own affair; gRPC's default counts them as abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", 1000),
)


class Simulation:
    """Listens between `start` and `stop` or `kill`; may be started again on the same ports, with a new scheduler, the same CAS.

    `listen` and `worker_listen` are (host, port); port 0 lets the system choose, once.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        worker_listen: tuple[str, int] = ("127.0.0.1", 0),
    ) -> None:
        self.settings = settings or Settings()
        self.cas = Cas()
        #: What simulated commands do; its workers read it.
        self.playbook = Playbook()
        self._listens = [listen, worker_listen]
        self._directory = tempfile.TemporaryDirectory(prefix="nativelink-simulation-")
        self._process: _Process | None = None
        self._starts = 0
        self._peers = contextlib.AsyncExitStack()

    @property
    def execution_address(self) -> str:
        """`host:port` of the public port: Execution, CAS, Capabilities."""
        return "{}:{}".format(*self._listens[0])

    @property
    def worker_address(self) -> str:
        """`host:port` of the private port: WorkerApi and the admin call."""
        return "{}:{}".format(*self._listens[1])

    @property
    def scheduler(self) -> Scheduler:
        """The running scheduler.

        Raises:
            RuntimeError: none is running.
        """
        if self._process is None:
            raise RuntimeError("the simulated scheduler is not running")
        return self._process.scheduler

    def truth(self) -> Truth:
        """The scheduler's own state at this moment, as in the shared recordings' truth."""
        return truth_of(self.scheduler)

    async def add_worker(self, spec: WorkerSpec | None = None, *, via: str | None = None) -> SimulatedWorker:
        """A worker that is registered, and stopped when the simulation is left. `via`: another address, such as a tap's."""
        worker = SimulatedWorker(via or self.worker_address, spec or WorkerSpec(), self.playbook)
        await self._peers.enter_async_context(worker)
        await worker.registered()
        return worker

    async def add_client(self, *, via: str | None = None, instance_name: str = "") -> SimulatedClient:
        """A client that is closed when the simulation is left. `via`: another address for Execution, such as a tap's."""
        client = SimulatedClient(via or self.execution_address, self.execution_address, self.playbook, instance_name=instance_name)
        return await self._peers.enter_async_context(client)

    async def start(self) -> None:
        """Begin to listen, with an empty scheduler.

        Raises:
            OSError: a port is in use.
        """
        if self._process is not None:
            raise RuntimeError("the simulated scheduler is running already")
        seed = self.settings.seed
        if seed is not None:
            # A scheduler that begins anew gives out other ids than the one before.
            seed += self._starts
        self._starts += 1
        process = _Process(dataclasses.replace(self.settings, seed=seed), self.cas, Path(self._directory.name) / "grpc.sock")
        try:
            await process.start(self._listens)
        except BaseException:
            await process.end(grace=None)
            raise
        self._listens = [_split(relay.address) for relay in process.relays]
        self._process = process

    async def stop(self) -> None:
        """End orderly: `disconnect` to every worker and grpc-status 0, then nothing listens any more."""
        if self._process is not None:
            process, self._process = self._process, None
            process.scheduler.disconnect_all()
            await process.end(grace=0.2)

    async def kill(self) -> None:
        """End at once: every connection is reset without a word."""
        if self._process is not None:
            process, self._process = self._process, None
            for relay in process.relays:
                relay.cut()
            await process.end(grace=None)

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            self._directory.cleanup()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._peers.aclose()
            await self.stop()
        finally:
            self._directory.cleanup()


class _Process:
    """One life of the scheduler process."""

    def __init__(self, settings: Settings, cas: Cas, socket: Path) -> None:
        self._changed = asyncio.Event()
        self.scheduler = Scheduler(settings, cas, self._changed.set)
        target = f"unix:{socket}"
        self.relays = (Relay(target), Relay(target, lambda head: admin.answer(self.scheduler, head)))
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers(handlers(self.scheduler, cas))
        self._server.add_insecure_port(target)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, listens: list[tuple[str, int]]) -> None:
        await self._server.start()
        for relay, (host, port) in zip(self.relays, listens, strict=True):
            await relay.listen(host, port)
        settings = self.scheduler.settings
        self._spawn(self._match(), "match")
        self._spawn(_repeat(settings.worker_timeout_s / 10, self.scheduler.evict), "evict")
        self._spawn(_repeat(settings.sweep_s, self.scheduler.sweep), "sweep")

    async def end(self, grace: float | None) -> None:
        # grpcio says so where its start was cancelled half-way: nothing serves yet.
        with contextlib.suppress(asyncio.InvalidStateError):
            await self._server.stop(grace)
        for relay in self.relays:
            await relay.close()
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        self._tasks.append(asyncio.create_task(work, name=f"simulation: {name}"))

    async def _match(self) -> None:
        """NativeLink matches in a task of its own: what happens in one turn of the loop is matched once, after it."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            self.scheduler.match()


async def _repeat(interval_s: float, call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        call()


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)

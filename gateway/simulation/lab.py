"""The bench on which a scenario is played: workers, clients, time.

In: a simulation and the addresses by which its peers connect. Out: peers that are connected.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from gateway.simulation.admin import set_drain
from gateway.simulation.clients import Job, SimulatedClient
from gateway.simulation.nativelink import Simulation
from gateway.simulation.playbook import Run
from gateway.simulation.workers import LINUX, SimulatedWorker, WorkerSpec

_CPU = (("cpu_count", "1"),)


#: Takes what a scenario did at that moment.
Note = Callable[[str], Awaitable[None]]


async def no_note(_text: str) -> None:
    """For those who do not want to know."""


@dataclass
class Lab:
    """What a scenario works with."""

    simulation: Simulation
    #: Where clients and workers connect, such as taps.
    execution_via: str
    workers_via: str
    scale: float = 1.0
    #: Awaited at the moments that the recording has notes for; all is quiet then but what is said to run.
    note: Note = no_note
    peers: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    async def pause(self, seconds: float) -> None:
        """Let so much of the recording's time go by."""
        await asyncio.sleep(seconds * self.scale)

    async def worker(
        self,
        prefix: str,
        max_inflight_tasks: int = 1,
        *,
        properties: tuple[tuple[str, str], ...] = LINUX,
        is_accepted: bool = True,
    ) -> SimulatedWorker:
        """A worker that connects, registered already unless the scheduler refuses it."""
        spec = WorkerSpec(prefix, properties, max_inflight_tasks, reconnect_s=0.5 * self.scale)
        worker = SimulatedWorker(self.workers_via, spec, self.simulation.playbook)
        await self.peers.enter_async_context(worker)
        if is_accepted:
            await worker.registered()
        return worker

    async def client(self, instance_name: str = "") -> SimulatedClient:
        """A client with a connection of its own."""
        client = SimulatedClient(
            self.execution_via, self.simulation.execution_address, self.simulation.playbook, instance_name=instance_name
        )
        return await self.peers.enter_async_context(client)

    def job(self, name: str, duration_s: float, **run: object) -> Job:
        """An action of one CPU that runs so much of the recording's time."""
        return Job((name,), _CPU, run=Run(duration_s=duration_s * self.scale, **run))  # type: ignore[arg-type]  # fields of Run

    def go_on(self, gate: str) -> None:
        """Let the jobs end that wait for this moment, so that no scenario depends on how busy the machine is."""
        self.simulation.playbook.open(gate)

    async def drain(self, worker: SimulatedWorker, *, is_draining: bool) -> None:
        """The admin call on the worker port."""
        name = self.simulation.settings.scheduler_name
        await set_drain(self.workers_via, name, worker.id, is_draining=is_draining)

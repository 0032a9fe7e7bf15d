"""A simulated build farm behind taps: workers and builds that go on until they are held still in; calls that failed out."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from gateway.simulation import Execution, Job, Run, SimulatedClient, SimulatedWorker, Simulation
from gateway.simulation.load import Load, workers
from gateway.simulation.mix import UNPLACEABLE

_CLIENTS = 4
#: Commands go on past their time until it is open, so that the farm can be made to hold still with work in hand.
_GATE = "farm"
#: Seconds between two Executes of a client, on average.
_EVERY_S = 0.12


class Farm:
    """Traffic, from `flow` to `hold`, as often as wanted."""

    def __init__(self, simulation: Simulation, fleet: list[SimulatedWorker], clients: list[SimulatedClient], seed: int) -> None:
        self.simulation = simulation
        #: Its workers, which may be stopped and started.
        self.fleet = fleet
        self._clients = clients
        self._chance = random.Random(seed)
        self._numbers = itertools.count()
        self._gate = simulation.playbook.gate(_GATE)
        self._flows = asyncio.Event()
        #: What no worker of it can take.
        self.waiting: Execution | None = None
        #: Execute calls so far.
        self.calls = 0
        #: How those ended that had no response.
        self.failed: list[str] = []

    def flow(self) -> None:
        """Builds ask, commands end."""
        self._gate.set()
        self._flows.set()

    def hold(self) -> None:
        """Nobody asks for anything more, and what runs by now does not end."""
        self._flows.clear()
        self._gate.clear()

    async def finish(self) -> None:
        """Nobody asks for anything more; wait until everything has ended that can."""
        self._flows.clear()
        # Builds that are about to ask have done so by then.
        await asyncio.sleep(2 * _EVERY_S)
        if self.waiting is not None:
            self.waiting.cancel()
        for client in self._clients:
            await client.followed()

    def lost_workers(self) -> list[str]:
        """Workers whose one stream did not last."""
        return [
            f"{worker.id} registered {worker.registrations} times, {worker.failures} failures: {worker.last_error}"
            for worker in self.fleet
            if (worker.registrations, worker.failures) != (1, 0)
        ]

    async def build(self, client: SimulatedClient) -> None:
        """One client's builds, for ever."""
        while True:
            await self._flows.wait()
            self.follow(await client.submit(self._job()))
            await asyncio.sleep(self._chance.uniform(0, 2 * _EVERY_S))

    def follow(self, execution: Execution) -> None:
        """Count a call, and note its failure."""
        self.calls += 1

        def over() -> None:
            if execution.response is None:
                self.failed.append(f"{execution.name}: {execution.error}")

        execution.when_over(over)

    def _job(self) -> Job:
        chance = self._chance
        # Now and then the same again, all alike: whose came first, on several connections, only the scheduler knows.
        is_new = chance.random() < 0.9
        return Job(
            arguments=("build", str(next(self._numbers)) if is_new else "again"),
            platform=(("cpu_count", "1"),),
            run=Run(
                duration_s=chance.uniform(0.02, 0.4),
                upload_s=chance.choice((0.0, 0.1)),
                exit_code=chance.choice((0, 0, 0, 1)),
                internal_errors=chance.choice((0, 0, 0, 0, 1)),
                gate=_GATE,
            ),
            priority=chance.choice((0, 0, 5)) if is_new else 0,
            is_cacheable=is_new and chance.random() < 0.5,
        )


@asynccontextmanager
async def farm(simulation: Simulation, execution_via: str, workers_via: str, *, size: int, seed: int) -> AsyncIterator[Farm]:
    """`size` registered workers and some clients behind taps. Nothing is asked for before `flow`."""
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(workers(Load(workers=size), workers_via, simulation.playbook))
        await asyncio.gather(*(worker.registered() for worker in fleet))
        clients = [
            SimulatedClient(execution_via, simulation.execution_address, simulation.playbook, instance_name=f"main{number % 2}")
            for number in range(_CLIENTS)
        ]
        for client in clients:
            await stack.enter_async_context(client)
        running = Farm(simulation, fleet, clients, seed)
        async with asyncio.TaskGroup() as group:
            building = [group.create_task(running.build(client), name="build") for client in clients]
            # Never to be placed: something waits all the time.
            running.waiting = await clients[0].submit(UNPLACEABLE)
            yield running
            running.waiting.cancel()
            for task in building:
                task.cancel()

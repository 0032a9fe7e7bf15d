"""A build farm in which nothing lasts: peers reconnect, builds are given up, messages are large, observers are killed. In: for how
long. Out: what the tap's process held all the time.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from gateway.role_process import PACES
from gateway.simulation import Job, Run, Settings, SimulatedClient, Simulation
from tests.command import PATIENCE_S, Command, command
from tests.e2e.faults.farm import Farm, farm
from tests.e2e.faults.observers import Beside, Place
from tests.e2e.faults.pair import Pair
from tests.e2e.faults.processes import descriptors, resident_kib

_WORKERS = 40
_RING_BYTES = 1024 * 1024
#: Over NativeLink's own limit for a message (4 MiB), and far over this tap's.
_LARGE_BYTES = 6 * 1024 * 1024
_SAMPLE_S = 0.2


@dataclass
class Outcome:
    """What the test asks about."""

    resident_kib: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    #: Descriptors of the tap before the first peer connected, and after the last had left.
    before: int = 0
    after: int = 0
    #: Calls that nobody gave up and that failed, connections that were not as they should be.
    problems: list[str] = field(default_factory=list)
    #: How often each thing happened.
    reconnects: int = 0
    cancels: int = 0
    pairs: int = 0
    #: Of an observer beside the gateway, and kills of its own.
    restarts: int = 0
    kills: int = 0
    #: Execute calls that were followed to their end.
    calls: int = 0
    log: list[str] = field(default_factory=list)


async def soak(directory: Path, seconds: float, seed: int) -> Outcome:
    """From start to end."""
    async with Simulation(Settings(seed=seed, coalesce=0.2, worker_timeout_s=60)) as simulation:
        upstreams = {"execution": simulation.execution_address, "workers": simulation.worker_address}
        place = Place(directory / "run", upstreams, tap={"ring_bytes": _RING_BYTES, "message_bytes": _RING_BYTES})
        async with command("run", "--config", str(place.file)) as run:
            for up in ("tap bytes forwards", "reading the tap", "answering on"):
                await run.logged(up)
            soaking = _Soak(simulation, place, run, await run.pid_of("tap"), seed)
            await soaking.go_on(directory, seconds)
            run.send(signal.SIGTERM)
            assert await run.ended() == 0
            soaking.outcome.log = run.log
    return soaking.outcome


class _Soak:
    """One run of it."""

    def __init__(self, simulation: Simulation, place: Place, run: Command, tap: int, seed: int) -> None:
        self.outcome = Outcome()
        self._simulation = simulation
        self._place = place
        self._run = run
        self._tap = tap
        self._chance = random.Random(seed)
        self._ends = asyncio.Event()

    async def go_on(self, directory: Path, seconds: float) -> None:
        outcome = self.outcome
        outcome.before = descriptors(self._tap)
        await self._under_traffic(directory, seconds)
        async with asyncio.timeout(PATIENCE_S):
            while (after := descriptors(self._tap)) > outcome.before:
                # A channel of gRPC that was closed lets go of its connection when the last call of it is collected.
                gc.collect()
                await asyncio.sleep(0.1)
        outcome.after = after

    async def _under_traffic(self, directory: Path, seconds: float) -> None:
        outcome, place = self.outcome, self._place
        via = f"127.0.0.1:{place.execution}", f"127.0.0.1:{place.workers}"
        async with farm(self._simulation, *via, size=_WORKERS, seed=1) as running:
            running.flow()
            doing: dict[str, Callable[[], Awaitable[None]]] = {
                "sample": self._sample,
                "pair": self._pair,
                "kill": self._kill_observe,
                "reconnect": lambda: self._reconnect(running),
                "give up": lambda: self._give_up(via[0]),
                "observe": lambda: self._observe(Beside(directory / f"beside-{outcome.restarts}", place)),
            }
            async with asyncio.TaskGroup() as tasks:
                for name, do in doing.items():
                    tasks.create_task(self._again(do), name=name)
                await asyncio.sleep(seconds)
                self._ends.set()
            await running.finish()
            outcome.calls = running.calls
            outcome.problems += running.failed

    async def _sample(self) -> None:
        await asyncio.sleep(_SAMPLE_S)
        self.outcome.resident_kib.append(resident_kib(self._tap))
        self.outcome.descriptors.append(descriptors(self._tap))

    async def _pair(self) -> None:
        """A connection with large messages, for a while."""
        pair = Pair(self._place.bytes_upstream, self._place.bytes, self._chance.randrange(1 << 30), large_bytes=_LARGE_BYTES)
        running = asyncio.create_task(pair.run(), name="pair")
        await asyncio.sleep(self._chance.uniform(0.5, 3))
        pair.end()
        await running
        self.outcome.pairs += 1
        self.outcome.problems += pair.problems

    async def _reconnect(self, running: Farm) -> None:
        """A worker goes, and comes back with another id."""
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        worker = self._chance.choice(running.fleet)
        await worker.stop()
        await worker.start()
        await worker.registered(other_than=worker.id)
        self.outcome.reconnects += 1

    async def _give_up(self, execution_via: str) -> None:
        """A build that is interrupted, or whose client is gone at once."""
        simulation = self._simulation
        async with SimulatedClient(execution_via, simulation.execution_address, simulation.playbook) as client:
            jobs = [Job((f"given up {self.outcome.cancels}", str(number)), run=Run(1.0)) for number in range(5)]
            executions = [await client.submit(job) for job in jobs]
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            for execution in executions[:3]:
                execution.cancel()
        self.outcome.cancels += 1

    async def _observe(self, place: Beside) -> None:
        async with place.role("observe"):
            await asyncio.sleep(self._chance.uniform(0, 3))
        self.outcome.restarts += 1

    async def _kill_observe(self) -> None:
        """The gateway's own, when it has lived for so long that the supervisor starts it again at once."""
        await self._pause(1.2 * PACES["observe"].healthy_s)
        if not self._ends.is_set():
            await self._run.logged("reading the tap", self.outcome.kills + 1)
            os.kill(await self._run.pid_of("observe", self.outcome.kills + 1), signal.SIGKILL)
            self.outcome.kills += 1

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ends.wait()

    async def _again(self, do: Callable[[], Awaitable[None]]) -> None:
        while not self._ends.is_set():
            await do()

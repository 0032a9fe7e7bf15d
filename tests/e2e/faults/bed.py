"""The gateway and observers beside it, and what befalls them: how long and how often in, the faults' ends out.

The gateway's own `observe` and `serve` are killed, its disk is full, its state_dir read-only. Of the observers beside it, all on
the same tap, one is stopped, one is slow, one is killed again and again, one has its clock set back, and so has its `serve`; and
one is left alone.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.command import Command
from tests.e2e.faults.dashboard import Clocks, Dashboard
from tests.e2e.faults.observers import Beside, Observer, Place, observing
from tests.e2e.faults.processes import full_disk, read_only

_BESIDE = ("calm", "stopped", "slow", "restarted", "clock")


@dataclass(frozen=True)
class Sizes:
    """How long and how often."""

    stopped_s: float
    slow_s: float
    restarts: int


@dataclass
class Bed:
    """Everything that runs."""

    run: Command
    state_dir: Path
    dashboard: Dashboard
    #: Those beside the gateway's own, and that one as `run`.
    observers: dict[str, Observer]
    places: dict[str, Beside]
    processes: dict[str, Command]
    #: Where a process that is restarted has its present life.
    lives: AsyncExitStack
    clock_dashboard: Dashboard
    #: HTTP status -> answers, while the gateway's own observer was away; 0: none.
    answers_without_observe: Counter[int] = field(default_factory=Counter)
    #: False: this user may not make it so.
    was_read_only: bool = False
    #: What was said of time before and after the clock was set back.
    clocks: list[Clocks] = field(default_factory=list)
    #: Seconds between the two.
    clock_s: float = 0.0

    async def faults(self, sizes: Sizes) -> None:
        """All of them, at once."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._stop(sizes.stopped_s), name="stopped")
            tasks.create_task(self._slow(sizes.slow_s), name="slow")
            tasks.create_task(self._restart(sizes.restarts), name="restarted")
            tasks.create_task(self._set_back(), name="clock")
            tasks.create_task(self._own(), name="own")

    async def _stop(self, seconds: float) -> None:
        pid = self.processes["stopped"].pid
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _slow(self, seconds: float) -> None:
        self.processes["slow"].send(signal.SIGUSR1)
        await asyncio.sleep(seconds)
        self.processes["slow"].send(signal.SIGUSR2)

    async def _restart(self, times: int) -> None:
        place = self.places["restarted"]
        for _ in range(times):
            async with place.role("observe"):
                await asyncio.sleep(random.uniform(0, 0.1))
        await self.lives.enter_async_context(place.role("observe"))

    async def _set_back(self) -> None:
        loop = asyncio.get_running_loop()
        self.clocks.append(await self.clock_dashboard.clocks())
        began = loop.time()
        for name in ("clock", "clock serve"):
            self.processes[name].send(signal.SIGUSR1)
        await asyncio.sleep(1.5)
        self.clocks.append(await self.clock_dashboard.clocks())
        self.clock_s = loop.time() - began

    async def _own(self) -> None:
        """What befalls the gateway's own processes, one after the other."""
        os.kill(await self.run.pid_of("serve"), signal.SIGKILL)
        await self.run.pid_of("serve", 2)
        await self.dashboard.answered()
        pids = [self.run.pid, await self.run.pid_of("tap"), await self.run.pid_of("observe"), await self.run.pid_of("serve", 2)]
        with full_disk(pids):
            before = self.dashboard.answers.copy()
            os.kill(await self.run.pid_of("observe"), signal.SIGKILL)
            # It begins, and reads, with a disk that is full.
            await self.run.logged("reading the tap", 2)
            await self.dashboard.answered()
            self.answers_without_observe = self.dashboard.answers - before
        with read_only(self.state_dir) as is_so:
            self.was_read_only = is_so
            await asyncio.sleep(1)
            await self.dashboard.answered()


@asynccontextmanager
async def bed(directory: Path, place: Place, run: Command) -> AsyncIterator[Bed]:
    """Start the observers beside a gateway that runs."""
    async with AsyncExitStack() as stack:
        places = {name: Beside(directory / name, place) for name in _BESIDE}
        inject = {"slow": "slow", "clock": "clock"}
        roles = [places[name].role("observe", inject=inject.get(name)) for name in _BESIDE if name != "restarted"]
        roles.append(places["clock"].role("serve", inject="clock"))
        started = await asyncio.gather(*(stack.enter_async_context(role) for role in roles))
        names = [*(name for name in _BESIDE if name != "restarted"), "clock serve"]
        observers = {name: await stack.enter_async_context(observing(each.state_dir)) for name, each in places.items()}
        observers["run"] = await stack.enter_async_context(observing(place.state_dir))
        dashboard = Dashboard(place.http)
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(dashboard.watch(), name="dashboard")
            processes = dict(zip(names, started, strict=True))
            yield Bed(run, place.state_dir, dashboard, observers, places, processes, stack, Dashboard(places["clock"].http))
            watching.cancel()

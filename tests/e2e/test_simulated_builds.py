"""Random builds on the simulated NativeLink behind the taps: whenever its scheduler holds still, the gateway shows that state."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import uvloop

from gateway.simulation import LINUX, Job, Run, Settings, SimulatedClient, Simulation, WorkerSpec
from tests.e2e import truth
from tests.e2e.gateway import Gateway, gateway
from tests.e2e.simulated import checkpoint, upstreams

#: The scheduler held still if it says the same this much later.
_STILL_S = 0.3
#: What differs for so long is wrong.
_LASTS_S = 30
_PATIENCE_S = 90
#: Runs of commands go on past their time until this is open, so that the scheduler can be made to hold still with work in hand.
_GATE = "flood"


async def _differences_when_still(simulation: Simulation, running: Gateway) -> list[str]:
    """Waits until nothing but time goes on at the scheduler, keep-alives included, for long enough to compare.

    On a busy machine what was forwarded may be seen later than that: what differs has to last.
    """
    loop = asyncio.get_running_loop()
    lasts_until = loop.time() + _LASTS_S
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            before = simulation.truth()
            await asyncio.sleep(_STILL_S)
            asked = simulation.truth()
            workers, operations, scheduler = await running.answers()
            after = simulation.truth()
            if before == asked == after:
                found = truth.differences(checkpoint(after), workers, operations, scheduler.counts)
                if not found or loop.time() > lasts_until:
                    return found


async def _build(chance: random.Random, client: SimulatedClient, jobs: list[Job], seconds: float) -> None:
    """Asks for random jobs, sometimes for the same ones again, sometimes leaving or coming back."""
    ends = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < ends:
        for job in chance.choices(jobs, k=chance.randint(1, 4)):
            execution = await client.submit(job)
            await asyncio.sleep(chance.uniform(0, 0.02))
            if execution.name and chance.random() < 0.15:
                client.wait(execution.name, job, (await client.upload([job]))[0])
                if chance.random() < 0.5:
                    execution.cancel()
        await asyncio.sleep(chance.uniform(0.2, 0.8))


def _jobs(chance: random.Random) -> list[Job]:
    return [
        Job(
            arguments=("build", str(number)),
            platform=(("cpu_count", str(chance.choice((1, 2, 4)))),),
            run=Run(
                duration_s=chance.uniform(0.1, 1.0),
                upload_s=chance.choice((0.0, 0.4)),
                exit_code=chance.choice((0, 0, 0, 1)),
                internal_errors=chance.choice((0, 0, 0, 1)),
                gate=_GATE,
            ),
            priority=chance.choice((0, 0, 1, 5)),
            is_cacheable=chance.random() < 0.5,
        )
        for number in range(12)
    ]


async def _follow(seed: int, state_dir: Path, *, floods: int, seconds: float, processes: int = 1) -> list[str]:
    chance = random.Random(seed)
    found: list[str] = []
    async with (
        Simulation(Settings(seed=seed, coalesce=0.2)) as simulation,
        gateway("simulated", state_dir, upstreams(simulation), processes=processes) as running,
    ):
        execution, workers = ("{}:{}".format(*running.taps[name]) for name in ("execution", "workers"))
        for number in range(4):
            spec = WorkerSpec(prefix=f"w{number}-", properties=LINUX, max_inflight_tasks=number)
            await simulation.add_worker(spec, via=workers)
        coming = await simulation.add_worker(WorkerSpec(prefix="coming-", max_inflight_tasks=1), via=workers)
        clients = [await simulation.add_client(via=execution, instance_name=name) for name in ("", "main")]
        jobs = _jobs(chance)
        gate = simulation.playbook.gate(_GATE)
        for _ in range(floods):
            gate.set()
            async with asyncio.TaskGroup() as builds:
                for client in clients:
                    builds.create_task(_build(random.Random(chance.random()), client, jobs, seconds), name="build")
                await asyncio.sleep(seconds / 2)
                await coming.stop()
                await asyncio.sleep(0.1)
                await coming.start()
            gate.clear()
            found += await _differences_when_still(simulation, running)
        gate.set()
        for client in clients:
            await client.followed()
        found += await _differences_when_still(simulation, running)
        _, _, scheduler = await running.answers()
        found += [f"anomaly {anomaly.kind}: {anomaly.text}" for anomaly in scheduler.recent_anomalies]
    return found


@pytest.mark.parametrize(("seed", "processes"), [(1, 1), (2, 1), (3, 2), (4, 3)])
def test_random_builds_are_shown_as_the_scheduler_knows_them(seed: int, processes: int, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(_follow(seed, tmp_path, floods=4, seconds=2, processes=processes)) == []

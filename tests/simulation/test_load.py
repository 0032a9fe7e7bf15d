from __future__ import annotations

import asyncio

from gateway.simulation import Simulation
from gateway.simulation.load import Load, Report, drive, workers
from tests.simulation.bench import eventually

LOAD = Load(workers=6, operations=120, rate=1000, seed=7, speed=1000)


async def _run(load: Load) -> tuple[Report, set[str]]:
    """The report, and the digests of all actions."""
    async with Simulation() as simulation:
        async with workers(load, simulation.worker_address, simulation.playbook):
            await eventually(lambda: len(simulation.scheduler.fleet) == load.workers)
            report = Report()
            address = simulation.execution_address
            await drive(load, address, address, simulation.playbook, report)
        truth = simulation.truth()
    assert {row["stage"] for row in truth["operations"]} == {"Completed"}
    return report, {row["action_digest"] for row in truth["operations"]}


async def test_all_operations_are_followed_to_their_end() -> None:
    report, _ = await _run(LOAD)
    assert (report.submitted, report.completed, report.failed) == (120, 120, 0)


async def test_the_same_seed_submits_the_same_actions() -> None:
    assert (await _run(LOAD))[1] == (await _run(LOAD))[1]


async def test_open_operations_are_bounded() -> None:
    report, _ = await _run(Load(workers=6, operations=60, rate=10_000, speed=100, max_open=3))
    assert report.completed == 60


async def test_a_simulation_that_ends_meanwhile_is_counted_as_failed() -> None:
    async with Simulation() as simulation:
        report = Report()
        address = simulation.execution_address
        load = Load(operations=1, rate=1000)
        task = asyncio.create_task(drive(load, address, address, simulation.playbook, report))
        await eventually(lambda: bool(simulation.scheduler.operations()))
        await simulation.kill()
        await task
    assert (report.submitted, report.completed, report.failed) == (1, 0, 1)

"""Gateways take over from each other under simulated builds: no stream is cut, no record missed, the model is the scheduler's."""

from __future__ import annotations

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import pytest
import uvloop

from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.simulation import LINUX, Job, SimulatedClient, SimulatedWorker, Simulation, WorkerSpec
from gateway.simulation import Settings as SimulationSettings
from gateway.simulation.clients import Execution
from tests.command import PATIENCE_S, Command, command
from tests.e2e import test_observe_killed as killed
from tests.e2e import test_simulated_builds as builds
from tests.e2e.gateway import Gateway
from tests.tap.running import LinkReader, link_reader

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # the stub file's name for a stub on an aio channel

_WORKERS = 6


class _Records:
    """What the taps say from the first process to the last, as a reader hears it that connects again and goes on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.found: list[tap_pb2.TapRecord] = []

    async def read(self) -> None:
        while True:
            run = self.found[0].run_started.run if self.found else ""
            try:
                async with link_reader(self._path, run, self.found[-1].sequence + 1 if self.found else 0) as link:
                    await self._read(link)
            except OSError:
                await asyncio.sleep(0.01)

    async def _read(self, link: LinkReader) -> None:
        is_first = not self.found
        heard = 0
        while True:
            try:
                await link.until(lambda records: len(records) > heard)  # noqa: B023 - called at once
            except AssertionError:
                return  # the process handed over
            new = link.records[heard:]
            # Each connection begins with RunStarted.
            self.found += new if is_first or heard else new[1:]
            heard = len(link.records)

    def problems(self) -> list[str]:
        found = [f"a record {each.WhichOneof('record')}" for each in self.found if each.HasField("gap") or each.HasField("blinded")]
        sequences = [each.sequence for each in self.found]
        if sequences != list(range(1, len(sequences) + 1)):
            found.append("numbers are missing")
        if len({each.run_started.run for each in self.found if each.HasField("run_started")}) != 1:
            found.append("another run began")
        found += [f"connection {each.connection} closed" for each in self.found if each.HasField("connection_closed")]
        return found


class _Builds:
    """Everything that was asked for, and how it ended."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.executions: list[Execution] = []

    async def build(self, client: SimulatedClient, jobs: list[Job], until: asyncio.Event) -> None:
        while not until.is_set():
            for job in self.chance.choices(jobs, k=self.chance.randint(1, 4)):
                self.executions.append(await client.submit(job))
            await asyncio.sleep(self.chance.uniform(0.05, 0.4))

    def problems(self) -> list[str]:
        return [f"{each.name}: {each.error}" for each in self.executions if each.error is not None or each.response is None]


async def _workers(simulation: Simulation, via: str) -> list[SimulatedWorker]:
    specs = [WorkerSpec(prefix=f"w{number}-", properties=LINUX, max_inflight_tasks=number % 3) for number in range(_WORKERS)]
    return [await simulation.add_worker(spec, via=via) for spec in specs]


async def _upgrade(stack: AsyncExitStack, before: Command, file: Path) -> Command:
    after = await stack.enter_async_context(command("run", f"--config={file}", "--take-over"))
    await after.logged("introspection answers at")
    assert await before.ended() == 0
    return after


async def _differences(simulation: Simulation, state_dir: Path) -> tuple[list[str], pb.Scheduler]:
    async with grpc.aio.insecure_channel(f"unix:{state_dir}/introspection.sock") as channel:
        stub: IntrospectionAsyncStub = IntrospectionStub(channel)
        await killed._attached(stub)
        found = await builds._differences_when_still(simulation, Gateway(stub, {}))
        return found, await stub.GetScheduler(pb.GetSchedulerRequest())


async def _upgrades(directory: Path, count: int) -> None:
    seed = 7
    over = asyncio.Event()
    async with (
        Simulation(SimulationSettings(seed=seed)) as simulation,
        AsyncExitStack() as stack,
        asyncio.TaskGroup() as tasks,
    ):
        settings = killed._settings(directory, simulation)
        gateway = await stack.enter_async_context(command("run", f"--config={settings.file}"))
        await gateway.logged("introspection answers at")
        records = _Records(settings.state_dir / "tap-0.sock")
        reading = tasks.create_task(records.read(), name="read records")
        workers = await _workers(simulation, f"127.0.0.1:{settings.workers}")
        ids = [worker.id for worker in workers]
        clients = [await simulation.add_client(via=f"127.0.0.1:{settings.execution}", instance_name=name) for name in ("", "main")]
        asked = _Builds(seed)
        jobs = builds._jobs(asked.chance)
        gate = simulation.playbook.gate(builds._GATE)
        gate.set()
        building = [tasks.create_task(asked.build(client, jobs, over), name="build") for client in clients]
        for _ in range(count):
            gateway = await _upgrade(stack, gateway, settings.file)
        # With work in hand, and when all is done.
        gate.clear()
        over.set()
        await asyncio.wait(building)
        differences, _ = await _differences(simulation, settings.state_dir)
        assert differences == []
        gate.set()
        async with asyncio.timeout(PATIENCE_S):
            for client in clients:
                await client.followed()
        differences, scheduler = await _differences(simulation, settings.state_dir)
        assert differences == []
        assert asked.problems() == []
        assert len(asked.executions) > 10 * count
        assert [worker.id for worker in workers] == ids
        assert sum(worker.registrations for worker in workers) == _WORKERS
        assert list(scheduler.recent_anomalies) == []
        reading.cancel()
        assert records.problems() == []


@pytest.mark.parametrize("count", [2, pytest.param(10, marks=pytest.mark.long)])
def test_upgrades_cut_nothing(count: int, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_upgrades(tmp_path, count))

"""Observe is killed under simulated builds: what it then shows is what the scheduler knows, and nothing was missed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import uvloop

from gateway.observe.checkpoint import file
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.simulation import LINUX, Simulation, WorkerSpec
from gateway.simulation import Settings as SimulationSettings
from tests.command import PATIENCE_S, Command, Settings, command
from tests.e2e import test_simulated_builds as builds
from tests.e2e.gateway import Gateway
from tests.e2e.recordings import PROPERTY_TYPES
from tests.e2e.simulated import upstreams

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # the stub file's name for a stub on an aio channel

_KILLS = 2
#: Within it many checkpoints are written.
_LIFE_S = 0.7


def _settings(directory: Path, simulation: Simulation) -> Settings:
    settings = Settings(directory, observe={"checkpoint_interval_s": 0.1})
    document = json.loads(settings.file.read_text())
    types = {name: kind.value for name, kind in PROPERTY_TYPES.items()}
    document["gateway"]["scheduler"] = {"supported_platform_properties": types}
    ports = {name: upstream.port for name, upstream in upstreams(simulation).items()}
    for tap in document["gateway"]["taps"]:
        tap["upstream"] = f"127.0.0.1:{ports[tap['name']]}"
    settings.file.write_text(json.dumps(document))
    return settings


async def _attached(stub: IntrospectionAsyncStub) -> pb.Scheduler:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                scheduler = await stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
            except grpc.aio.AioRpcError:
                continue
            if scheduler.taps and all(each.attached for each in scheduler.taps):
                return scheduler
            await asyncio.sleep(0.05)


async def _kill_again_and_again(run: Command, state_dir: Path) -> None:
    """Each life is long enough for checkpoints; each successor has begun when the next kill comes."""
    for life in range(1, _KILLS + 1):
        pid = await run.pid_of("observe", life)
        await run.logged("introspection answers at", life)
        await asyncio.sleep(_LIFE_S)
        assert (state_dir / file.NAME).exists()
        os.kill(pid, signal.SIGKILL)
        await run.logged("going on from the checkpoint of", life)


async def _follow(directory: Path) -> tuple[list[str], pb.Scheduler, pb.Scheduler, list[str]]:
    """Differences, the scheduler as first and as last shown, and the log."""
    chance = random.Random(3)
    async with Simulation(SimulationSettings(seed=3, coalesce=0.2)) as simulation:
        settings = _settings(directory, simulation)
        async with (
            command("run", "--config", str(settings.file)) as run,
            grpc.aio.insecure_channel(f"unix:{settings.state_dir}/introspection.sock") as channel,
        ):
            await run.logged("introspection answers at")
            stub: IntrospectionAsyncStub = IntrospectionStub(channel)
            first = await _attached(stub)
            execution, workers = f"127.0.0.1:{settings.execution}", f"127.0.0.1:{settings.workers}"
            for number in range(3):
                spec = WorkerSpec(prefix=f"w{number}-", properties=LINUX, max_inflight_tasks=number)
                await simulation.add_worker(spec, via=workers)
            clients = [await simulation.add_client(via=execution, instance_name=name) for name in ("", "main")]
            jobs = builds._jobs(chance)
            gate = simulation.playbook.gate(builds._GATE)
            gate.set()
            killing = asyncio.create_task(_kill_again_and_again(run, settings.state_dir), name="kill")
            while not killing.done():
                async with asyncio.TaskGroup() as building:
                    for client in clients:
                        building.create_task(builds._build(random.Random(chance.random()), client, jobs, 0.5), name="build")
            await killing
            gate.clear()
            await _attached(stub)
            found = await builds._differences_when_still(simulation, Gateway(stub, {}))
            last = await _attached(stub)
            gate.set()
            for client in clients:
                await client.followed()
            run.send(signal.SIGTERM)
            assert await run.ended() == 0
            return found, first, last, run.log


def test_a_killed_observer_goes_on_without_having_missed_anything(tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, first, last, log = runner.run(_follow(tmp_path))
    assert found == []
    assert last.records_missed == 0
    assert not last.recent_anomalies
    assert last.up_since == first.up_since
    assert last.counts.operations > 0
    # Neither a warning of its own, nor a word of grpc about forks, which has no such form.
    assert [line for line in log if "role=observe" in line and "level=info" not in line] == []
    assert [line for line in log if not line.startswith("time=")] == []

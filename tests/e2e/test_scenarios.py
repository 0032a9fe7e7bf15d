"""The recorded scenarios, played on the simulated NativeLink behind the taps: at each quiet moment the gateway shows its state."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from gateway.simulation import Simulation
from gateway.simulation.scenarios import SCENARIOS, play
from tests.e2e import truth
from tests.e2e.gateway import gateway
from tests.e2e.simulated import checkpoint, upstreams

#: Of the recorded durations; the scenarios' 12 s of client_action_timeout become whole seconds.
_SCALE = 0.25
#: What was forwarded is in the model well within it, unless the machine is busy.
_SETTLE_S = 0.3
#: What differs for so long is wrong.
_LASTS_S = 30


async def _played(name: str, state_dir: Path) -> tuple[list[str], int]:
    """What differed, and how often it was compared."""
    found: list[str] = []
    compared = 0
    settings = SCENARIOS[name].settings.scaled(_SCALE)
    async with (
        Simulation(settings) as simulation,
        gateway(name, state_dir, upstreams(simulation), client_action_timeout_s=int(settings.client_action_timeout_s)) as running,
    ):

        async def compare(note: str) -> None:
            nonlocal compared
            lines: list[str] = []
            lasts_until = asyncio.get_running_loop().time() + _LASTS_S
            state = None
            # Once more after a keep-alive in between.
            while state is None or state != simulation.truth() or (lines and asyncio.get_running_loop().time() < lasts_until):
                try:
                    state = simulation.truth()
                except RuntimeError:
                    return  # killed: it knows nothing
                await asyncio.sleep(_SETTLE_S)
                workers, operations, scheduler = await running.answers()
                lines = truth.differences(checkpoint(state), workers, operations, scheduler.counts)
            found.extend(f"{name}, {note}: {line}" for line in lines)
            compared += 1

        via = {listener: "{}:{}".format(*address) for listener, address in running.taps.items()}
        await play(name, simulation, execution_via=via["execution"], workers_via=via["workers"], scale=_SCALE, note=compare)
        _, _, scheduler = await running.answers()
        found += [f"{name}: anomaly {anomaly.kind}: {anomaly.text}" for anomaly in scheduler.recent_anomalies]
    return found, compared


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[list[str], int]]:
    """All at once, since a scenario takes its own time."""

    async def play_all() -> dict[str, tuple[list[str], int]]:
        async with asyncio.TaskGroup() as tasks:
            running = {name: tasks.create_task(_played(name, tmp_path_factory.mktemp(name)), name=name) for name in SCENARIOS}
        return {name: task.result() for name, task in running.items()}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(play_all())


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_gateway_shows_what_the_simulated_scheduler_knows(name: str, played: dict[str, tuple[list[str], int]]) -> None:
    found, compared = played[name]
    assert compared > 0
    assert found == []

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.simulation import Job, Simulation, Stage
from gateway.simulation.truth import NO_TIMEOUT

RECORDINGS = Path(__file__).parents[1] / "recordings"


@pytest.mark.parametrize("name", ["basic", "queue", "drain"])
async def test_truth_has_the_fields_and_types_of_the_recorded_truth(name: str) -> None:
    checkpoints = json.loads((RECORDINGS / f"{name}.truth.json").read_text())
    recorded = next(point for point in checkpoints if point["operations"] and point["workers"])
    async with Simulation() as simulation:
        await simulation.add_worker()
        client = await simulation.add_client()
        await (await client.submit(Job(("true",)))).done()
        ours = simulation.truth()
    assert _types(ours["workers"][0]) == _types(recorded["workers"][0])
    assert _types(ours["operations"][0]) == _types(recorded["operations"][0])


async def test_an_action_without_timeout_has_the_largest_number_of_seconds() -> None:
    async with Simulation() as simulation:
        client = await simulation.add_client()
        for timeout_s in (None, 60):
            execution = await client.submit(Job((f"{timeout_s}",), timeout_s=timeout_s))
            await execution.reached(Stage.QUEUED)
        assert [operation["timeout"] for operation in simulation.truth()["operations"]] == [NO_TIMEOUT, 60]


def _types(item: object) -> dict[str, type]:
    assert isinstance(item, dict)
    return {key: type(value) for key, value in item.items()}

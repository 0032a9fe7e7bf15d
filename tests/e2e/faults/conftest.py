"""Both plays at once, since healing takes its own time."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.e2e.faults import gap, play
from tests.e2e.faults.bed import Sizes


async def play_both(directory: Path, sizes: Sizes) -> tuple[play.Outcome, gap.Outcome]:
    """All faults under a farm's traffic; and one that outlasts the ring."""
    async with asyncio.TaskGroup() as tasks:
        faults = tasks.create_task(play.play(directory, sizes), name="faults")
        lost = tasks.create_task(gap.play(directory / "gap", sizes.stopped_s), name="gap")
    return faults.result(), lost.result()


@pytest.fixture(scope="package")
def faults(tmp_path_factory: pytest.TempPathFactory) -> tuple[play.Outcome, gap.Outcome]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(play_both(tmp_path_factory.mktemp("faults"), Sizes(stopped_s=3, slow_s=4, restarts=10)))

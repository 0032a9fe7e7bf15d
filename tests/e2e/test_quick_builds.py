"""The simulation without gRPC's library, behind real taps: when all is done, the gateway shows what its scheduler knows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from gateway.config.types import Address
from gateway.simulation.at_size import play
from gateway.simulation.load import Load, Report
from gateway.simulation.quick.nativelink import quick_nativelink
from gateway.simulation.settings import Settings
from gateway.simulation.truth import truth_of
from tests.command import free_ports
from tests.e2e import truth
from tests.e2e.gateway import gateway
from tests.e2e.player import Upstream
from tests.e2e.simulated import checkpoint

_HOST = "127.0.0.1"
_PATIENCE_S = 90
_SETTLE_S = 0.5


class _Listened(Upstream):
    """A listener that the simulation keeps."""

    def __init__(self, port: int) -> None:
        self.port = port


async def _differences(load: Load, folder: Path, processes: int) -> tuple[Report, list[str]]:
    execution, workers, cas = free_ports(3)
    report = Report()
    # Keep-alives that a tap has not told yet would be differences.
    settings = Settings(seed=load.seed, worker_timeout_s=2 * load.keep_alive_s)
    async with (
        quick_nativelink(settings, (_HOST, execution), (_HOST, workers), (_HOST, cas)) as scheduler,
        gateway(
            "quick", folder, {"execution": _Listened(execution), "workers": _Listened(workers)}, processes=processes
        ) as running,
    ):
        via, workers_via = (Address(*running.taps[name]) for name in ("execution", "workers"))
        playing = asyncio.create_task(play(load, via, workers_via, Address(_HOST, cas), report), name="play")
        async with asyncio.timeout(_PATIENCE_S):
            while report.completed + report.failed < load.operations:  # noqa: ASYNC110 - a count of others
                await asyncio.sleep(0.1)
        await asyncio.sleep(_SETTLE_S)
        while True:
            before = truth_of(scheduler)
            shown_workers, shown_operations, shown = await running.answers()
            if truth_of(scheduler) == before:
                break
        found = truth.differences(checkpoint(before), shown_workers, shown_operations, shown.counts)
        found += [f"anomaly {anomaly.kind}: {anomaly.text}" for anomaly in shown.recent_anomalies]
        playing.cancel()
        await asyncio.wait({playing})
    return report, found


@pytest.mark.parametrize("processes", [1, 2])
def test_quick_builds_are_shown_as_the_scheduler_knows_them(processes: int, tmp_path: Path) -> None:
    load = Load(workers=25, operations=200, rate=400, seed=processes, speed=20, keep_alive_s=_PATIENCE_S)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        report, found = runner.run(_differences(load, tmp_path, processes))
    assert (report.submitted, report.completed, report.failed) == (200, 200, 0)
    assert found == []

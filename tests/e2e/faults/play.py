"""All faults at once, under one build farm's traffic: how long and how often in, what became of calls, bytes and models out."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from gateway.simulation import Settings, Simulation
from tests.command import Command, command
from tests.e2e.faults import comparison
from tests.e2e.faults.bed import Bed, Sizes, bed
from tests.e2e.faults.farm import farm
from tests.e2e.faults.observers import Place
from tests.e2e.faults.pair import Pair
from tests.e2e.faults.processes import resident_kib

WORKERS = 100
RING_BYTES = 16 * 1024 * 1024
#: A test machine may be busy for longer than a worker's usual timeout; and nothing that is over is dropped while it is compared.
_WORKER_TIMEOUT_S, _CLIENT_ACTION_TIMEOUT_S = 60, 600


@dataclass
class Outcome:
    """What the tests ask about."""

    bed: Bed
    #: Execute calls, those of them that had no response, and workers whose stream did not last.
    calls: int
    failed: list[str]
    lost_workers: list[str]
    pair: Pair
    #: Of the tap, before and after.
    resident_kib: tuple[int, int]
    #: HTTP status -> answers; 0: none.
    http: Counter[int]
    #: Observer -> how it disagrees with the scheduler, and with the undisturbed one.
    unlike_scheduler: dict[str, list[str]]
    unlike_calm: dict[str, list[str]]
    #: Of the gateway.
    log: list[str]


async def play(directory: Path, sizes: Sizes) -> Outcome:
    """From start to end."""
    settings = Settings(seed=4, coalesce=0.2, worker_timeout_s=_WORKER_TIMEOUT_S, client_action_timeout_s=_CLIENT_ACTION_TIMEOUT_S)
    async with Simulation(settings) as simulation:
        upstreams = {"execution": simulation.execution_address, "workers": simulation.worker_address}
        place = Place(
            directory / "run",
            upstreams,
            tap={"ring_bytes": RING_BYTES},
            scheduler={"worker_timeout_s": _WORKER_TIMEOUT_S, "client_action_timeout_s": _CLIENT_ACTION_TIMEOUT_S},
            retention={"completed_s": 600},
            # So that observers go on from some, and that some cannot be written.
            observe={"checkpoint_interval_s": 0.5},
        )
        async with command("run", "--config", str(place.file)) as run:
            for up in ("tap bytes forwards", "reading the tap", "answering on"):
                await run.logged(up)
            async with bed(directory, place, run) as prepared:
                outcome = await _under_traffic(prepared, place, simulation, run, sizes)
            run.send(signal.SIGTERM)
            assert await run.ended() == 0
    return outcome


async def _under_traffic(bed: Bed, place: Place, simulation: Simulation, run: Command, sizes: Sizes) -> Outcome:
    tap = await run.pid_of("tap")
    via = f"127.0.0.1:{place.execution}", f"127.0.0.1:{place.workers}"
    pair = Pair(place.bytes_upstream, place.bytes, seed=4)
    async with farm(simulation, *via, size=WORKERS, seed=4) as running:
        before = resident_kib(tap)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pair.run(), name="pair")
            running.flow()
            await bed.faults(sizes)
            await asyncio.sleep(0.5)
            running.hold()
            pair.end()
        unlike_scheduler = await comparison.differences(simulation, bed.observers)
        unlike_calm = await comparison.unlike(bed.observers["calm"], bed.observers)
        after = resident_kib(tap)
        return Outcome(
            bed=bed,
            calls=running.calls,
            failed=list(running.failed),
            lost_workers=running.lost_workers(),
            pair=pair,
            resident_kib=(before, after),
            http=bed.dashboard.answers.copy(),
            unlike_scheduler=unlike_scheduler,
            unlike_calm=unlike_calm,
            log=run.log,
        )

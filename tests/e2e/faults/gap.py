"""An observer that is stopped for longer than the tap's ring lasts: what is then counted, and what is shown once it has healed.

Meanwhile operations begin, go on and end, a worker leaves and another comes; some hundred times what the ring holds goes by.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.pb import introspection_pb2 as pb
from gateway.simulation import Execution, Job, Run, Settings, SimulatedClient, SimulatedWorker, Simulation, Stage, WorkerSpec
from tests.command import PATIENCE_S, Command, command
from tests.e2e.faults.comparison import unlike_scheduler
from tests.e2e.faults.observers import Answers, Observer, Place, observing
from tests.e2e.faults.processes import resident_kib

RING_BYTES = 64 * 1024
_MESSAGE_BYTES = 32 * 1024
#: Of each operation two messages of nearly the limit are recorded.
_OPERATIONS = 300
RECORDED_BYTES = _OPERATIONS * 2 * 30_000
#: Far fewer than there are records of them, far more than the ring holds.
MISSED = 1000
#: Operations that are under way at the same time.
_AT_ONCE = 12
#: Seconds after which the scheduler drops what nobody follows; a gap heals so long, and ten seconds, after it.
_CLIENT_ACTION_TIMEOUT_S = 1


@dataclass
class Outcome:
    """What the tests ask about."""

    #: How Execute calls ended that had no response.
    failed: list[str] = field(default_factory=list)
    #: Of the tap, before and after the observer was stopped.
    resident_kib: list[int] = field(default_factory=list)
    #: Soon after the gap, and once it has healed.
    counted: pb.Scheduler = field(default_factory=pb.Scheduler)
    healed: pb.Scheduler = field(default_factory=pb.Scheduler)
    #: Workers whose number of completed actions is not known any more, then.
    without_completed: list[str] = field(default_factory=list)
    #: How it disagrees with the scheduler: healed, and when the workers have registered again.
    unlike: list[str] = field(default_factory=list)
    unlike_at_last: list[str] = field(default_factory=list)


async def play(directory: Path, stopped_s: float) -> Outcome:
    """From start to end; the observer is stopped for so long at least."""
    settings = Settings(seed=5, worker_timeout_s=60, client_action_timeout_s=_CLIENT_ACTION_TIMEOUT_S)
    async with Simulation(settings) as simulation:
        upstreams = {"execution": simulation.execution_address, "workers": simulation.worker_address}
        place = Place(
            directory,
            upstreams,
            tap={"ring_bytes": RING_BYTES, "message_bytes": _MESSAGE_BYTES},
            scheduler={"worker_timeout_s": 60, "client_action_timeout_s": _CLIENT_ACTION_TIMEOUT_S},
        )
        async with command("run", "--config", str(place.file)) as run, observing(place.state_dir) as observer:
            for up in ("tap workers forwards", "reading the tap"):
                await run.logged(up)
            client = await simulation.add_client(via=f"127.0.0.1:{place.execution}")
            scene = _Scene(simulation, client, f"127.0.0.1:{place.workers}", run, observer)
            await scene.play(stopped_s)
            run.send(signal.SIGTERM)
            assert await run.ended() == 0
    return scene.outcome


class _Scene:
    """One run of it."""

    def __init__(self, simulation: Simulation, client: SimulatedClient, workers_via: str, run: Command, observer: Observer) -> None:
        self.outcome = Outcome()
        self._simulation = simulation
        self._client = client
        self._workers_via = workers_via
        self._run = run
        self._observer = observer

    async def play(self, stopped_s: float) -> None:
        outcome = self.outcome
        workers = [await self._worker(f"w{number}-") for number in range(3)]
        seen = await self._begun("seen")
        await self._answers(lambda answers: answers.scheduler.counts.executing == 1)
        pid, tap = await self._run.pid_of("observe"), await self._run.pid_of("tap")
        outcome.resident_kib.append(resident_kib(tap))
        os.kill(pid, signal.SIGSTOP)
        try:
            pause = asyncio.create_task(asyncio.sleep(stopped_s), name="stopped")
            unseen = await self._unseen(workers)
            outcome.resident_kib.append(resident_kib(tap))
            await pause
        finally:
            os.kill(pid, signal.SIGCONT)
        outcome.counted = (await self._answers(_has_missed)).scheduler
        for name in ("seen", "unseen"):
            self._simulation.playbook.open(name)
        for execution in (seen, unseen):
            await self._over(execution)
        healed = await self._answers(lambda answers: answers.scheduler.health.status == pb.Health.HEALTHY)
        outcome.healed = healed.scheduler
        outcome.without_completed = [id_ for id_, worker in healed.workers.items() if not worker.HasField("actions_completed")]
        # The simulated scheduler drops what has its time behind it when it is asked for something.
        await self._over(await self._client.submit(Job(("last",))))
        outcome.unlike = await self._unlike(but=[f"worker {id_}: actions_completed" for id_ in outcome.without_completed])
        for worker in workers:
            await worker.stop()
            await worker.start()
            await worker.registered(other_than=worker.id)
        outcome.unlike_at_last = await self._unlike()

    async def _unseen(self, workers: list[SimulatedWorker]) -> Execution:
        """What nobody observes; returns what of it goes on."""
        room = asyncio.Semaphore(_AT_ONCE)

        async def build(number: int) -> None:
            async with room:
                await self._over(await self._client.submit(Job((str(number),), run=Run(0.0, status_message="x" * 30_000))))

        async with asyncio.TaskGroup() as tasks:
            for number in range(_OPERATIONS):
                tasks.create_task(build(number), name="build")
        await workers.pop().stop()
        workers.append(await self._worker("late-"))
        return await self._begun("unseen")

    async def _worker(self, prefix: str) -> SimulatedWorker:
        return await self._simulation.add_worker(WorkerSpec(prefix, max_inflight_tasks=4), via=self._workers_via)

    async def _begun(self, gate: str) -> Execution:
        execution = await self._client.submit(Job((gate,), run=Run(0.0, gate=gate)))
        await execution.reached(Stage.EXECUTING)
        return execution

    async def _over(self, execution: Execution) -> None:
        async with asyncio.timeout(PATIENCE_S):
            if await execution.done() is None:
                self.outcome.failed.append(f"{execution.name}: {execution.error}")

    async def _answers(self, wanted: Callable[[Answers], bool]) -> Answers:
        """As soon as they are like that."""
        async with asyncio.timeout(2 * PATIENCE_S):
            while not wanted(answers := await self._observer.answers()):  # noqa: ASYNC110 - another process's state
                await asyncio.sleep(0.1)
        return answers

    async def _unlike(self, *, but: Sequence[str] = ()) -> list[str]:
        """How it disagrees with the scheduler, once all has arrived."""
        found: list[str] = []

        def is_like(answers: Answers) -> bool:
            lines = unlike_scheduler(self._simulation.truth(), answers)
            found[:] = [line for line in lines if not line.startswith(tuple(but))]
            return not found

        try:
            await self._answers(is_like)
        except TimeoutError:
            return found
        return []


def _has_missed(answers: Answers) -> bool:
    """Nearly all, and reads again: for a moment after it went on, what it heard last is old, and only a first gap is counted."""
    scheduler = answers.scheduler
    return scheduler.records_missed > MISSED and scheduler.health.status != pb.Health.UNHEALTHY

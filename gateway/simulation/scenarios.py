"""The ten modern scenarios of the shared recordings (recordings.md), played on the simulation.

In: a running `Simulation` with a scenario's settings, and the addresses by which its peers connect. Out: the traffic of the
recording of that name, apart from ids and times. Durations are those of the recording; `scale` shrinks them.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.simulation.clients import Job, Stage
from gateway.simulation.lab import Lab, Note, no_note
from gateway.simulation.nativelink import Simulation
from gateway.simulation.playbook import Run
from gateway.simulation.settings import Settings
from gateway.simulation.workers import LINUX


async def _basic(lab: Lab) -> None:
    await lab.worker("alpha", 2)
    await lab.worker("beta", 0, properties=_with(LINUX, cpu_count="4"))
    await lab.note("two workers connect")
    await lab.pause(1.5)
    client = await lab.client()
    run = Run(duration_s=1.3 * lab.scale, upload_s=0.05 * lab.scale, outputs=(("out", b"hi\n"),))
    execution = await client.submit(Job(("basic",), (("OSFamily", "Linux"), ("cpu_count", "2")), timeout_s=60, run=run))
    await execution.reached(Stage.EXECUTING)
    await lab.note("executing")
    await execution.done()
    await lab.note("completed")
    await lab.pause(3)


async def _dedup(lab: Lab) -> None:
    await lab.worker("alpha")
    client = await lab.client()
    cacheable = dataclasses.replace(lab.job("cacheable", 2, gate="both follow"), is_cacheable=True)
    first = await client.submit(cacheable)
    await first.reached(Stage.EXECUTING)
    await lab.pause(0.4)
    second = await client.submit(cacheable)
    await second.reached(Stage.EXECUTING)
    await lab.note("both follow")
    lab.go_on("both follow")
    await asyncio.gather(first.done(), second.done())
    uncacheable = lab.job("uncacheable", 2, gate="one runs, one queues")
    first = await client.submit(dataclasses.replace(uncacheable, priority=1))
    await first.reached(Stage.EXECUTING)
    second = await client.submit(dataclasses.replace(uncacheable, priority=2))
    await second.reached(Stage.QUEUED)
    await lab.note("one runs, one queues")
    lab.go_on("one runs, one queues")
    await asyncio.gather(first.done(), second.done())
    await lab.note("done")


async def _queue(lab: Lab) -> None:
    await lab.worker("alpha")
    client = await lab.client("main")
    executions = []
    for number, priority in enumerate((0, 1, 2, 0, 1, 2)):
        job = dataclasses.replace(lab.job(f"queue {number}", 0.7, stdout=b"%d\n" % number, gate="six actions"), priority=priority)
        executions.append(await client.submit(job))
        await executions[-1].reached(Stage.QUEUED)
        await executions[0].reached(Stage.EXECUTING)
    await lab.note("six actions, one slot")
    lab.go_on("six actions")
    await asyncio.gather(*(execution.done() for execution in executions))
    await lab.note("all done")


async def _worker_lost(lab: Lab) -> None:
    alpha = await lab.worker("alpha")
    client = await lab.client()
    execution = await client.submit(lab.job("lost", 4, stdout=b"done\n", gate="beta executes"))
    await execution.reached(Stage.EXECUTING)
    await lab.pause(1)
    await alpha.stop()
    await execution.reached(Stage.QUEUED, 2)
    await lab.note("requeued, no worker")
    await lab.pause(1)
    await lab.worker("beta")
    await execution.reached(Stage.EXECUTING, 2)
    await lab.note("beta executes")
    lab.go_on("beta executes")
    await execution.done()
    await lab.note("done")


async def _refused(lab: Lab) -> None:
    await lab.worker("alpha")
    await lab.worker("bad", properties=_with(LINUX, cpu_count="many"), is_accepted=False)
    await lab.worker("odd", properties=(*LINUX, ("made_up", "1")))
    await lab.worker("multi", 3, properties=(*LINUX, ("pool", "a"), ("pool", "b")))
    await lab.pause(8)
    await lab.note("one worker registers, others do not or do oddly")


async def _drain(lab: Lab) -> None:
    alpha = await lab.worker("alpha", 2)
    await lab.worker("beta", 2)
    client = await lab.client()
    first = await client.submit(lab.job("before", 2, stdout=b"before\n", gate="before"))
    await first.reached(Stage.EXECUTING)
    await lab.pause(0.4)
    await lab.drain(alpha, is_draining=True)
    await lab.note("drained while it executes")
    await lab.pause(1)
    executions = []
    for name in ("one", "two", "three"):
        executions.append(await client.submit(lab.job(name, 1, stdout=b"done\n", gate=name)))
        await executions[-1].reached(Stage.QUEUED)
        await executions[0].reached(Stage.EXECUTING)
    await executions[1].reached(Stage.EXECUTING)
    lab.go_on("before")
    await first.done()
    await lab.note("alpha is done, beta is full")
    for name, execution in zip(("one", "two", "three"), executions, strict=True):
        lab.go_on(name)
        await execution.done()
        await executions[-1].reached(Stage.EXECUTING)
    await lab.drain(alpha, is_draining=False)
    await lab.note("undrained")


async def _client_gone(lab: Lab) -> None:
    await lab.worker("alpha")
    client = await lab.client()
    job = lab.job("gone", 40)
    (action,) = await client.upload([job])
    execution = client.execute(job, action)
    await execution.reached(Stage.EXECUTING)
    await lab.pause(1)
    execution.cancel()
    await lab.note("client cancels")
    await lab.pause(1)
    other = client.wait(execution.name, job, action)
    await other.reached(Stage.EXECUTING)
    await lab.note("another comes back with WaitExecution for 3 s")
    await lab.pause(3)
    other.cancel()
    await lab.note("nobody follows any more")
    await lab.pause(26)
    await lab.note("timed out and killed")


async def _abandoned_queue(lab: Lab) -> None:
    client = await lab.client()
    execution = await client.submit(lab.job("abandoned", 1))
    await execution.reached(Stage.QUEUED)
    await lab.pause(2)
    execution.cancel()
    await lab.note("client leaves, the action is still queued, no worker")
    await lab.pause(24)
    await lab.note("a worker comes")
    await lab.worker("alpha")
    await lab.pause(2)
    execution = await client.submit(lab.job("later", 0.1, stdout=b"later\n"))
    await execution.done()
    await lab.note("completed")
    await lab.pause(14)
    await lab.note("retention is over")


async def _failures(lab: Lab) -> None:
    await lab.worker("alpha", 2)
    client = await lab.client()
    timed_out = "Command '/bin/sh -c sleep 30' timed out after 1 seconds"
    missing = "No such file or directory (os error 2)"
    for job in (
        lab.job("exit 3", 0.05, exit_code=3, peak_memory_kb=0),
        dataclasses.replace(lab.job("timeout", 1.1, exit_code=9, status_code=4, status_message=timed_out), timeout_s=1),
        lab.job("killed itself", 0.05, exit_code=9, peak_memory_kb=0),
        lab.job("not found", 0.05, exit_code=127, stderr=b"sh: nosuch: not found\n"),
        lab.job("missing binary", 0.05, internal_errors=3, internal_error_code=5, internal_error_message=missing),
    ):
        await (await client.submit(job)).done()
    await lab.note("action that is not in the CAS")
    nowhere = remote_execution.Digest(hash="5" * 64, size_bytes=9)
    await client.execute(lab.job("nowhere", 0), nowhere).done()


async def _scheduler_restart(lab: Lab) -> None:
    # The job fits alpha alone: which of the two is back first is chance.
    workers = [await lab.worker("alpha"), await lab.worker("beta", properties=_with(LINUX, cpu_count="4"))]
    client = await lab.client()
    job = dataclasses.replace(lab.job("twice", 3, stdout=b"twice\n", gate="workers are back"), platform=(("cpu_count", "8"),))
    execution = await client.submit(job)
    await execution.reached(Stage.EXECUTING)
    await lab.pause(1)
    ids = [worker.id for worker in workers]
    await lab.simulation.kill()
    await execution.done()
    await lab.note("scheduler is killed")
    await lab.pause(2)
    await lab.simulation.start()
    for worker, before in zip(workers, ids, strict=True):
        await worker.registered(other_than=before)
    await lab.note("workers are back")
    lab.go_on("workers are back")
    await lab.pause(7)
    client = await lab.client()
    await (await client.submit(job)).done()
    await lab.note("done")


@dataclass(frozen=True, slots=True)
class Scenario:
    """A scenario and what NativeLink's configuration differs by."""

    play: Callable[[Lab], Awaitable[None]]
    settings: Settings = field(default_factory=Settings)


_ABANDONING = Settings(client_action_timeout_s=12)

#: Recording's name -> scenario.
SCENARIOS: Mapping[str, Scenario] = MappingProxyType(
    {
        "basic": Scenario(_basic),
        "dedup": Scenario(_dedup),
        "queue": Scenario(_queue),
        "worker_lost": Scenario(_worker_lost),
        "refused": Scenario(_refused),
        "drain": Scenario(_drain),
        "client_gone": Scenario(_client_gone, _ABANDONING),
        "abandoned_queue": Scenario(_abandoned_queue, _ABANDONING),
        "failures": Scenario(_failures, Settings(max_job_retries=2)),
        "scheduler_restart": Scenario(_scheduler_restart),
    }
)


async def play(
    name: str,
    simulation: Simulation,
    *,
    execution_via: str | None = None,
    workers_via: str | None = None,
    scale: float = 1.0,
    note: Note = no_note,
) -> None:
    """Play a scenario on a simulation that was started with `SCENARIOS[name].settings.scaled(scale)`.

    At its end the scheduler is stopped, as in the recordings, and only then the peers.
    """
    lab = Lab(
        simulation,
        execution_via or simulation.execution_address,
        workers_via or simulation.worker_address,
        scale,
        note,
    )
    async with lab.peers:
        await SCENARIOS[name].play(lab)
        await simulation.stop()


def _with(properties: tuple[tuple[str, str], ...], **values: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, values.get(name, value)) for name, value in properties)

"""The load generator: workers and clients by the number, operations by the second, the same ones for the same seed.

In: a `Load`, and the addresses of a simulated NativeLink (or of taps before it). Out: traffic, and a report of what became of it.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.simulation.clients import Invocation, Job, SimulatedClient
from gateway.simulation.mix import Planned, fleet, plan
from gateway.simulation.playbook import Playbook
from gateway.simulation.workers import SimulatedWorker

#: Workers that start or stop at the same time: each is a TCP connection and a gRPC channel.
_AT_ONCE = 100

#: Executes that are due within this are sent together, so that their uploads share a call.
_TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Load:
    """How much of everything."""

    workers: int = 12
    #: 0: until it is cancelled.
    operations: int = 1000
    #: Operations a second.
    rate: float = 50.0
    seed: int = 1
    clients: int = 4
    #: Durations of actions are divided by it.
    speed: float = 1.0
    #: Operations that the clients follow at the same time at most; over it they are late, which the report says.
    max_open: int = 20_000
    keep_alive_s: float = 2.5


@dataclass(slots=True)
class Report:
    """What became of a load."""

    #: Execute calls.
    submitted: int = 0
    #: Of those, streams that ended with a response.
    completed: int = 0
    #: Of those, streams that ended without one.
    failed: int = 0
    #: Seconds by which the latest Execute was later than planned.
    late_s: float = 0.0


@asynccontextmanager
async def workers(load: Load, address: str, playbook: Playbook) -> AsyncIterator[list[SimulatedWorker]]:
    """The fleet of a load, registering; it is stopped at the end."""
    started = [SimulatedWorker(address, spec, playbook, has_cable=False) for spec in fleet(load.workers, load.keep_alive_s)]
    try:
        for some in _chunks(started):
            await asyncio.gather(*(worker.start() for worker in some))
        yield started
    finally:
        for some in _chunks(started):
            await asyncio.gather(*(worker.stop() for worker in some))


class Call(Protocol):
    """One Execute stream."""

    @property
    def response(self) -> object:
        """None before the end, or without one."""
        ...

    def when_over(self, call: Callable[[], None]) -> None:
        """Call back once the stream is over."""
        ...


class Caller(Protocol):
    """A client: a `SimulatedClient`, or a quick one."""

    #: Of the requests from now on.
    invocation: Invocation

    async def upload(self, jobs: Sequence[Job]) -> list[remote_execution.Digest]:
        """Put Actions and Commands into the CAS; the Actions' digests."""
        ...

    def execute(self, job: Job, action: remote_execution.Digest) -> Call:
        """Execute an Action that `upload` named."""
        ...

    async def followed(self) -> None:
        """Wait until all streams are over."""
        ...


async def drive(load: Load, execution_via: str, cas_address: str, playbook: Playbook, report: Report) -> None:
    """Submit the operations of a load at their times and follow all to their end. `report` is kept up to date."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(SimulatedClient(execution_via, cas_address, playbook)) for _ in range(load.clients)
        ]
        await drive_clients(load, clients, report)


async def drive_clients(load: Load, clients: Sequence[Caller], report: Report) -> None:
    """As `drive`, by clients that are there; as many as the load says."""
    planned = itertools.islice(plan(load.rate, load.clients, load.seed, load.speed), load.operations or None)
    room = asyncio.Semaphore(load.max_open)
    began = time.monotonic()
    for due in _ticks(planned):
        now = time.monotonic() - began
        await asyncio.sleep(max(due[0].at_s - now, 0))
        report.late_s = max(time.monotonic() - began - due[0].at_s, 0.0)
        for number, client in enumerate(clients):
            await _submit(client, [item for item in due if item.client == number], room, report)
    for client in clients:
        await client.followed()


async def _submit(client: Caller, due: Sequence[Planned], room: asyncio.Semaphore, report: Report) -> None:
    digests = await client.upload([item.job for item in due])
    for item, digest in zip(due, digests, strict=True):
        await room.acquire()
        client.invocation = item.invocation
        execution = client.execute(item.job, digest)
        report.submitted += 1
        execution.when_over(functools.partial(_over, execution, room, report))


def _over(execution: Call, room: asyncio.Semaphore, report: Report) -> None:
    room.release()
    if execution.response is None:
        report.failed += 1
    else:
        report.completed += 1


def _ticks(planned: Iterator[Planned]) -> Iterator[list[Planned]]:
    for _, due in itertools.groupby(planned, key=lambda item: item.at_s // _TICK_S):
        yield list(due)


def _chunks(items: list[SimulatedWorker]) -> list[list[SimulatedWorker]]:
    return [items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE)]

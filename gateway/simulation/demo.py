"""The demonstration's NativeLink: a simulated one on loopback ports, with a lively mix of workers and builds that come by taps.

In: four addresses (where the simulated NativeLink listens, where the taps before it listen) and the options of the command line.
Out: traffic until it is told to stop, and the gateway configuration that fits. Whoever composes the demo starts the taps; the
simulation waits for them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from gateway.config.types import Address
from gateway.simulation.at_size import is_large, play, scheduler_process
from gateway.simulation.clients import SimulatedClient
from gateway.simulation.load import Load, Report, drive, workers
from gateway.simulation.mix import UNPLACEABLE, WORKER_KINDS
from gateway.simulation.nativelink import Simulation
from gateway.simulation.settings import RECORDED_PROPERTIES, Settings
from gateway.simulation.workers import SimulatedWorker, WorkerSpec

#: Seconds that the visitor (a worker that comes and goes) stays, is away, and hangs.
_STAYS_S, _AWAY_S, _HANGS_S = 15.0, 5.0, 8.0

#: Seconds after which the build that nobody can run is given up and started again.
_PATIENCE_S = 120.0

_LOOPBACK = "127.0.0.1"

#: How long completed operations stay where all are to be seen.
_RETAINED_S = 3_600


class Addresses(NamedTuple):
    """Where the demo's parts are."""

    execution_listen: Address
    worker_listen: Address
    execution_via: Address
    workers_via: Address
    #: None: where Execution is.
    cas: Address | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo's own options."""
    group = parser.add_argument_group("simulated build farm")
    group.add_argument("--workers", type=_natural, default=12, metavar="N", help="workers (default: %(default)s)")
    group.add_argument(
        "--operations", type=_natural, default=0, metavar="N", help="operations in all, 0: without end (default: %(default)s)"
    )
    group.add_argument("--rate", type=_positive, default=8.0, metavar="R", help="operations a second (default: %(default)s)")
    group.add_argument(
        "--seed", type=int, default=1, metavar="S", help="the same seed plans the same builds (default: %(default)s)"
    )
    group.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="play it in no time, write what a tap would have recorded until the last operation has come, and end",
    )


def load_of(options: argparse.Namespace) -> Load:
    """The load that the options of `add_arguments` ask for."""
    return Load(options.workers, options.operations, options.rate, options.seed)


def free_addresses(*, has_cas: bool = False) -> Addresses:
    """Loopback ports that nobody listens on at this moment, four of them, or five with one for the CAS alone."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((_LOOPBACK, 0))) for _ in range(4 + has_cas)]
        return Addresses(*(Address(_LOOPBACK, socket_.getsockname()[1]) for socket_ in sockets))


def configuration(
    execution_listen: Address,
    worker_listen: Address,
    execution_via: Address,
    workers_via: Address,
    cas: Address | None = None,
    *,
    http: Address,
    taps: int = 1,
    operations: int = 0,
) -> dict[str, Any]:
    """The gateway's configuration file for the demo, as a JSON value (design 8).

    `taps`: so many tap processes. `operations`: so many that are completed stay for an hour; 0: as many as usual, and as long.
    """
    settings = Settings()
    retention = {"completed_s": _RETAINED_S, "completed_max": operations} if operations else {}
    return {
        "servers": [
            {
                "name": "monitoring",
                "listener": {"http": {"socket_address": str(http)}},
                "services": {"monitoring": {"scheduler": settings.scheduler_name}},
            }
        ],
        "gateway": {
            "taps": [
                {
                    "name": "execution",
                    "listen": str(execution_via),
                    "upstream": str(execution_listen),
                    "carries": ["execution"],
                },
                {
                    "name": "workers",
                    "listen": str(workers_via),
                    "upstream": str(worker_listen),
                    "carries": ["worker_api", "admin"],
                },
            ],
            "tap": {"processes": taps},
            "cas": {"endpoint": str(cas or execution_listen)},
            "retention": retention,
            "scheduler": {
                "supported_platform_properties": {name: type_.value for name, type_ in RECORDED_PROPERTIES.items()},
            },
        },
    }


async def run_simulation(
    execution_listen: Address,
    worker_listen: Address,
    execution_via: Address,
    workers_via: Address,
    cas: Address | None = None,
    *,
    options: argparse.Namespace,
    stop: asyncio.Event,
) -> Report:
    """Run the demo's NativeLink, workers and builds until `stop` is set. `options` are those of `add_arguments`.

    Raises:
        OSError: a port of the simulated NativeLink is in use.
    """
    load, addresses = load_of(options), Addresses(execution_listen, worker_listen, execution_via, workers_via, cas)
    if cas is not None and is_large(load):
        return await _at_size(load, addresses, cas, stop)
    demo = Demo(load, addresses)
    async with demo.running():
        await stop.wait()
    return demo.report


async def _at_size(load: Load, addresses: Addresses, cas: Address, stop: asyncio.Event) -> Report:
    """As `run_simulation`; it ends with the scheduler's process, too."""
    report = Report()

    async def peers() -> None:
        for address in (cas, addresses.execution_via, addresses.workers_via):
            await _listening(address)
        await play(load, addresses.execution_via, addresses.workers_via, cas, report)

    async with scheduler_process(load, addresses.execution_listen, addresses.worker_listen, cas) as process:
        playing = asyncio.create_task(peers(), name="demo: peers")
        stopping = asyncio.create_task(stop.wait(), name="demo: stop")
        await asyncio.wait({playing, stopping, process}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if playing.done():
            playing.result()
        playing.cancel()
        await asyncio.wait({playing})
    return report


class Demo:
    """One run of the demo."""

    def __init__(self, load: Load, addresses: Addresses) -> None:
        self.report = Report()
        self._load = load
        self._addresses = addresses
        at = addresses
        self.simulation = Simulation(
            Settings(seed=load.seed, action_cache=True, coalesce=0.1),
            listen=(at.execution_listen.host, at.execution_listen.port),
            worker_listen=(at.worker_listen.host, at.worker_listen.port),
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the start of everything to the end of everything."""
        async with self.simulation, asyncio.TaskGroup() as group:
            task = group.create_task(self._peers(), name="demo: peers")
            yield
            task.cancel()

    async def _peers(self) -> None:
        for via in (self._addresses.execution_via, self._addresses.workers_via):
            await _listening(via)
        playbook = self.simulation.playbook
        async with workers(self._load, str(self._addresses.workers_via), playbook), asyncio.TaskGroup() as group:
            group.create_task(self._builds(), name="demo: builds")
            group.create_task(_again(self._visitor), name="demo: visitor")
            group.create_task(_again(self._unplaceable), name="demo: unplaceable")

    async def _builds(self) -> None:
        await drive(
            self._load,
            str(self._addresses.execution_via),
            self.simulation.execution_address,
            self.simulation.playbook,
            self.report,
        )

    async def _visitor(self) -> None:
        """Comes, works, dies; comes again with another id, hangs until it is evicted, and dies."""
        kind = WORKER_KINDS[0]
        spec = WorkerSpec("spot-", kind.properties, kind.max_inflight_tasks)
        worker = SimulatedWorker(str(self._addresses.workers_via), spec, self.simulation.playbook)
        async with worker:
            await asyncio.sleep(_STAYS_S)
        await asyncio.sleep(_AWAY_S)
        async with worker:
            await asyncio.sleep(_STAYS_S)
            worker.hang()
            await asyncio.sleep(_HANGS_S)
        await asyncio.sleep(_AWAY_S)

    async def _unplaceable(self) -> None:
        """A build that waits for a pool which no worker belongs to, and gives up."""
        client = SimulatedClient(str(self._addresses.execution_via), self.simulation.execution_address, self.simulation.playbook)
        async with client:
            execution = await client.submit(UNPLACEABLE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await execution.done()


async def _again(play: Callable[[], Coroutine[None, None, None]]) -> None:
    """For ever; a scheduler or tap that is away for a moment does not end it."""
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError, OSError):
            await play()
        await asyncio.sleep(1)


async def _listening(address: Address) -> None:
    """Wait until somebody listens there."""
    while True:
        try:
            _, writer = await asyncio.open_connection(address.host, address.port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            await writer.wait_closed()
            return


def _natural(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text}: 0 or more")
    return number


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: more than 0")
    return number

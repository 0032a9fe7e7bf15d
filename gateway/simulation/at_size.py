"""The demonstration at the size of a real fleet: what `gateway.simulation.demo` is, without gRPC's library in between.

In: addresses, a load. Out: traffic by the taps until it is told to stop. The scheduler is a process of its own; the peers are in
this one. Nobody else may join: these ports speak to these peers only.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import resource
import sys
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator
from functools import partial

from gateway.config.types import Address
from gateway.errors import StartError
from gateway.simulation.clients import SimulatedClient
from gateway.simulation.load import Load, Report, drive_clients
from gateway.simulation.mix import fleet
from gateway.simulation.playbook import Playbook
from gateway.simulation.quick.peers import ClientPeer, run_workers

#: More than this is not to be had by gRPC's library in Python.
GRPC_WORKERS, GRPC_RATE = 200, 50.0
#: Files that a process of the simulation has open besides its workers.
_OTHER_FILES = 128
#: Of the connections that all tap processes could hold, those that are counted on: the system shares them out by chance.
_EVEN = 0.9
_TAPS_MAX = 64
#: Completed operations that are kept of a load without end.
KEPT_OPERATIONS = 100_000


def is_large(load: Load) -> bool:
    """Whether the load is played at size."""
    return load.workers > GRPC_WORKERS or load.rate > GRPC_RATE


def taps_needed(load: Load, connections_that_fit: int) -> int:
    """Tap processes for a load, each of which can hold so many connections.

    Raises:
        StartError: The system does not let processes have so many files open.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections = load.workers + load.clients
    taps = 1 if connections <= connections_that_fit else math.ceil(connections / (connections_that_fit * _EVEN))
    needed = load.workers + _OTHER_FILES
    if taps > _TAPS_MAX or (files != resource.RLIM_INFINITY and needed > files):
        raise StartError(
            f"--workers {load.workers}: each worker is a connection, of which this process has one file open, and {files} are what "
            f"it may have: raise the hard limit (ulimit -Hn {needed}) or start at most {max(files - _OTHER_FILES, 0)} workers"
        )
    return taps


@contextlib.asynccontextmanager
async def scheduler_process(load: Load, execution: Address, workers: Address, cas: Address) -> AsyncIterator[asyncio.Task[int]]:
    """A quick NativeLink on these addresses, as a task that ends with it; it ends with this process, however that ends."""
    kept = load.operations or KEPT_OPERATIONS
    # -P: the directory in which somebody starts the demo has no say in what `gateway` is.
    command = [sys.executable, "-P", "-m", "gateway.simulation.quick.nativelink", str(execution), str(workers), str(cas)]
    process = await create_subprocess_exec(*command, str(load.seed), str(kept), stdin=PIPE, stdout=DEVNULL, start_new_session=True)
    watching = asyncio.create_task(process.wait(), name="demo: scheduler")
    try:
        yield watching
    finally:
        if process.stdin is not None:
            process.stdin.close()
        await watching


async def play(load: Load, execution_via: Address, workers_via: Address, cas: Address, report: Report) -> None:
    """Connect workers and clients to taps that listen, and play the load to its end; workers stay until this is cancelled.

    Raises:
        OSError: the Execution tap cannot be connected to.
    """
    loop, playbook = asyncio.get_running_loop(), Playbook()
    async with contextlib.AsyncExitStack() as stack:
        clients: list[ClientPeer] = []
        for _ in range(load.clients):
            uploader = await stack.enter_async_context(SimulatedClient(str(cas), str(cas), playbook))
            _, client = await loop.create_connection(partial(ClientPeer, uploader), execution_via.host, execution_via.port)
            stack.callback(client.close)
            clients.append(client)
        async with asyncio.TaskGroup() as group:
            specs = fleet(load.workers, load.keep_alive_s)
            group.create_task(run_workers(specs, workers_via.host, workers_via.port, playbook), name="demo: workers")
            group.create_task(drive_clients(load, clients, report), name="demo: builds")

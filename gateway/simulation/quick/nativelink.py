"""The quick NativeLink: scheduler, CAS, and the ports that workers and clients connect to.

In: three addresses and settings. Out: a scheduler that is connected to. As a process of its own, `python -m
gateway.simulation.quick.nativelink EXECUTION WORKERS CAS SEED COMPLETED`, it ends with its stdin: workers are connections, and the
process that connects as many cannot have both ends of them within one limit of open files.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable

import grpc
import uvloop

from gateway.simulation.cas import Cas
from gateway.simulation.quick.server import ExecutionSide, WorkerSide
from gateway.simulation.scheduler import Scheduler
from gateway.simulation.services import storage_handler
from gateway.simulation.settings import Settings

_BACKLOG = 4_096
_READ_BYTES = 4_096

#: Host and port.
Listen = tuple[str, int]


@contextlib.asynccontextmanager
async def quick_nativelink(settings: Settings, execution: Listen, workers: Listen, cas_listen: Listen) -> AsyncIterator[Scheduler]:
    """Listens until it is left.

    Raises:
        OSError: a port is in use.
    """
    loop, changed, cas = asyncio.get_running_loop(), asyncio.Event(), Cas()
    scheduler = Scheduler(settings, cas, changed.set)

    async def match() -> None:
        """What happens in one turn of the loop is matched once, after it."""
        while True:
            await changed.wait()
            changed.clear()
            scheduler.match()

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((storage_handler(cas),))
    server.add_insecure_port("{}:{}".format(*cas_listen))
    await server.start()
    listeners = [
        await loop.create_server(lambda: ExecutionSide(scheduler), *execution, backlog=_BACKLOG),
        await loop.create_server(lambda: WorkerSide(scheduler), *workers, backlog=_BACKLOG),
    ]
    tasks = [
        asyncio.create_task(match(), name="simulation: match"),
        asyncio.create_task(_repeat(settings.worker_timeout_s / 10, scheduler.evict), name="simulation: evict"),
        asyncio.create_task(_repeat(settings.sweep_s, scheduler.sweep), name="simulation: sweep"),
    ]
    try:
        yield scheduler
    finally:
        for task in tasks:
            task.cancel()
        for listener in listeners:
            listener.close()
        await server.stop(None)


async def _repeat(interval_s: float, call: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(interval_s)
        call()


def _address(text: str) -> Listen:
    host, _, port = text.rpartition(":")
    return host, int(port)


async def _until_stdin_ends(settings: Settings, *addresses: Listen) -> None:
    said = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), sys.stdin)
    async with quick_nativelink(settings, *addresses):
        while await said.read(_READ_BYTES):
            pass


if __name__ == "__main__":
    *where, seed, completed = sys.argv[1:]
    settings = Settings(seed=int(seed), action_cache=True, completed_max=int(completed))
    uvloop.run(_until_stdin_ends(settings, *map(_address, where)))

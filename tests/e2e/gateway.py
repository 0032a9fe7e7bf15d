"""The gateway's roles in this process, on free ports, for one recording."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from gateway.config.types import Address, Carries, Config, Observe, Scheduler, Tap
from gateway.observe import role as observe
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.tap import role as tap
from tests.command import PATIENCE_S
from tests.e2e.player import Upstream
from tests.e2e.recordings import PROPERTY_TYPES, SETTINGS

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # the stub file's name for a stub on an aio channel

#: Which tap carries what; the names are the recordings' listeners.
_CARRIES = {
    "execution": frozenset({Carries.EXECUTION}),
    "workers": frozenset({Carries.WORKER_API, Carries.ADMIN}),
}


def configuration(name: str, state_dir: Path, upstream_ports: dict[str, int], **scheduler_settings: int) -> Config:
    """As the recording's NativeLink was set up, or otherwise where said; taps on ports that the system chooses."""
    taps = tuple(
        Tap(listener, Address("127.0.0.1", 0), Address("127.0.0.1", port), _CARRIES[listener])
        for listener, port in upstream_ports.items()
    )
    scheduler = dataclasses.replace(SETTINGS.get(name, Scheduler()), supported_platform_properties=PROPERTY_TYPES)
    if scheduler_settings:
        scheduler = dataclasses.replace(scheduler, **scheduler_settings)  # type: ignore[arg-type] # the fields named by callers are int
    return Config(
        http=Address("127.0.0.1", 0),
        scheduler_name="MAIN_SCHEDULER",
        taps=taps,
        cas=None,
        state_dir=state_dir,
        scheduler=scheduler,
        # Only at stop: a dozen gateways of one process would make a dozen copies of it at the same moment.
        observe=Observe(checkpoint_interval_s=0),
    )


class Gateway:
    """Tap and observe, running; `taps` are the addresses to connect to."""

    def __init__(self, stub: IntrospectionAsyncStub, taps: dict[str, tuple[str, int]]) -> None:
        self._stub = stub
        self.taps = taps

    async def answers(self) -> tuple[Sequence[pb.Worker], Sequence[pb.Operation], pb.Scheduler]:
        """Everything that introspection shows, in view FULL."""
        workers = await self._stub.ListWorkers(pb.ListWorkersRequest(view=pb.FULL))
        operations = await self._stub.ListOperations(pb.ListOperationsRequest(view=pb.FULL))
        scheduler = await self._stub.GetScheduler(pb.GetSchedulerRequest())
        return workers.workers, operations.operations, scheduler


@asynccontextmanager
async def gateway(
    name: str, state_dir: Path, upstreams: dict[str, Upstream], *, processes: int = 1, **scheduler_settings: int
) -> AsyncIterator[Gateway]:
    """Starts both roles, so many taps that share the ports, and waits until the model follows them."""
    config = configuration(
        name, state_dir, {listener: upstream.port for listener, upstream in upstreams.items()}, **scheduler_settings
    )
    config = dataclasses.replace(config, tap=dataclasses.replace(config.tap, processes=processes))
    bound = tap.bind_processes(config)
    taps = {listener: sock.getsockname()[:2] for listener, sock in bound[0].items()}
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as roles:
        for process, listeners in enumerate(bound):
            roles.create_task(tap.run(config, listeners, stop, process=process), name=f"tap {process} {name}")
        roles.create_task(observe.run(config, stop), name=f"observe {name}")
        try:
            async with grpc.aio.insecure_channel(f"unix:{config.introspection_socket}") as channel:
                stub: IntrospectionAsyncStub = IntrospectionStub(channel)
                running = Gateway(stub, taps)
                async with asyncio.timeout(PATIENCE_S):
                    while not await _attached(stub):  # noqa: ASYNC110 - what is waited for is another role's state
                        await asyncio.sleep(0.05)
                yield running
        finally:
            stop.set()


async def _attached(stub: IntrospectionAsyncStub) -> bool:
    try:
        scheduler = await stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
    except grpc.aio.AioRpcError:
        return False
    taps = [each.attached for each in scheduler.taps]
    processes = [each.attached for each in scheduler.tap_processes]
    return all(taps) and all(processes) and bool(taps) and bool(processes)

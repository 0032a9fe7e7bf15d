"""A simulated NativeLink behind real taps, and an observe that comes and goes."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio

from gateway.config.types import Config, Observe
from gateway.observe import role as observe
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.simulation import Simulation
from gateway.tap import role as tap
from tests.command import PATIENCE_S
from tests.e2e.gateway import configuration
from tests.e2e.simulated import upstreams

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # the stub file's name for a stub on an aio channel


@dataclasses.dataclass
class Tapped:
    """Taps that run."""

    config: Config
    #: host:port by name.
    taps: dict[str, str]


@asynccontextmanager
async def tapped(simulation: Simulation, state_dir: Path, **changes: object) -> AsyncIterator[Tapped]:
    """Taps in front of both ports."""
    config = configuration("drains", state_dir, {name: each.port for name, each in upstreams(simulation).items()})
    config = dataclasses.replace(config, observe=Observe(checkpoint_interval_s=0.2), **changes)  # type: ignore[arg-type]
    bound = tap.bind_processes(config)
    taps = {name: "{}:{}".format(*sock.getsockname()[:2]) for name, sock in bound[0].items()}
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as roles:
        roles.create_task(tap.run(config, bound[0], stop, process=0), name="tap")
        try:
            yield Tapped(config, taps)
        finally:
            stop.set()


@asynccontextmanager
async def observed(config: Config) -> AsyncIterator[IntrospectionAsyncStub]:
    """One life of observe."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as roles:
        roles.create_task(observe.run(config, stop), name="observe")
        try:
            async with grpc.aio.insecure_channel(f"unix:{config.introspection_socket}") as channel:
                stub: IntrospectionAsyncStub = IntrospectionStub(channel)
                await stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
                yield stub
        finally:
            stop.set()


async def until(stub: IntrospectionAsyncStub, id_: str, holds: Callable[[pb.Drain], bool]) -> pb.Drain:
    """The drain, once it is so."""
    drain = pb.Drain()
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                drain = await stub.GetDrain(pb.GetDrainRequest(id=id_))
                if holds(drain):
                    return drain
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"it never came to that: {drain}") from None

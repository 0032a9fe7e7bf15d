"""The gateway under test and observers beside it: directories and upstreams in, running processes and what they answer out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio

from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from tests.command import PATIENCE_S, PROGRAM, Command, Settings, command, free_ports
from tests.e2e.recordings import PROPERTY_TYPES

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub  # the stub file's name for a stub on an aio channel

INJECTED = (str(Path(__file__).parent / "injected.py"),)

_EVERYTHING = 100_000
#: An answer holds everything.
_OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1))


@dataclass(frozen=True)
class Answers:
    """What one observer says at one moment, in view FULL."""

    workers: dict[str, pb.Worker]
    operations: list[pb.Operation]
    scheduler: pb.Scheduler


class Observer:
    """One observe process, as it shows itself."""

    def __init__(self, stub: IntrospectionAsyncStub) -> None:
        self._stub = stub

    async def answers(self) -> Answers:
        """Everything."""
        async with asyncio.timeout(PATIENCE_S):
            workers = await self._stub.ListWorkers(pb.ListWorkersRequest(page_size=_EVERYTHING, view=pb.FULL), wait_for_ready=True)
            operations = await self._stub.ListOperations(pb.ListOperationsRequest(page_size=_EVERYTHING, view=pb.FULL))
            scheduler = await self._stub.GetScheduler(pb.GetSchedulerRequest())
        return Answers({worker.id: worker for worker in workers.workers}, list(operations.operations), scheduler)

    async def scheduler(self) -> pb.Scheduler:
        """The overview, as soon as it is answered."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self._stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def observing(state_dir: Path) -> AsyncIterator[Observer]:
    """Whoever observes with that state_dir, however often it starts again."""
    async with grpc.aio.insecure_channel(f"unix:{state_dir}/introspection.sock", options=_OPTIONS) as channel:
        yield Observer(IntrospectionStub(channel))


class Place(Settings):
    """A configuration with taps before these upstreams; one named `bytes` is before a port where nobody listens yet."""

    def __init__(self, directory: Path, upstreams: Mapping[str, str], **more: Any) -> None:
        directory.mkdir(exist_ok=True)
        types = {name: kind.value for name, kind in PROPERTY_TYPES.items()}
        more.setdefault("scheduler", {})["supported_platform_properties"] = types
        super().__init__(directory, **more)
        self.bytes, self.bytes_upstream = free_ports(2)
        self.document = json.loads(self.file.read_text())
        taps = self.document["gateway"]["taps"]
        for tap in taps:
            tap["upstream"] = upstreams[tap["name"]]
        upstream = f"127.0.0.1:{self.bytes_upstream}"
        taps.append({"name": "bytes", "listen": f"127.0.0.1:{self.bytes}", "upstream": upstream, "carries": ["execution"]})
        self.file.write_text(json.dumps(self.document))


class Beside:
    """The configuration of one more observer of a place's tap, with a state_dir of its own; `http` is the port of its `serve`."""

    def __init__(self, directory: Path, place: Place) -> None:
        self.state_dir = directory / "state"
        self.state_dir.mkdir(parents=True, mode=0o700)
        for link in place.state_dir.glob("tap-*.sock"):
            (self.state_dir / link.name).symlink_to(link)
        (self.http,) = free_ports(1)
        document = json.loads(json.dumps(place.document))
        document["gateway"]["state_dir"] = str(self.state_dir)
        document["servers"][0]["listener"]["http"]["socket_address"] = f"127.0.0.1:{self.http}"
        self.file = directory / "gateway.json5"
        self.file.write_text(json.dumps(document))

    @asynccontextmanager
    async def role(self, name: str, *, inject: str | None = None) -> AsyncIterator[Command]:
        """`observe` that has begun to read, or `serve` that answers; killed in the end."""
        program = PROGRAM if inject is None else INJECTED
        async with command(name, "--config", str(self.file), program=program, INJECT=inject or "") as running:
            await running.logged("reading the tap" if name == "observe" else "answering on")
            yield running

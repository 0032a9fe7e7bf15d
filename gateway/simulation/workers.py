"""A scripted NativeLink worker over real gRPC. In: what the scheduler sends. Out: what a worker of release 1.6.6 would answer.

It registers, heartbeats, runs what it is given by the playbook, and can do what workers do to a scheduler: die, hang, go away,
come back with a new id (nativelink-facts 2 and 7).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from gateway.pb import worker_api_pb2_grpc as worker_api_grpc
from gateway.simulation import results
from gateway.simulation.outbox import Outbox
from gateway.simulation.playbook import Playbook, Run
from gateway.simulation.relay import Relay

_OPTIONS = (
    # Otherwise gRPC puts the workers of one process on one connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.primary_user_agent", "simulated-worker/1"),
)

#: The properties of most workers in the shared recordings.
LINUX = (("cpu_arch", "x86_64"), ("cpu_count", "8"), ("memory_kb", "16384"), ("OSFamily", "Linux"))


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """How a worker registers. Durations in seconds, defaults NativeLink's."""

    prefix: str = "worker-"
    #: In the order of the wire; a name may repeat.
    properties: tuple[tuple[str, str], ...] = LINUX
    #: 0: unlimited.
    max_inflight_tasks: int = 1
    keep_alive_s: float = 2.5
    #: Pause before it connects again after its stream has ended.
    reconnect_s: float = 0.5


class SimulatedWorker:
    """Connects between `start` and `stop`, again and again.

    `has_cable` puts a relay of its own before it, so that its connection can end without a word of HTTP/2, as a killed process's.
    """

    def __init__(self, address: str, spec: WorkerSpec, playbook: Playbook, *, has_cable: bool = True) -> None:
        self.spec = spec
        #: As the scheduler named it last; "" before that.
        self.id = ""
        #: Registrations that succeeded, and those that were refused or failed.
        self.registrations = 0
        self.failures = 0
        #: The last failure's gRPC details.
        self.last_error = ""
        self._playbook = playbook
        self._address = address
        self._cable = Relay(address) if has_cable else None
        self._life: asyncio.Task[None] | None = None
        self._outbox: Outbox[worker_api.UpdateForScheduler] = Outbox()
        self._is_registered = False
        self._has_registered = asyncio.Event()
        self._is_awake = asyncio.Event()
        self._is_leaving = False
        #: Operation id -> set when the scheduler wants it killed.
        self._kills: dict[str, asyncio.Event] = {}

    @property
    def running(self) -> frozenset[str]:
        """Operation ids that it runs."""
        return frozenset(self._kills)

    async def start(self) -> None:
        """Begin to connect; a worker that was stopped comes back with a new id."""
        if self._life is None:
            if self._cable is not None:
                await self._cable.listen()
            self._is_awake.set()
            self._is_leaving = False
            self._life = asyncio.create_task(self._live(), name=f"simulation: worker {self.spec.prefix}")

    async def registered(self, *, other_than: str = "") -> str:
        """Wait until it is registered, with another id than that; its id."""
        while not self._is_registered or self.id == other_than:
            self._has_registered.clear()
            await self._has_registered.wait()
        return self.id

    async def stop(self) -> None:
        """End the process, by SIGTERM or SIGKILL alike: its connection just closes (nativelink-facts 7)."""
        if self._life is None:
            return
        life, self._life = self._life, None
        # A group of tasks loses a cancellation that comes together with an error, such as that of the cable just cut.
        self._is_leaving = True
        if self._cable is not None:
            await self._cable.close()
        life.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await life

    def hang(self) -> None:
        """Say nothing any more, read nothing, finish nothing, and keep the connection."""
        self._is_awake.clear()

    def wake(self) -> None:
        """Go on after `hang`."""
        self._is_awake.set()

    async def go_away(self) -> None:
        """Say goodbye, report what still runs, end the stream, and stay away."""
        self._is_leaving = True
        self._outbox.put(worker_api.UpdateForScheduler(going_away_request=worker_api.GoingAwayRequest()))
        self._leave_if_done()
        if self._life is not None:
            await self._life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def _live(self) -> None:
        address = self._address if self._cable is None else self._cable.address
        while not self._is_leaving:
            try:
                async with grpc.aio.insecure_channel(address, options=_OPTIONS) as channel:
                    await self._session(worker_api_grpc.WorkerApiStub(channel))
            except* (grpc.aio.AioRpcError, asyncio.InvalidStateError) as errors:
                self.failures += 1
                self.last_error = _details(errors)
            finally:
                self._is_registered = False
                self._kills.clear()
            if not self._is_leaving:
                await asyncio.sleep(self.spec.reconnect_s)

    async def _session(self, stub: worker_api_grpc.WorkerApiAsyncStub) -> None:
        self._outbox = Outbox()
        self._outbox.put(worker_api.UpdateForScheduler(connect_worker_request=registration(self.spec)))
        call = stub.ConnectWorker()
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._write(call), name=f"simulation: worker {self.spec.prefix} writes"),
                group.create_task(self._keep_alive(), name=f"simulation: worker {self.spec.prefix} keeps alive"),
            ]
            while (update := await self._next(call)) is not None:
                self._take(update, group)
            self._outbox.close()
            for task in tasks:
                task.cancel()
            for kill in self._kills.values():
                kill.set()

    async def _next(self, call: Any) -> worker_api.UpdateForWorker | None:
        update = await call.read()
        await self._is_awake.wait()
        return None if update is grpc.aio.EOF else update

    async def _write(self, call: Any) -> None:
        async for update in self._outbox:
            await self._is_awake.wait()
            await call.write(update)
        await call.done_writing()

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self.spec.keep_alive_s)
            if self._is_awake.is_set():
                self._outbox.put(worker_api.UpdateForScheduler(keep_alive_request=worker_api.KeepAliveRequest()))

    def _take(self, update: worker_api.UpdateForWorker, group: asyncio.TaskGroup) -> None:
        """Act on a message of the scheduler."""
        match update.WhichOneof("update"):
            case "connection_result":
                self.id = update.connection_result.worker_id
                self.registrations += 1
                self._is_registered = True
                self._has_registered.set()
            case "start_action":
                start = update.start_action
                self._kills[start.operation_id] = kill = asyncio.Event()
                group.create_task(self._run(start, kill), name=f"simulation: worker {self.id} runs {start.operation_id}")
            case "kill_operation_request":
                kill_of = self._kills.get(update.kill_operation_request.operation_id)
                if kill_of is not None:
                    kill_of.set()
            case "disconnect" | "keep_alive" | None:  # the status that ends the stream follows `disconnect`
                pass

    async def _run(self, start: worker_api.StartExecute, kill: asyncio.Event) -> None:
        run, fails = self._playbook.begin(start.execute_request.action_digest)
        outbox, started = self._outbox, time.time_ns()
        await self._command(run, kill)
        await self._is_awake.wait()
        if fails and not kill.is_set():
            outbox.put(results.failed(start, run))
        else:
            outbox.put(results.executed(start))
            executed = time.time_ns()
            if run.upload_s:
                await asyncio.sleep(run.upload_s)
            times = results.Times(started, executed, time.time_ns())
            outbox.put(results.finished(start, run, times, was_killed=kill.is_set()))
        self._kills.pop(start.operation_id, None)
        self._leave_if_done()

    async def _command(self, run: Run, kill: asyncio.Event) -> None:
        """Let time go by until the command has ended, or was killed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(run.duration_s):
                await kill.wait()
        if run.gate:
            waits = [asyncio.create_task(event.wait(), name=f"gate {run.gate}") for event in (kill, self._playbook.gate(run.gate))]
            try:
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()

    def _leave_if_done(self) -> None:
        if self._is_leaving and not self._kills:
            self._outbox.close()


def registration(spec: WorkerSpec) -> worker_api.ConnectWorkerRequest:
    """What a worker of this kind registers with."""
    return worker_api.ConnectWorkerRequest(
        properties=[remote_execution.Platform.Property(name=name, value=value) for name, value in spec.properties],
        worker_id_prefix=spec.prefix,
        max_inflight_tasks=spec.max_inflight_tasks,
    )


def _details(errors: BaseExceptionGroup[BaseException]) -> str:
    """The words of the first gRPC error in a group."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            if words := _details(error):
                return words
        elif isinstance(error, grpc.aio.AioRpcError):
            return error.details() or str(error.code())
    return ""

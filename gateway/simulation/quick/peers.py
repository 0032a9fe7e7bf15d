"""Workers and clients on quick connections. In: an address, what they are. Out: traffic, and what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.clients import Invocation, Job, SimulatedClient
from gateway.simulation.playbook import Playbook
from gateway.simulation.quick import blocks
from gateway.simulation.quick.conversation import Conversation
from gateway.simulation.quick.frames import DATA, END_HEADERS, END_STREAM, HEADERS, frame, grpc
from gateway.simulation.quick.worker import QuickWorker
from gateway.simulation.workers import WorkerSpec, registration

EXECUTE = "/build.bazel.remote.execution.v2.Execution/Execute"
CONNECT_WORKER = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/ConnectWorker"
CLIENT_AGENT, WORKER_AGENT = "simulated-bazel/1", "simulated-worker/1"

_KEEP_ALIVE = frame(DATA, 0, 1, grpc(b"\x12\x00"))
#: Workers that connect at the same time.
_AT_ONCE = 100
#: Between two looks at whose keep-alive is due, and at who has to come back.
_TURN_S = 0.02
#: How long a worker that was lost stays away.
_AWAY_S = 0.5


class RealTime:
    """The clock of a loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def now_ns(self) -> int:
        """Unix nanoseconds."""
        return time.time_ns()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once."""
        self._loop.call_later(seconds, call)


class WorkerPeer(Conversation):
    """A worker's connection, from its registration on."""

    def __init__(self, spec: WorkerSpec, playbook: Playbook, clock: RealTime) -> None:
        super().__init__()
        self._spec = spec
        self._worker = QuickWorker(lambda update: self.say(1, update), playbook, clock)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Registers."""
        super().connection_made(transport)
        self.write(frame(HEADERS, END_HEADERS, 1, blocks.requests(CONNECT_WORKER, WORKER_AGENT)[0]))
        self.say(1, worker_api.UpdateForScheduler(connect_worker_request=registration(self._spec)))

    def heard(self, stream: int, message: bytes) -> None:  # noqa: ARG002 - there is one
        """What the scheduler wants."""
        self._worker.take(worker_api.UpdateForWorker.FromString(message))

    def ended(self, stream: int) -> None:  # noqa: ARG002 - there is one
        """The scheduler does not want it any more."""
        self.close()

    def keep_alive(self) -> None:
        """It is still there."""
        self.write(_KEEP_ALIVE)


async def run_workers(specs: Sequence[WorkerSpec], host: str, port: int, playbook: Playbook) -> None:
    """Connects them and keeps them connected until cancelled; keep-alives are spread evenly."""
    loop, clock = asyncio.get_running_loop(), RealTime()
    peers: list[WorkerPeer | None] = [None] * len(specs)

    async def connect(number: int) -> None:
        # A tap that is away, or that is full, is tried again.
        with suppress(OSError):
            _, peers[number] = await loop.create_connection(lambda: WorkerPeer(specs[number], playbook, clock), host, port)

    try:
        for start in range(0, len(specs), _AT_ONCE):
            await asyncio.gather(*(connect(number) for number in range(start, min(start + _AT_ONCE, len(specs)))))
        began, sent, looked = loop.time(), 0, 0.0
        while specs:
            await asyncio.sleep(_TURN_S)
            now = loop.time() - began
            due = int(now / specs[0].keep_alive_s * len(specs))
            for number in range(sent, due):
                if (peer := peers[number % len(specs)]) is not None:
                    peer.keep_alive()
            sent = due
            if now - looked > _AWAY_S:
                looked = now
                lost = [number for number, peer in enumerate(peers) if peer is None or not peer.is_open]
                await asyncio.gather(*(connect(number) for number in lost[:_AT_ONCE]))
    finally:
        for peer in peers:
            if peer is not None:
                peer.close()


class QuickCall:
    """One Execute."""

    def __init__(self) -> None:
        #: The last update's, None before the end or without one.
        self.response: bytes | None = None
        self._calls: list[Callable[[], None]] = []

    def when_over(self, call: Callable[[], None]) -> None:
        """Call back once the stream is over."""
        self._calls.append(call)

    def heard(self, message: bytes) -> None:
        """An update."""
        operation = longrunning.Operation.FromString(message)
        if operation.done:
            self.response = operation.response.value

    def over(self) -> None:
        """The stream has ended, however."""
        calls, self._calls = self._calls, []
        for call in calls:
            call()


class ClientPeer(Conversation):
    """A client's connection with its Execute calls; Actions are uploaded past it, by gRPC."""

    def __init__(self, uploader: SimulatedClient) -> None:
        super().__init__()
        #: Of the requests from now on.
        self.invocation = Invocation()
        self._uploader = uploader
        self._stream = -1
        #: {stream: call}
        self._open: dict[int, QuickCall] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def upload(self, jobs: Sequence[Job]) -> list[remote_execution.Digest]:
        """Put Actions and Commands into the CAS; the Actions' digests."""
        return await self._uploader.upload(jobs)

    def execute(self, job: Job, action: remote_execution.Digest) -> QuickCall:
        """Execute an Action that `upload` named."""
        call = QuickCall()
        if not self.is_open:
            asyncio.get_running_loop().call_soon(call.over)
            return call
        first, further = blocks.requests(EXECUTE, CLIENT_AGENT)
        block = first if self._stream < 0 else further
        self._stream += 2
        self._open[self._stream] = call
        self._idle.clear()
        block += blocks.metadata(self.invocation.metadata(job, action).SerializeToString())
        message = grpc(job.request(action).SerializeToString())
        self.write(frame(HEADERS, END_HEADERS, self._stream, block) + frame(DATA, END_STREAM, self._stream, message))
        return call

    async def followed(self) -> None:
        """Wait until all calls are over."""
        await self._idle.wait()

    def heard(self, stream: int, message: bytes) -> None:
        """An update."""
        self._open[stream].heard(message)

    def ended(self, stream: int) -> None:
        """A call is over."""
        self._open.pop(stream).over()
        if not self._open:
            self._idle.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """All calls are over."""
        super().connection_lost(exc)
        calls, self._open = self._open, {}
        for call in calls.values():
            call.over()
        self._idle.set()

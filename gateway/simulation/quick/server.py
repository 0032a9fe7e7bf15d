"""The scheduler's side of quick connections: Execute on one port, ConnectWorker on the other, and nothing else.

In: frames. Out: what the scheduler has to say, as frames. The Actions have to be in its CAS before.
"""

from __future__ import annotations

import asyncio

import grpc

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.fleet import BadPropertyError, Worker
from gateway.simulation.operations import Follower
from gateway.simulation.quick import blocks
from gateway.simulation.quick.conversation import Conversation
from gateway.simulation.quick.frames import END_HEADERS, END_STREAM, HEADERS, frame
from gateway.simulation.quick.told import Told, follow
from gateway.simulation.scheduler import NotInCasError, Scheduler


class _Side(Conversation):
    is_server = True

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__()
        self._scheduler = scheduler

    def begin(self, stream: int) -> None:
        """The headers of an answer."""
        self.write(frame(HEADERS, END_HEADERS, stream, blocks.HEAD))

    def end(self, stream: int) -> None:
        """The end of an answer that went well."""
        self.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, blocks.TAIL))

    def refuse(self, stream: int, code: grpc.StatusCode, message: str) -> None:
        """An answer that is an error."""
        self.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, blocks.failure(code.value[0], message)))


class ExecutionSide(_Side):
    """A client's connection."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        #: {stream: who follows by it}
        self._followers: dict[int, Follower] = {}

    def heard(self, stream: int, message: bytes) -> None:
        """An Execute."""
        try:
            follower = self._scheduler.execute(remote_execution.ExecuteRequest.FromString(message))
        except NotInCasError as error:
            self.refuse(stream, grpc.StatusCode.FAILED_PRECONDITION, str(error))
            return
        self._followers[stream] = follower
        self.begin(stream)
        told = Told[longrunning.Operation](lambda update: self.say(stream, update), lambda: self._ended(stream))
        follower.outbox = follow(follower.outbox, told)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        super().connection_lost(exc)
        for stream in list(self._followers):
            self._leave(stream)

    def _ended(self, stream: int) -> None:
        self.end(stream)
        # Not at once: the scheduler is on its way through the followers.
        asyncio.get_running_loop().call_soon(self._leave, stream)

    def _leave(self, stream: int) -> None:
        if (follower := self._followers.pop(stream, None)) is not None:
            self._scheduler.unfollow(follower)


class WorkerSide(_Side):
    """A worker's connection."""

    def __init__(self, scheduler: Scheduler) -> None:
        super().__init__(scheduler)
        self._worker: Worker | None = None

    def heard(self, stream: int, message: bytes) -> None:
        """Its registration, then whatever it says."""
        update = worker_api.UpdateForScheduler.FromString(message)
        if self._worker is None:
            self._register(stream, update.connect_worker_request)
        elif not self._scheduler.hear(self._worker, update):
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The worker is gone."""
        super().connection_lost(exc)
        if self._worker is not None:
            self._scheduler.remove_worker(self._worker, "Worker stream ended", disconnect=True)

    def _register(self, stream: int, request: worker_api.ConnectWorkerRequest) -> None:
        try:
            self._scheduler.fleet.remaining({item.name: item.value for item in request.properties})
        except BadPropertyError as error:
            self.refuse(stream, grpc.StatusCode.INVALID_ARGUMENT, str(error))
            return
        self.begin(stream)
        told = Told[worker_api.UpdateForWorker](lambda update: self.say(stream, update), lambda: self.end(stream))
        self._worker = self._scheduler.connect_worker(request, told)

"""A scheduler without a wire: a clock to turn, workers and clients by one call each, what was said to them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.cas import Cas
from gateway.simulation.clients import Job
from gateway.simulation.fleet import Worker
from gateway.simulation.operations import Follower
from gateway.simulation.outbox import Outbox
from gateway.simulation.scheduler import Scheduler
from gateway.simulation.settings import Settings
from gateway.simulation.workers import LINUX

Properties = tuple[tuple[str, str], ...]


@dataclass
class Bench:
    settings: Settings = field(default_factory=lambda: Settings(seed=1))
    now: float = 1_000_000.0
    cas: Cas = field(default_factory=Cas)

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.settings, self.cas, lambda: None, lambda: self.now)

    def worker(self, prefix: str = "w-", properties: Properties = LINUX, max_inflight_tasks: int = 1) -> Worker:
        request = worker_api.ConnectWorkerRequest(worker_id_prefix=prefix, max_inflight_tasks=max_inflight_tasks)
        for name, value in properties:
            request.properties.add(name=name, value=value)
        return self.scheduler.connect_worker(request, Outbox())

    def execute(self, job: Job | None = None) -> Follower:
        job = job or Job(("true",))
        digest = self.cas.put(job.action())
        request = remote_execution.ExecuteRequest(action_digest=digest, skip_cache_lookup=not job.is_cacheable)
        request.execution_policy.priority = job.priority
        return self.scheduler.execute(request)

    def run(self, job: Job | None = None) -> Follower:
        """Execute and match."""
        follower = self.execute(job)
        self.scheduler.match()
        return follower

    def finish(self, worker: Worker, operation_id: str, code: int | None = None) -> None:
        """A result of the worker: success, or an `internal_error` with that code."""
        result = worker_api.ExecuteResult(operation_id=operation_id)
        if code is None:
            result.execute_response.status.SetInParent()
        else:
            result.internal_error.code = code
        self.scheduler.execute_result(worker, result)
        self.scheduler.match()


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what other tasks bring about."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a state, not an event
            await asyncio.sleep(0.005)


def said(outbox: Outbox[worker_api.UpdateForWorker]) -> list[str]:
    """The kinds of messages that wait for a worker."""
    return [str(update.WhichOneof("update")) for update in outbox.waiting()]


def stage(follower: Follower) -> str:
    """The present stage of what a client follows."""
    return remote_execution.ExecutionStage.Value.Name(follower.operation.stage)


def stages(outbox: Outbox[longrunning.Operation]) -> list[str]:
    """The stages that wait for a client."""
    names = []
    for update in outbox.waiting():
        metadata = remote_execution.ExecuteOperationMetadata()
        update.metadata.Unpack(metadata)
        names.append(remote_execution.ExecutionStage.Value.Name(metadata.stage))
    return names

"""The simulated scheduler: what NativeLink's scheduler does with workers and operations, without a wire.

In: requests of clients and updates of workers, as protobuf messages. Out: messages into the outboxes of workers and followers,
and the scheduler's own state to look at. Rules and their sources: nativelink-facts 2, 3, 4 and 7. It never waits; the caller
runs `match` soon after `on_change` is called, `evict` and `sweep` now and then.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable

import grpc

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import status_pb2 as status
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation import responses
from gateway.simulation.cas import Cas
from gateway.simulation.fleet import Fleet, Worker, platform_of
from gateway.simulation.ledger import ActionKey, Ledger, key_of
from gateway.simulation.operations import Follower, Operation, Queue, Stage
from gateway.simulation.outbox import Outbox
from gateway.simulation.settings import Settings

#: Results that the action cache keeps; the oldest give way.
_MAX_RESULTS = 100_000


class NotInCasError(Exception):
    """The Action of an Execute is not in the CAS; the text is NativeLink's own (recording `failures`)."""

    def __init__(self, digest: remote_execution.Digest) -> None:
        name = f"{digest.hash}-{digest.size_bytes}"
        super().__init__(f"Action {name} is missing from CAS; client should re-upload it and retry")


class UnknownOperationError(Exception):
    """WaitExecution of a name that the scheduler does not know (any more)."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Failed to find existing task: {name}")


class Scheduler:
    """From start to end of one scheduler process. `clock` gives Unix seconds."""

    def __init__(self, settings: Settings, cas: Cas, on_change: Callable[[], None], clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.fleet = Fleet(settings.supported_platform_properties)
        self._ledger = Ledger(settings)
        self._cas = cas
        self._on_change = on_change
        self._clock = clock
        self._random = random.Random(settings.seed)  # noqa: S311 - ids and chances of a simulation
        self._queue = Queue()
        #: Key -> result of a cacheable action, if there is an action cache.
        self._results: dict[ActionKey, remote_execution.ActionResult] = {}

    # What clients do

    def execute(self, request: remote_execution.ExecuteRequest) -> Follower:
        """A client's Execute.

        Raises:
            NotInCasError: the Action is not there.
        """
        data = self._cas.get(request.action_digest)
        if data is None:
            raise NotInCasError(request.action_digest)
        self._ledger.expire(self._clock())
        operation = self._ledger.joinable(request)
        if operation is None:
            operation = self._new_operation(request, remote_execution.Action.FromString(data))
            if operation.response is None:
                self._ledger.add(operation)
                self._queue.add(operation)
                self._on_change()
        return self._follow(operation, f"{request.instance_name}/{self._uuid()}")

    def wait(self, name: str) -> Follower:
        """A client's WaitExecution.

        Raises:
            UnknownOperationError: there is none of that name.
        """
        self._ledger.expire(self._clock())
        operation = self._ledger.named(name)
        if operation is None:
            raise UnknownOperationError(name)
        return self._follow(operation, name)

    def unfollow(self, follower: Follower) -> None:
        """The stream is over, for whatever reason. The operation goes on until its time without followers is up."""
        self._ledger.unfollow(follower, self._clock())

    def _new_operation(self, request: remote_execution.ExecuteRequest, action: remote_execution.Action) -> Operation:
        now = self._clock()
        forwarded = remote_execution.ExecuteRequest()
        forwarded.CopyFrom(request)
        forwarded.ClearField("execution_policy")
        forwarded.digest_function = remote_execution.DigestFunction.SHA256
        operation = Operation(
            id=self._uuid(),
            request=forwarded,
            action=action,
            platform=platform_of((item.name, item.value) for item in action.platform.properties),
            priority=request.execution_policy.priority,
            queued_ns=int(now * 1e9),
            last_keep_alive=now,
        )
        result = self._results.get(key_of(request)) if operation.is_cacheable else None
        if result is not None:
            operation.stage, operation.response = Stage.COMPLETED, responses.cached(result)
        return operation

    def _follow(self, operation: Operation, name: str) -> Follower:
        follower = self._ledger.follow(operation, name, self._clock())
        follower.tell(overtake=False)
        return follower

    # What workers do

    def connect_worker(self, request: worker_api.ConnectWorkerRequest, outbox: Outbox[worker_api.UpdateForWorker]) -> Worker:
        """A worker's registration; its id is the first thing in the outbox.

        Raises:
            BadPropertyError: a `minimum` property is no number.
        """
        properties = dict(platform_of((item.name, item.value) for item in request.properties))
        now = self._clock()
        worker = Worker(
            id=request.worker_id_prefix + self._uuid(),
            properties=properties,
            max_inflight_tasks=request.max_inflight_tasks,
            connected_at=now,
            last_update_at=now,
            outbox=outbox,
            remaining=self.fleet.remaining(properties),
        )
        outbox.put(worker_api.UpdateForWorker(connection_result=worker_api.ConnectionResult(worker_id=worker.id)))
        self.fleet.add(worker)
        self._on_change()
        return worker

    def hear(self, worker: Worker, update: worker_api.UpdateForScheduler) -> bool:
        """Act on a message of a worker; False: it was no message of a worker that has registered, and its stream ends."""
        match update.WhichOneof("update"):
            case "keep_alive_request":
                self.keep_alive(worker)
            case "execute_complete":
                self.execute_complete(worker, update.execute_complete.operation_id)
            case "execute_result":
                self.execute_result(worker, update.execute_result)
            case "going_away_request":
                self.going_away(worker)
            case "connect_worker_request" | None:
                return False
        return True

    def keep_alive(self, worker: Worker) -> None:
        """A worker's heartbeat."""
        worker.last_update_at = self._clock()

    def execute_complete(self, worker: Worker, operation_id: str) -> None:
        """The command has ended: what it held of `minimum` properties is free, the operation still runs."""
        operation = worker.running.get(operation_id)
        if operation is not None and worker.is_listed:
            self.fleet.release(worker, operation)
            self._on_change()

    def execute_result(self, worker: Worker, result: worker_api.ExecuteResult) -> None:
        """A finished result. Of a worker that was removed it is too late; of another's operation it is a reason to remove it."""
        if not worker.is_listed:
            return
        operation = worker.running.get(result.operation_id)
        if operation is None:
            self.remove_worker(worker, "reported an operation that it should not be running", disconnect=True)
            return
        is_error = result.WhichOneof("result") == "internal_error"
        is_exhausted = is_error and result.internal_error.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
        self.fleet.finish(worker, operation, is_exhausted=is_exhausted)
        if operation.is_listed:
            if is_error:
                operation.attempts += not is_exhausted
                self._retry(operation, result.internal_error)
            else:
                self._complete(operation, result.execute_response)
        self._on_change()

    def going_away(self, worker: Worker) -> None:
        """A worker says goodbye: it is removed at once, its operations go to others."""
        self.remove_worker(worker, "Received request to remove worker", disconnect=False)

    def remove_worker(self, worker: Worker, reason: str, *, disconnect: bool) -> None:
        """Take a worker from the list and give its operations to others; with `disconnect` it is told so and its stream ends."""
        if disconnect:
            worker.outbox.put(responses.DISCONNECT)
            worker.outbox.close()
        if not worker.is_listed:
            return
        self.fleet.remove(worker)
        for operation in worker.running.values():
            if operation.is_listed:
                operation.attempts += 1
                self._retry(
                    operation, status.Status(code=grpc.StatusCode.INTERNAL.value[0], message=f"Worker {worker.id}: {reason}")
                )
        self._on_change()

    def set_drain(self, worker_id: str, is_draining: bool) -> bool:
        """The admin call; False if there is no such worker."""
        worker = self.fleet.get(worker_id)
        if worker is None:
            return False
        worker.is_draining = is_draining
        self.fleet.refresh(worker)
        self._on_change()
        return True

    # What time does

    def match(self) -> None:
        """Send every waiting operation that finds a worker to it, in scheduling order."""
        self._ledger.expire(self._clock())
        self._queue.assign(self._assign)

    def evict(self) -> None:
        """Remove the workers that have been silent for too long."""
        silent_since = self._clock() - self.settings.worker_timeout_s
        for worker in [worker for worker in self.fleet if worker.last_update_at < silent_since]:
            self.remove_worker(worker, "Worker timed out", disconnect=True)

    def sweep(self) -> None:
        """Tell workers to kill what nobody wants any more."""
        self._ledger.expire(self._clock())
        for worker in list(self.fleet):
            for operation in list(worker.running.values()):
                if not operation.is_listed and operation.id not in worker.killed:
                    worker.killed.add(operation.id)
                    kill = worker_api.KillOperationRequest(operation_id=operation.id)
                    self._send(worker, worker_api.UpdateForWorker(kill_operation_request=kill))

    def disconnect_all(self) -> None:
        """An orderly stop: `disconnect` to every worker."""
        for worker in list(self.fleet):
            worker.outbox.put(responses.DISCONNECT)
            worker.outbox.close()

    def operations(self) -> list[Operation]:
        """All listed operations in order of arrival."""
        self._ledger.expire(self._clock())
        return self._ledger.operations

    def _assign(self, operation: Operation) -> bool:
        worker = self.fleet.pick(operation.platform)
        if worker is None:
            return False
        self.fleet.assign(worker, operation)
        operation.worker_id = worker.id
        start = worker_api.StartExecute(execute_request=operation.request, operation_id=operation.id, worker_id=worker.id)
        start.queued_timestamp.FromNanoseconds(operation.queued_ns)
        for name, value in operation.platform:
            start.platform.properties.add(name=name, value=value)
        self._move(operation, Stage.EXECUTING)
        self._send(worker, worker_api.UpdateForWorker(start_action=start))
        return True

    def _send(self, worker: Worker, update: worker_api.UpdateForWorker) -> None:
        worker.outbox.put(update)
        if worker.outbox.is_full:  # it does not read: the connection is as good as lost
            self.remove_worker(worker, "Worker does not read", disconnect=True)

    def _retry(self, operation: Operation, error: status.Status) -> None:
        if operation.attempts > self.settings.max_job_retries:
            self._complete(operation, responses.exhausted(operation, error, self.settings.max_job_retries))
            return
        operation.worker_id = None
        self._move(operation, Stage.QUEUED)
        self._queue.add(operation)

    def _complete(self, operation: Operation, response: remote_execution.ExecuteResponse) -> None:
        operation.response = response
        self._move(operation, Stage.COMPLETED)
        self._ledger.complete(operation)
        if self.settings.action_cache and operation.is_cacheable and responses.is_success(response):
            self._results[key_of(operation.request)] = response.result
            if len(self._results) > _MAX_RESULTS:
                del self._results[next(iter(self._results))]

    def _move(self, operation: Operation, stage: remote_execution.ExecutionStage.Value.ValueType) -> None:
        operation.stage = stage
        for follower in operation.followers:
            follower.tell(overtake=self._random.random() < self.settings.coalesce)

    def _uuid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

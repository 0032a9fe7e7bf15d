"""The scheduler's own state in the format of the shared recordings' truth (recordings.md). In: a scheduler. Out: plain values."""

from __future__ import annotations

from typing import TypedDict

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.simulation.fleet import Worker
from gateway.simulation.operations import Operation
from gateway.simulation.scheduler import Scheduler

#: What NativeLink has for an action without a timeout: the largest 64-bit number of seconds.
NO_TIMEOUT = 2**64 - 1


class WorkerTruth(TypedDict):
    """One connected worker."""

    id: str
    #: As declared, less what running actions hold of `minimum` ones.
    props_remaining: dict[str, str]
    #: Whole Unix seconds.
    last_update_timestamp: int
    is_paused: bool
    is_draining: bool
    max_inflight_tasks: int
    can_accept_work: bool
    #: Scheduler's operation ids.
    running_operations: list[str]
    #: Whole Unix seconds.
    connected_timestamp: int
    actions_completed: int


class OperationTruth(TypedDict):
    """One listed operation."""

    #: The scheduler's.
    operation_id: str
    #: `Queued`, `Executing` or `Completed`.
    stage: str
    #: `sha256:HASH`, as the two below.
    action_digest: str
    cacheable: bool
    command_digest: str
    input_root_digest: str
    #: Seconds, `NO_TIMEOUT` if it has none.
    timeout: int
    priority: int
    platform_properties: dict[str, str]
    #: Unix seconds with their fraction.
    insert_timestamp: float


class Truth(TypedDict):
    """A checkpoint, without its times."""

    workers: list[WorkerTruth]
    operations: list[OperationTruth]


def truth_of(scheduler: Scheduler) -> Truth:
    """What the scheduler knows at this moment; workers by id, operations in order of arrival."""
    workers = sorted(scheduler.fleet, key=lambda worker: worker.id)
    return {
        "workers": [_worker(worker) for worker in workers],
        "operations": [_operation(operation) for operation in scheduler.operations()],
    }


def _worker(worker: Worker) -> WorkerTruth:
    return {
        "id": worker.id,
        "props_remaining": dict(worker.properties) | {name: str(number) for name, number in worker.remaining.items()},
        "last_update_timestamp": int(worker.last_update_at),
        "is_paused": worker.is_paused,
        "is_draining": worker.is_draining,
        "max_inflight_tasks": worker.max_inflight_tasks,
        "can_accept_work": worker.can_accept_work,
        "running_operations": list(worker.running),
        "connected_timestamp": int(worker.connected_at),
        "actions_completed": worker.actions_completed,
    }


def _operation(operation: Operation) -> OperationTruth:
    action = operation.action
    return {
        "operation_id": operation.id,
        "stage": remote_execution.ExecutionStage.Value.Name(operation.stage).capitalize(),
        "action_digest": f"sha256:{operation.request.action_digest.hash}",
        "cacheable": operation.is_cacheable,
        "command_digest": f"sha256:{action.command_digest.hash}",
        "input_root_digest": f"sha256:{action.input_root_digest.hash}",
        "timeout": action.timeout.seconds if action.HasField("timeout") else NO_TIMEOUT,
        "priority": operation.priority,
        "platform_properties": dict(operation.platform),
        "insert_timestamp": operation.queued_ns / 1e9,
    }

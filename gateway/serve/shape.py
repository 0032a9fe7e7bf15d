"""Shape: messages of introspection.proto come in, the documented JSON goes out, encoded.

Names and order of fields are monitoring-api.md's; they are the structs below and nowhere else. What a message leaves absent is
null, never missing. Times are whole Unix seconds, cut off.
"""

from __future__ import annotations

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb

#: The documented word of each stage; any other number of the open enum is Unknown too.
STAGE_WORDS = {
    pb.STAGE_CACHE_CHECK: "CacheCheck",
    pb.STAGE_QUEUED: "Queued",
    pb.STAGE_EXECUTING: "Executing",
    pb.STAGE_COMPLETED: "Completed",
}
UNKNOWN_STAGE = "Unknown"

_encode = msgspec.json.Encoder().encode


class WorkerJson(msgspec.Struct, frozen=True, gc=False):
    """An element of GET /api/v1/workers."""

    id: str
    platform_properties: dict[str, str] | None
    last_update_timestamp: int | None
    is_paused: bool | None
    is_draining: bool | None
    can_accept_work: bool | None
    running_operations: list[str]
    connected_timestamp: int | None
    actions_completed: int | None


class OperationJson(msgspec.Struct, frozen=True, gc=False):
    """An element of GET /api/v1/operations."""

    operation_id: str | None
    client_operation_id: str | None
    stage: str
    worker_id: str | None
    action_digest: str | None
    command_digest: str | None
    input_root_digest: str | None
    priority: int | None
    timeout: int | None
    platform_properties: dict[str, str] | None
    load_timestamp: int | None
    insert_timestamp: int | None
    is_finished: bool


class StatusJson(msgspec.Struct, frozen=True, gc=False):
    """GET /api/v1/scheduler/status."""

    total_workers: int | None
    active_workers: int | None
    paused_workers: int | None
    draining_workers: int | None
    total_operations: int | None
    queued_operations: int | None
    executing_operations: int | None
    completed_operations: int | None
    uptime_seconds: int | None


class WorkerCountsJson(msgspec.Struct, frozen=True, gc=False):
    """`workers` of GET /api/v1/scheduler/metrics."""

    total: int | None
    active: int | None
    paused: int | None
    draining: int | None


class OperationCountsJson(msgspec.Struct, frozen=True, gc=False):
    """`operations` of GET /api/v1/scheduler/metrics."""

    total: int | None
    queued: int | None
    executing: int | None
    completed: int | None


class MetricsJson(msgspec.Struct, frozen=True, gc=False):
    """GET /api/v1/scheduler/metrics."""

    workers: WorkerCountsJson
    operations: OperationCountsJson
    uptime_seconds: int | None


class HealthJson(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """GET /api/v1/system/health; `reasons` and `notes` only where there are any (design 7)."""

    status: str
    timestamp: int
    uptime_seconds: int | None
    reasons: list[str] = []
    notes: list[str] = []


class ProblemJson(msgspec.Struct, frozen=True, gc=False):
    """Every answer that is no success."""

    error: str


class ProbeJson(msgspec.Struct, frozen=True, gc=False):
    """GET /livez and /readyz."""

    status: str


def to_json(shaped: msgspec.Struct) -> bytes:
    """The one JSON writer: compact, UTF-8, fields in the order of the struct."""
    return _encode(shaped)


def worker_json(worker: pb.Worker) -> bytes:
    """A worker as the documentation shows it."""
    return _encode(
        WorkerJson(
            id=worker.id,
            platform_properties=_properties(worker.properties) if worker.HasField("properties") else None,
            last_update_timestamp=worker.last_update.seconds if worker.HasField("last_update") else None,
            is_paused=worker.is_paused if worker.HasField("is_paused") else None,
            is_draining=worker.is_draining if worker.HasField("is_draining") else None,
            can_accept_work=worker.can_accept_work if worker.HasField("can_accept_work") else None,
            running_operations=list(worker.running_operations),
            connected_timestamp=worker.connected.seconds if worker.HasField("connected") else None,
            actions_completed=worker.actions_completed if worker.HasField("actions_completed") else None,
        )
    )


def operation_json(operation: pb.Operation) -> bytes:
    """An operation as the documentation shows it; an `operation_id` that is not known yet is null."""
    has = operation.HasField
    return _encode(
        OperationJson(
            operation_id=operation.operation_id or None,
            client_operation_id=operation.client_operation_id if has("client_operation_id") else None,
            stage=STAGE_WORDS.get(operation.stage, UNKNOWN_STAGE),
            worker_id=operation.worker_id if has("worker_id") else None,
            action_digest=_digest(operation.action_digest) if has("action_digest") else None,
            command_digest=_digest(operation.command_digest) if has("command_digest") else None,
            input_root_digest=_digest(operation.input_root_digest) if has("input_root_digest") else None,
            priority=operation.priority if has("priority") else None,
            timeout=operation.timeout.seconds if has("timeout") else None,
            platform_properties=_properties(operation.platform_properties) if has("platform_properties") else None,
            load_timestamp=operation.load.seconds if has("load") else None,
            insert_timestamp=operation.insert.seconds if has("insert") else None,
            is_finished=operation.stage == pb.STAGE_COMPLETED,
        )
    )


def status_json(scheduler: pb.Scheduler, uptime_seconds: int | None) -> bytes:
    """Scheduler status; active, paused, draining are can_accept_work, is_paused, is_draining (design 7)."""
    workers, operations = _counts(scheduler)
    return _encode(
        StatusJson(
            total_workers=workers.total,
            active_workers=workers.active,
            paused_workers=workers.paused,
            draining_workers=workers.draining,
            total_operations=operations.total,
            queued_operations=operations.queued,
            executing_operations=operations.executing,
            completed_operations=operations.completed,
            uptime_seconds=uptime_seconds,
        )
    )


def metrics_json(scheduler: pb.Scheduler, uptime_seconds: int | None) -> bytes:
    """The same counts in the shape of scheduler metrics."""
    workers, operations = _counts(scheduler)
    return _encode(MetricsJson(workers=workers, operations=operations, uptime_seconds=uptime_seconds))


def nanoseconds(time: Timestamp) -> int:
    """Unix nanoseconds."""
    return time.seconds * 1_000_000_000 + time.nanos


def _counts(scheduler: pb.Scheduler) -> tuple[WorkerCountsJson, OperationCountsJson]:
    counts = scheduler.counts
    has = counts.HasField
    return (
        WorkerCountsJson(
            total=counts.workers if has("workers") else None,
            active=counts.workers_accepting if has("workers_accepting") else None,
            paused=counts.workers_paused if has("workers_paused") else None,
            draining=counts.workers_draining if has("workers_draining") else None,
        ),
        OperationCountsJson(
            total=counts.operations if has("operations") else None,
            queued=counts.queued if has("queued") else None,
            executing=counts.executing if has("executing") else None,
            completed=counts.completed if has("completed") else None,
        ),
    )


def _digest(digest: pb.Digest) -> str:
    return f"{digest.function}:{digest.hash}" if digest.function else digest.hash


def _properties(properties: pb.Properties) -> dict[str, str]:
    """A repeated name has its last value, as the scheduler does it (design 7)."""
    return {each.name: each.value for each in properties.properties}

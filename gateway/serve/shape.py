"""Shape: messages of introspection.proto come in, the documented JSON goes out, encoded.

Names and order of fields are monitoring-api.md's; they are the structs below and nowhere else. What a message leaves absent is
null, never missing. Times are whole Unix seconds, cut off.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb
from gateway.query.order import STAGES

#: The documented word of each stage; any other number of the open enum is Unknown too.
STAGE_WORDS = {
    pb.STAGE_CACHE_CHECK: "CacheCheck",
    pb.STAGE_QUEUED: "Queued",
    pb.STAGE_EXECUTING: "Executing",
    pb.STAGE_COMPLETED: "Completed",
}
UNKNOWN_STAGE = "Unknown"
#: Of GET /api/v1/system/health, best first.
HEALTH_WORDS = ("healthy", "degraded", "unhealthy")

_encode = msgspec.json.Encoder().encode


def says(text: str, *words: str) -> msgspec.Meta:
    """What a field means, for the description of the API; and the words that it may be, if it is a word."""
    return msgspec.Meta(description=text, extra_json_schema={"enum": [*words]} if words else None)


class WorkerJson(msgspec.Struct, frozen=True, gc=False):
    """An element of GET /api/v1/workers."""

    id: Annotated[str, says("As the scheduler names it.")]
    platform_properties: Annotated[dict[str, str] | None, says("As declared, of a repeated name the last value; null: not seen.")]
    last_update_timestamp: Annotated[int | None, says("Of the last registration or keep-alive, Unix seconds; null: not seen.")]
    is_paused: Annotated[bool | None, says("Whether the scheduler paused it, until it next finishes something; null: not seen.")]
    is_draining: Annotated[bool | None, says("Whether it finishes what it runs and gets nothing new; null: not seen.")]
    can_accept_work: Annotated[bool | None, says("Whether it would get an action now; null: not seen.")]
    running_operations: Annotated[list[str], says("Ids of the operations that it runs, in the order of assignment.")]
    connected_timestamp: Annotated[int | None, says("When it connected, Unix seconds; null: not seen.")]
    actions_completed: Annotated[int | None, says("Since it connected; null: not seen.")]


class OperationJson(msgspec.Struct, frozen=True, gc=False):
    """An element of GET /api/v1/operations."""

    operation_id: Annotated[str | None, says("The scheduler's once a worker got it, before that the client's; null: not seen.")]
    client_operation_id: Annotated[str | None, says("Of the first client seen, without instance name; null: no client was seen.")]
    stage: Annotated[str, says("Where it is.", *STAGES)]
    worker_id: Annotated[str | None, says("The worker that has it, of a completed one the worker that ran it; null: none.")]
    action_digest: Annotated[str | None, says("FUNCTION:HASH; null: not seen.")]
    command_digest: Annotated[str | None, says("FUNCTION:HASH; null: not known.")]
    input_root_digest: Annotated[str | None, says("FUNCTION:HASH; null: not known.")]
    priority: Annotated[int | None, says("REAPI's; null: no client was seen.")]
    timeout: Annotated[int | None, says("Of the action, seconds; null: none, or not known.")]
    platform_properties: Annotated[dict[str, str] | None, says("The action's, of a repeated name the last value; null: not known.")]
    load_timestamp: Annotated[int | None, says("When it was first seen, Unix seconds; null: not seen.")]
    insert_timestamp: Annotated[int | None, says("When it was queued, Unix seconds; null: not seen.")]
    is_finished: Annotated[bool, says("Whether its stage is Completed.")]


class StatusJson(msgspec.Struct, frozen=True, gc=False):
    """GET /api/v1/scheduler/status."""

    total_workers: Annotated[int | None, says("Connected; null, here and below: that side is not observed.")]
    active_workers: Annotated[int | None, says("Those that would get an action now.")]
    paused_workers: Annotated[int | None, says("Those that are paused.")]
    draining_workers: Annotated[int | None, says("Those that are draining.")]
    total_operations: Annotated[int | None, says("Of every stage.")]
    queued_operations: Annotated[int | None, says("In stage Queued.")]
    executing_operations: Annotated[int | None, says("In stage Executing.")]
    completed_operations: Annotated[int | None, says("In stage Completed; they are kept for a while.")]
    uptime_seconds: Annotated[int | None, says("Since the scheduler was first observed or last seen to come up; null: it was not.")]


class WorkerCountsJson(msgspec.Struct, frozen=True, gc=False):
    """`workers` of GET /api/v1/scheduler/metrics."""

    total: Annotated[int | None, says("Connected; null, here and below: workers are not observed.")]
    active: Annotated[int | None, says("Those that would get an action now.")]
    paused: Annotated[int | None, says("Those that are paused.")]
    draining: Annotated[int | None, says("Those that are draining.")]


class OperationCountsJson(msgspec.Struct, frozen=True, gc=False):
    """`operations` of GET /api/v1/scheduler/metrics."""

    total: Annotated[int | None, says("Of every stage; null, here and below: clients and workers are not observed.")]
    queued: Annotated[int | None, says("In stage Queued.")]
    executing: Annotated[int | None, says("In stage Executing.")]
    completed: Annotated[int | None, says("In stage Completed; they are kept for a while.")]


class MetricsJson(msgspec.Struct, frozen=True, gc=False):
    """GET /api/v1/scheduler/metrics."""

    workers: Annotated[WorkerCountsJson, says("By what they are.")]
    operations: Annotated[OperationCountsJson, says("By stage.")]
    uptime_seconds: Annotated[int | None, says("Since the scheduler was first observed or last seen to come up; null: it was not.")]


class HealthJson(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """GET /api/v1/system/health; `reasons` and `notes` only where there are any."""

    status: Annotated[str, says("Whether the answers are current and whole.", *HEALTH_WORDS)]
    timestamp: Annotated[int, says("Of this answer, Unix seconds.")]
    uptime_seconds: Annotated[int | None, says("Of the scheduler; null: nothing was observed yet.")]
    reasons: Annotated[
        list[str], says("Why it is not healthy, each a sentence that says what to do. Only where there are any.")
    ] = []
    notes: Annotated[list[str], says("What a person should know although nothing is wrong. Only where there are any.")] = []


class ProblemJson(msgspec.Struct, frozen=True, gc=False):
    """Every answer that is no success."""

    error: Annotated[str, says("What is wrong, for the person who asked.")]


class ProbeJson(msgspec.Struct, frozen=True, gc=False):
    """GET /livez and /readyz."""

    status: Annotated[str, says("The answer in a word.")]


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

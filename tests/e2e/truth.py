"""Compares what introspection answers with what the scheduler itself knew at that moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from gateway.config.types import PropertyType
from gateway.pb import introspection_pb2 as pb
from tests.e2e.recordings import PROPERTY_TYPES, Checkpoint

_STAGES = {
    pb.STAGE_QUEUED: "Queued",
    pb.STAGE_EXECUTING: "Executing",
    pb.STAGE_COMPLETED: "Completed",
    pb.STAGE_CACHE_CHECK: "CacheCheck",
    pb.STAGE_UNKNOWN: "Unknown",
}
#: A second of the scheduler's clock and of the tap's may begin between the two looks at it.
_SECOND = 1


#: Unix seconds of the recording -> the earliest and latest at which that was played.
Played = Callable[[float], tuple[float, float]]


def as_recorded(unix: float) -> tuple[float, float]:
    """What was not played again was when it was."""
    return unix, unix


def differences(
    checkpoint: Checkpoint,
    workers: Iterable[pb.Worker],
    operations: Iterable[pb.Operation],
    counts: pb.Counts,
    *,
    played: Played = as_recorded,
    just_begun: bool = False,
) -> list[str]:
    """Every way in which the answers (view FULL) disagree with the checkpoint; empty where they agree.

    Args:
        checkpoint: the truth.
        workers: all of them.
        operations: all of them.
        counts: of the scheduler.
        played: the earliest and latest that the traffic of a moment was played, all in Unix seconds; that is what the tap's clock
            measured. Times that the scheduler put on the wire are as recorded.
        just_begun: the checkpoint began less than a tick ago: what ends without a word on the wire is noticed with the next one.
    """
    shown_workers = {worker.id: worker for worker in workers}
    shown_operations = list(operations)
    found = _worker_differences(checkpoint, shown_workers, played)
    unmatched, found_operations = _operation_differences(checkpoint, shown_operations, played)
    found += found_operations
    for operation in unmatched:
        if operation.stage != pb.STAGE_COMPLETED and not _may_be_shown(operation, just_begun=just_begun):
            found.append(
                f"operation {operation.operation_id} is {_STAGES[operation.stage]}, and the scheduler has no such operation"
            )
    return found + _count_differences(checkpoint, counts, shown_operations, unmatched)


def _may_be_shown(operation: pb.Operation, *, just_begun: bool) -> bool:
    """Nobody follows it, so that the scheduler has dropped it; and a worker still runs it, or it goes with the next tick."""
    is_followed = any(client.followers for client in operation.detail.clients)
    return not is_followed and (just_begun or operation.stage == pb.STAGE_EXECUTING)


def _worker_differences(checkpoint: Checkpoint, shown: Mapping[str, pb.Worker], played: Played) -> list[str]:
    found: list[str] = []
    expected = {worker["id"]: worker for worker in checkpoint.workers}
    if expected.keys() != shown.keys():
        found.append(f"workers are {sorted(shown)}, really {sorted(expected)}")
    for id_ in expected.keys() & shown.keys():
        really, worker = expected[id_], shown[id_]
        pairs = [
            ("is_paused", worker.is_paused, really["is_paused"]),
            ("is_draining", worker.is_draining, really["is_draining"]),
            ("can_accept_work", worker.can_accept_work, really["can_accept_work"]),
            ("running_operations", sorted(worker.running_operations), sorted(really["running_operations"])),
            ("actions_completed", worker.actions_completed, really["actions_completed"]),
            ("max_inflight_tasks", worker.detail.max_inflight_tasks, really["max_inflight_tasks"]),
            ("remaining properties", _last(worker.detail.remaining_properties), really["props_remaining"]),
            ("declared names", set(_last(worker.properties)), set(really["props_remaining"])),
            (
                "declared properties that nothing subtracts from",
                {
                    name: value
                    for name, value in _last(worker.properties).items()
                    if PROPERTY_TYPES.get(name) is not PropertyType.MINIMUM
                },
                {
                    name: value
                    for name, value in really["props_remaining"].items()
                    if PROPERTY_TYPES.get(name) is not PropertyType.MINIMUM
                },
            ),
        ]
        found += [f"worker {id_}: {what} is {seen!r}, really {true!r}" for what, seen, true in pairs if seen != true]
        found += _time_difference(f"worker {id_}: connected", worker.connected.seconds, played(really["connected_timestamp"]))
        found += _time_difference(f"worker {id_}: last update", worker.last_update.seconds, played(really["last_update_timestamp"]))
    return found


def _operation_differences(
    checkpoint: Checkpoint, shown: Sequence[pb.Operation], played: Played
) -> tuple[list[pb.Operation], list[str]]:
    found: list[str] = []
    left = list(shown)
    by_id = {operation.operation_id: operation for operation in shown}
    for really in checkpoint.operations:
        operation = by_id.get(really["operation_id"]) or _unassigned(left, really)
        if operation is None or operation not in left:
            found.append(f"operation {really['operation_id']} ({really['stage']}, {really['action_digest']}) is not shown")
            continue
        left.remove(operation)
        function, _, hash_ = really["action_digest"].partition(":")
        pairs: list[tuple[str, object, object]] = [
            ("stage", _STAGES[operation.stage], really["stage"]),
            ("digest", (operation.action_digest.function, operation.action_digest.hash), (function, hash_)),
            ("priority", operation.priority if operation.HasField("priority") else None, really["priority"]),
            ("cacheable", operation.cacheable, really["cacheable"]),
        ]
        if operation.operation_id == really["operation_id"]:  # a worker has or had it
            pairs.append(("platform", _last(operation.platform_properties), really["platform_properties"]))
            # StartExecute.queued_timestamp, to the microsecond that the truth is written in.
            inserted = operation.insert.seconds * 1_000_000 + operation.insert.nanos // 1_000
            if abs(inserted - round(really["insert_timestamp"] * 1_000_000)) > 1:
                pairs.append(("insert", inserted, really["insert_timestamp"]))
        else:
            found += _time_difference("insert", operation.insert.seconds, played(really["insert_timestamp"]))
        found += [
            f"operation {really['operation_id']}: {what} is {seen!r}, really {true!r}" for what, seen, true in pairs if seen != true
        ]
    return left, found


def _unassigned(left: Sequence[pb.Operation], really: Mapping[str, Any]) -> pb.Operation | None:
    """A queued operation that no worker ever got shows the client's id: it is found by digest, cacheability, stage and priority."""
    return next(
        (
            operation
            for operation in left
            if not operation.HasField("assigned")
            and (operation.action_digest.hash, operation.cacheable, _STAGES[operation.stage], operation.priority)
            == (really["action_digest"].partition(":")[2], really["cacheable"], really["stage"], really["priority"])
        ),
        None,
    )


def _count_differences(
    checkpoint: Checkpoint, counts: pb.Counts, shown: Sequence[pb.Operation], unmatched: Sequence[pb.Operation]
) -> list[str]:
    """Counts agree with the truth, after adding what is allowed to be shown besides."""
    stages = Counter(operation["stage"] for operation in checkpoint.operations)
    stages.update(_STAGES[operation.stage] for operation in unmatched)
    workers = checkpoint.workers
    pairs = [
        ("workers", counts.workers, len(workers)),
        ("accepting", counts.workers_accepting, sum(worker["can_accept_work"] for worker in workers)),
        ("paused", counts.workers_paused, sum(worker["is_paused"] for worker in workers)),
        ("draining", counts.workers_draining, sum(worker["is_draining"] for worker in workers)),
        ("operations", counts.operations, len(shown)),
        ("queued", counts.queued, stages["Queued"]),
        ("executing", counts.executing, stages["Executing"]),
        ("completed", counts.completed, stages["Completed"]),
    ]
    return [f"count of {what} is {seen}, really {true}" for what, seen, true in pairs if seen != true]


def _last(properties: pb.Properties) -> dict[str, str]:
    """As the scheduler keeps them: of a repeated name the last."""
    return {prop.name: prop.value for prop in properties.properties}


def _never_subtracted(properties: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in properties.items() if PROPERTY_TYPES.get(name) is not PropertyType.MINIMUM}


def _time_difference(what: str, seen: int, really: tuple[float, float]) -> list[str]:
    return [] if is_within(seen, really) else [f"{what} is {seen}, really {really}"]


def is_within(seen: int, really: tuple[float, float]) -> bool:
    """Whether a second lies between two moments, give or take one."""
    earliest, latest = really
    return int(earliest) - _SECOND <= seen <= int(latest) + _SECOND

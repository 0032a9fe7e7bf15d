"""Compares with what the monitoring server of an old release said, in the parts that recordings.md calls right."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.pb import introspection_pb2 as pb
from tests.e2e.recordings import FOLDER, load
from tests.e2e.truth import Played, as_recorded, is_within

_STAGES = {pb.STAGE_QUEUED: "Queued", pb.STAGE_EXECUTING: "Executing", pb.STAGE_COMPLETED: "Completed"}


@dataclass(frozen=True)
class Moment:
    #: Seconds of the recording.
    at: float
    label: str
    workers: list[dict[str, Any]]
    operations: list[dict[str, Any]]


def moments() -> list[Moment]:
    """The four moments, in order."""
    began = load("legacy").began
    return [
        Moment(said["t"] - began, said["label"], json.loads(said["/api/v1/workers"][1]), json.loads(said["/api/v1/operations"][1]))
        for said in json.loads((FOLDER / "legacy.rest.json").read_text())
    ]


def differences(
    moment: Moment,
    workers: Sequence[pb.Worker],
    operations: Sequence[pb.Operation],
    *,
    played: Played = as_recorded,
) -> list[str]:
    """Ids, running operations, stages, priorities, digests and times that disagree."""
    found: list[str] = []
    shown = {worker.id: worker for worker in workers}
    if shown.keys() != {really["id"] for really in moment.workers}:
        found.append(f"workers are {sorted(shown)}")
    for really in moment.workers:
        worker = shown.get(really["id"], pb.Worker())
        found += [
            f"{worker.id}: {name} is {getattr(worker, name)}, really {really[name]}"
            for name in ("is_paused", "is_draining", "can_accept_work", "actions_completed")
            if getattr(worker, name) != really[name]
        ]
        if sorted(worker.running_operations) != sorted(really["running_operations"]):
            found.append(f"{worker.id}: runs {worker.running_operations}, really {really['running_operations']}")
        for seen, true in (
            (worker.connected.seconds, really["connected_timestamp"]),
            (worker.last_update.seconds, really["last_update_timestamp"]),
        ):
            if not is_within(seen, played(true)):
                found.append(f"{worker.id}: time is {seen}, really {true}")
    by_hash = {operation.action_digest.hash: operation for operation in operations}
    if len(by_hash) != len(operations) or len(operations) != len(moment.operations):
        found.append(f"{len(operations)} operations, really {len(moment.operations)}")
    for really in moment.operations:
        operation = by_hash.get(really["action_digest"].partition("-")[0], pb.Operation())
        seen_operation = (_STAGES.get(operation.stage), operation.priority, f"{operation.action_digest.size_bytes}")
        true_operation = (really["stage"].partition("(")[0], really["priority"], really["action_digest"].partition("-")[2])
        if seen_operation != true_operation:
            found.append(f"{operation.operation_id}: {seen_operation}, really {true_operation}")
        inserted = really["insert_timestamp"]
        if not is_within(operation.insert.seconds, as_recorded(inserted) if operation.HasField("assigned") else played(inserted)):
            found.append(f"{operation.operation_id}: inserted {operation.insert.seconds}, really {really['insert_timestamp']}")
        if operation.stage == pb.STAGE_EXECUTING and not any(
            operation.operation_id in worker.running_operations for worker in workers
        ):
            found.append(f"{operation.operation_id} executes, and no worker runs it")
    return found

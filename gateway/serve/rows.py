"""Rows: one entity's message comes in, what the replica keeps of it goes out: its JSON, encoded once, and its keys."""

from __future__ import annotations

import msgspec

from gateway.pb import introspection_pb2 as pb
from gateway.query.order import OrderKey, operation_order, worker_order
from gateway.serve.shape import STAGE_WORDS, UNKNOWN_STAGE, nanoseconds, operation_json, worker_json


class Row(msgspec.Struct, frozen=True, gc=False):
    """What workers and operations have in common. Equal rows answer every question alike.

    gc=False: a row refers to strings, bytes and numbers only, so the collector need not walk 100,000 of them.
    """

    arrival: int
    #: Sorts it in its list.
    key: OrderKey
    #: The documented object, encoded.
    json: bytes
    #: Everything that it can be looked up by; without instance name.
    ids: tuple[str, ...]


class WorkerRow(Row, frozen=True, gc=False):
    """A worker."""


class OperationRow(Row, frozen=True, gc=False):
    """An operation; a row for `gateway.query.filter` too."""

    stage: str
    worker_id: str | None
    instance_name: str


def worker_row(worker: pb.Worker) -> WorkerRow:
    """A worker's row."""
    connected = nanoseconds(worker.connected) if worker.HasField("connected") else None
    return WorkerRow(worker.arrival, worker_order(connected, worker.arrival), worker_json(worker), (worker.id,))


def operation_row(operation: pb.Operation) -> OperationRow:
    """An operation's row."""
    has = operation.HasField
    stage = STAGE_WORDS.get(operation.stage, UNKNOWN_STAGE)
    key = operation_order(
        stage,
        priority=operation.priority if has("priority") else None,
        insert_at=nanoseconds(operation.insert) if has("insert") else None,
        assigned_at=nanoseconds(operation.assigned) if has("assigned") else None,
        finished_at=nanoseconds(operation.finished) if has("finished") else None,
        arrival=operation.arrival,
    )
    named = (operation.operation_id, operation.client_operation_id, operation.previous_operation_id, *operation.other_ids)
    return OperationRow(
        arrival=operation.arrival,
        key=key,
        json=operation_json(operation),
        ids=tuple(dict.fromkeys(filter(None, named))),
        stage=stage,
        worker_id=operation.worker_id if has("worker_id") else None,
        instance_name=operation.instance_name,
    )

"""Rows: one entity's message comes in, what the replica keeps of it goes out: its JSON, encoded once, and its keys."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import msgspec

from gateway.pb import introspection_pb2 as pb
from gateway.query.filter import worker_states
from gateway.query.order import OrderKey, operation_order, worker_order
from gateway.serve.shape import STAGE_WORDS, UNKNOWN_STAGE, nanoseconds, operation_json, worker_json
from gateway.words import shared, shared_words

_NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})
#: Sets of properties that are remembered: a build farm has dozens.
_SHARED_MAX = 4_096


#: Of a fingerprint: two different lists never have the same.
_FINGERPRINT_BYTES = 16
#: A row, whole; the only thing in it that msgspec does not know is a mapping.
_encode = msgspec.json.Encoder(enc_hook=lambda mapping: sorted(mapping.items())).encode


class _Fingerprint(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    #: A hash of everything else: equal rows have the same in every process.
    fingerprint: int = 0


class Row(_Fingerprint, frozen=True, gc=False):
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

    def __post_init__(self) -> None:
        """Called by msgspec."""
        digest = hashlib.blake2b(_encode(self), digest_size=_FINGERPRINT_BYTES).digest()
        msgspec.structs.force_setattr(self, "fingerprint", int.from_bytes(digest))


class WorkerRow(Row, frozen=True, gc=False):
    """A worker; a row for `gateway.query.filter` too."""

    states: tuple[str, ...] = ()
    properties: Mapping[str, str] = _NO_PROPERTIES

    @property
    def id(self) -> str:
        """As the scheduler names it."""
        return self.ids[0]


class OperationRow(Row, frozen=True, gc=False):
    """An operation; a row for `gateway.query.filter` too."""

    stage: str
    worker_id: str | None
    instance_name: str
    digest_hash: str
    invocation_ids: tuple[str, ...]
    targets: tuple[str, ...]
    mnemonics: tuple[str, ...]
    properties: Mapping[str, str]
    insert_at: int | None
    status_code: int | None


def worker_row(worker: pb.Worker) -> WorkerRow:
    """A worker's row."""
    connected = nanoseconds(worker.connected) if worker.HasField("connected") else None
    has = worker.HasField
    return WorkerRow(
        worker.arrival,
        worker_order(connected, worker.arrival),
        worker_json(worker),
        (worker.id,),
        worker_states(
            accepts=worker.can_accept_work if has("can_accept_work") else None,
            is_paused=worker.is_paused if has("is_paused") else None,
            is_draining=worker.is_draining if has("is_draining") else None,
        ),
        _properties(worker.properties),
    )


def operation_row(operation: pb.Operation) -> OperationRow:
    """An operation's row."""
    has = operation.HasField
    stage = STAGE_WORDS.get(operation.stage, UNKNOWN_STAGE)
    insert_at = nanoseconds(operation.insert) if has("insert") else None
    # Read once, so that the row and its key have one object.
    arrival = operation.arrival
    key = operation_order(
        stage,
        priority=operation.priority if has("priority") else None,
        insert_at=insert_at,
        assigned_at=nanoseconds(operation.assigned) if has("assigned") else None,
        finished_at=nanoseconds(operation.finished) if has("finished") else None,
        arrival=arrival,
    )
    named = (operation.operation_id, operation.client_operation_id, operation.previous_operation_id, *operation.other_ids)
    return OperationRow(
        arrival=arrival,
        key=key,
        json=operation_json(operation),
        ids=tuple(dict.fromkeys(filter(None, named))),
        stage=stage,
        worker_id=shared(operation.worker_id) if has("worker_id") else None,
        instance_name=shared(operation.instance_name),
        digest_hash=operation.action_digest.hash,
        invocation_ids=shared_words(operation.tool_invocation_ids),
        targets=shared_words(operation.target_ids),
        mnemonics=shared_words(operation.action_mnemonics),
        properties=_properties(operation.platform_properties),
        insert_at=insert_at,
        status_code=operation.status_code if has("status_code") else None,
    )


def _properties(properties: pb.Properties) -> Mapping[str, str]:
    return _shared(tuple((each.name, each.value) for each in properties.properties))


@lru_cache(_SHARED_MAX)
def _shared(pairs: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    """One mapping for all that have the same properties, of a repeated name the last value."""
    return MappingProxyType(dict(pairs))

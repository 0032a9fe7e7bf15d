"""Shape, in full: messages of introspection.proto with their details come in, JSON with everything that is known goes out.

The documented object comes first, as it is; what is not documented follows. What a message leaves absent is null, never missing.
Times here are Unix seconds with their fraction.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb
from gateway.serve.shape import nanoseconds, operation_json, worker_json

_encode = msgspec.json.Encoder().encode

_JOINS = {pb.OperationDetail.NONE: "none", pb.OperationDetail.TENTATIVE: "tentative", pb.OperationDetail.PROVEN: "proven"}


class StoryLineJson(msgspec.Struct, frozen=True, gc=False):
    """One entry of an entity's log."""

    at: float
    text: str


class AnomalyJson(msgspec.Struct, frozen=True, gc=False):
    """Something about an entity that the protocol does not allow, or that came late."""

    at: float
    kind: str
    text: str


class WorkerDetailJson(msgspec.Struct, frozen=True, gc=False):
    """What `view=full` adds to a worker."""

    max_inflight_tasks: int | None
    remaining_properties: dict[str, str] | None
    peer: str
    user_agent: str
    id_prefix: str
    story: list[StoryLineJson]
    anomalies: list[AnomalyJson]


class ClientJson(msgspec.Struct, frozen=True, gc=False):
    """One client of an operation; what its request metadata does not say is null."""

    client_operation_id: str | None
    followers: int
    peer: str
    user_agent: str
    tool_name: str | None
    tool_version: str | None
    action_id: str | None
    tool_invocation_id: str | None
    correlated_invocations_id: str | None
    action_mnemonic: str | None
    target_id: str | None
    configuration_id: str | None


class OperationDetailJson(msgspec.Struct, frozen=True, gc=False):
    """What `view=full` adds to an operation."""

    instance_name: str
    cacheable: bool | None
    action_digest_size_bytes: int | None
    command_digest_size_bytes: int | None
    input_root_digest_size_bytes: int | None
    previous_operation_id: str | None
    other_ids: list[str]
    assigned_timestamp: float | None
    finished_timestamp: float | None
    #: From insertion to the last assignment.
    queue_seconds: float | None
    #: From the last assignment to the end.
    execution_seconds: float | None
    attempts: int
    join: str
    assigned_properties: dict[str, str] | None
    clients: list[ClientJson]
    exit_code: int | None
    status_code: int | None
    status_message: str | None
    cached_result: bool | None
    peak_memory_kb: int | None
    cpu_time_ms: int | None
    story: list[StoryLineJson]
    anomalies: list[AnomalyJson]


def worker_full_json(worker: pb.Worker) -> bytes:
    """A worker with its detail."""
    detail = worker.detail
    has = detail.HasField
    more = WorkerDetailJson(
        max_inflight_tasks=detail.max_inflight_tasks if has("max_inflight_tasks") else None,
        remaining_properties=_properties(detail.remaining_properties) if has("remaining_properties") else None,
        peer=detail.peer,
        user_agent=detail.user_agent,
        id_prefix=detail.id_prefix,
        story=_story(detail.story),
        anomalies=_anomalies(detail.anomalies),
    )
    return _joined(worker_json(worker), more)


def operation_full_json(operation: pb.Operation) -> bytes:
    """An operation with its detail."""
    detail = operation.detail
    known, has = operation.HasField, detail.HasField
    assigned = operation.assigned if known("assigned") else None
    more = OperationDetailJson(
        instance_name=operation.instance_name,
        cacheable=operation.cacheable if known("cacheable") else None,
        action_digest_size_bytes=operation.action_digest.size_bytes if known("action_digest") else None,
        command_digest_size_bytes=operation.command_digest.size_bytes if known("command_digest") else None,
        input_root_digest_size_bytes=operation.input_root_digest.size_bytes if known("input_root_digest") else None,
        previous_operation_id=operation.previous_operation_id or None,
        other_ids=list(operation.other_ids),
        assigned_timestamp=_seconds(assigned),
        finished_timestamp=_seconds(operation.finished) if known("finished") else None,
        queue_seconds=_between(operation.insert if known("insert") else None, assigned),
        execution_seconds=_between(assigned, operation.finished if known("finished") else None),
        attempts=detail.attempts,
        join=_JOINS.get(detail.join, "none"),
        assigned_properties=_properties(detail.assigned_properties) if has("assigned_properties") else None,
        clients=[_client(each) for each in detail.clients],
        exit_code=detail.exit_code if has("exit_code") else None,
        status_code=detail.status_code if has("status_code") else None,
        status_message=detail.status_message or None,
        cached_result=detail.cached_result if has("cached_result") else None,
        peak_memory_kb=detail.peak_memory_kb if has("peak_memory_kb") else None,
        cpu_time_ms=detail.cpu_time_ms if has("cpu_time_ms") else None,
        story=_story(detail.story),
        anomalies=_anomalies(detail.anomalies),
    )
    return _joined(operation_json(operation), more)


def _joined(documented: bytes, more: msgspec.Struct) -> bytes:
    """Two objects as one: the fields of the first, then those of the second."""
    return b"".join((documented[:-1], b",", _encode(more)[1:]))


def _client(client: pb.Client) -> ClientJson:
    metadata = client.request_metadata
    return ClientJson(
        client_operation_id=client.client_operation_id or None,
        followers=client.followers,
        peer=client.peer,
        user_agent=client.user_agent,
        tool_name=metadata.tool_name or None,
        tool_version=metadata.tool_version or None,
        action_id=metadata.action_id or None,
        tool_invocation_id=metadata.tool_invocation_id or None,
        correlated_invocations_id=metadata.correlated_invocations_id or None,
        action_mnemonic=metadata.action_mnemonic or None,
        target_id=metadata.target_id or None,
        configuration_id=metadata.configuration_id or None,
    )


def _story(lines: Iterable[pb.StoryLine]) -> list[StoryLineJson]:
    return [StoryLineJson(nanoseconds(line.at) / 1e9, line.text) for line in lines]


def _anomalies(anomalies: Iterable[pb.Anomaly]) -> list[AnomalyJson]:
    return [AnomalyJson(nanoseconds(each.at) / 1e9, each.kind, each.text) for each in anomalies]


def _seconds(time: Timestamp | None) -> float | None:
    return None if time is None else nanoseconds(time) / 1e9


def _between(since: Timestamp | None, until: Timestamp | None) -> float | None:
    """Not below zero: two clocks may have taken the two times."""
    return None if since is None or until is None else max(0, nanoseconds(until) - nanoseconds(since)) / 1e9


def _properties(properties: pb.Properties) -> dict[str, str]:
    return {each.name: each.value for each in properties.properties}

"""Shape, in full: messages of introspection.proto with their details come in, JSON with everything that is known goes out.

The documented object comes first, as it is; what is not documented follows. What a message leaves absent is null, never missing.
Times here are Unix seconds with their fraction.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb
from gateway.serve.shape import nanoseconds, operation_json, says, worker_json

_encode = msgspec.json.Encoder().encode

_JOINS = {pb.OperationDetail.NONE: "none", pb.OperationDetail.TENTATIVE: "tentative", pb.OperationDetail.PROVEN: "proven"}


class StoryLineJson(msgspec.Struct, frozen=True, gc=False):
    """One entry of an entity's log."""

    at: Annotated[float, says("Unix seconds.")]
    text: Annotated[str, says("Such as `Queued -> Executing on worker-1`.")]


class AnomalyJson(msgspec.Struct, frozen=True, gc=False):
    """Something about an entity that the protocol does not allow, or that came late."""

    at: Annotated[float, says("Unix seconds.")]
    kind: Annotated[str, says("A stable word, such as `late_result`.")]
    text: Annotated[str, says("What happened.")]


class WorkerDetailJson(msgspec.Struct, frozen=True, gc=False):
    """What `view=full` adds to a worker."""

    max_inflight_tasks: Annotated[int | None, says("0: unlimited; null: not seen.")]
    remaining_properties: Annotated[dict[str, str] | None, says("Declared ones less what running actions hold; null: not known.")]
    peer: Annotated[str, says("host:port as the tap saw it.")]
    user_agent: Annotated[str, says("As the worker sent it.")]
    id_prefix: Annotated[str, says("What its id begins with at its own wish.")]
    story: Annotated[list[StoryLineJson], says("What happened to it, the most recent of it, oldest first.")]
    anomalies: Annotated[list[AnomalyJson], says("Of the recent ones, those about this worker.")]


class ClientJson(msgspec.Struct, frozen=True, gc=False):
    """One client of an operation; what its request metadata does not say is null."""

    client_operation_id: Annotated[str | None, says("The id that it was given; null: not seen.")]
    followers: Annotated[int, says("Execute and WaitExecution streams that are open now.")]
    peer: Annotated[str, says("host:port as the tap saw it.")]
    user_agent: Annotated[str, says("As the client sent it.")]
    tool_name: Annotated[str | None, says("Such as `bazel`.")]
    tool_version: Annotated[str | None, says("Of the tool.")]
    action_id: Annotated[str | None, says("As the tool names the action.")]
    tool_invocation_id: Annotated[str | None, says("Of one run of the tool.")]
    correlated_invocations_id: Annotated[str | None, says("Of the runs that belong together.")]
    action_mnemonic: Annotated[str | None, says("Such as `CppCompile`.")]
    target_id: Annotated[str | None, says("Such as `//app:main`.")]
    configuration_id: Annotated[str | None, says("Of the build's configuration.")]


class OperationDetailJson(msgspec.Struct, frozen=True, gc=False):
    """What `view=full` adds to an operation."""

    instance_name: Annotated[str, says("REAPI's.")]
    cacheable: Annotated[bool | None, says("Whether it may be joined with others; null: not known.")]
    action_digest_size_bytes: Annotated[int | None, says("null: the digest is not known; so with the two below.")]
    command_digest_size_bytes: Annotated[int | None, says("As above.")]
    input_root_digest_size_bytes: Annotated[int | None, says("As above.")]
    previous_operation_id: Annotated[str | None, says("What operation_id was before it changed; null: it did not.")]
    other_ids: Annotated[list[str], says("Every further id that it can be asked for by.")]
    assigned_timestamp: Annotated[float | None, says("When a worker last got it, Unix seconds; null: none did, or not seen.")]
    finished_timestamp: Annotated[float | None, says("When it completed, Unix seconds; null: not finished, or not seen.")]
    queue_seconds: Annotated[float | None, says("From insertion to the last assignment; null: one of them is not known.")]
    execution_seconds: Annotated[float | None, says("From the last assignment to the end; null: one of them is not known.")]
    attempts: Annotated[int, says("Workers that got it.")]
    join: Annotated[
        str, says("Whether its client's and worker's sides were put together: not, by what agrees, for sure.", *_JOINS.values())
    ]
    assigned_properties: Annotated[dict[str, str] | None, says("What was reserved at the last assignment; null: never assigned.")]
    clients: Annotated[list[ClientJson], says("Who asked for it.")]
    exit_code: Annotated[int | None, says("Of the command; null: not finished, or not reported.")]
    status_code: Annotated[int | None, says("google.rpc.Code; null: not finished.")]
    status_message: Annotated[str | None, says("Of the status; null: none.")]
    cached_result: Annotated[
        bool | None, says("Whether the result came from the action cache; null: not finished, or not reported.")
    ]
    peak_memory_kb: Annotated[int | None, says("null: not reported.")]
    cpu_time_ms: Annotated[int | None, says("null: not reported.")]
    story: Annotated[list[StoryLineJson], says("What happened to it, the most recent of it, oldest first.")]
    anomalies: Annotated[list[AnomalyJson], says("Of the recent ones, those about this operation.")]


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

"""Entities of the model as messages of introspection.proto. What is not known is left absent, never zero (P2).

Pure; each function returns a new message. `detail` is for view FULL.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from gateway.model import events, identity, records
from gateway.model.events import Stage
from gateway.model.records import Join
from gateway.model.scheduler import SchedulerModel
from gateway.model.story import StoryLine, lines
from gateway.observe.timestamps import duration, optional_timestamp, timestamp
from gateway.pb import introspection_pb2 as pb

_STAGES = {
    Stage.UNKNOWN: pb.STAGE_UNKNOWN,
    Stage.CACHE_CHECK: pb.STAGE_CACHE_CHECK,
    Stage.QUEUED: pb.STAGE_QUEUED,
    Stage.EXECUTING: pb.STAGE_EXECUTING,
    Stage.COMPLETED: pb.STAGE_COMPLETED,
}
#: introspection.proto: of each, at most.
_DISTINCT_MAX = 16
_JOINS = {
    Join.NONE: pb.OperationDetail.NONE,
    Join.TENTATIVE: pb.OperationDetail.TENTATIVE,
    Join.PROVEN: pb.OperationDetail.PROVEN,
}


def worker(entity: records.Worker) -> pb.Worker:
    """View BASIC.

    A worker that was first seen in the middle of its life, or across a gap (`is_complete` false), has completed an unknown number
    of actions. One whose registration was not seen has an unknown number of slots, so that it can accept work only as far as
    known.
    """
    return pb.Worker(
        id=entity.id,
        arrival=entity.arrival,
        properties=_properties(entity.properties),
        connected=timestamp(entity.connected_at),
        last_update=timestamp(entity.last_update_at),
        is_paused=entity.is_paused,
        is_draining=entity.is_draining,
        can_accept_work=can_accept_work(entity),
        running_operations=entity.running,
        actions_completed=entity.actions_completed if entity.is_complete else None,
    )


def can_accept_work(entity: records.Worker) -> bool | None:
    """None: not known."""
    accepts = entity.can_accept_work
    return None if accepts and entity.max_inflight_tasks is None else accepts


def worker_full(model: SchedulerModel, entity: records.Worker) -> pb.Worker:
    """View FULL."""
    message = worker(entity)
    message.detail.MergeFrom(
        pb.WorkerDetail(
            max_inflight_tasks=entity.max_inflight_tasks,
            remaining_properties=_properties(model.remaining_properties(entity)),
            peer=entity.peer,
            user_agent=entity.user_agent,
            id_prefix=entity.id_prefix,
            story=story(lines(entity.story)),
            anomalies=_anomalies_of(model, entity.id),
        )
    )
    return message


def operation(model: SchedulerModel, entity: records.Operation) -> pb.Operation:
    """View BASIC."""
    key, action = entity.key, entity.action
    return pb.Operation(
        operation_id=entity.operation_id,
        arrival=entity.arrival,
        previous_operation_id=entity.previous_operation_id or "",
        client_operation_id=entity.client_operation_id,
        stage=_STAGES[entity.stage],
        worker_id=entity.worker_id,
        action_digest=_digest(key.digest) if key is not None else None,
        command_digest=_optional_digest(action.command_digest) if action is not None else None,
        input_root_digest=_optional_digest(action.input_root_digest) if action is not None else None,
        priority=entity.priority,
        timeout=duration(action.timeout) if action is not None and action.timeout is not None else None,
        platform_properties=_properties(entity.platform_properties),
        load=timestamp(entity.load_at),
        insert=optional_timestamp(entity.insert_at),
        assigned=optional_timestamp(entity.assigned_at),
        finished=optional_timestamp(entity.finished_at),
        instance_name=instance_name(entity),
        cacheable=entity.cacheable,
        other_ids=model.other_ids(entity),
        tool_invocation_ids=invocation_ids(entity),
        target_ids=targets(entity),
        action_mnemonics=mnemonics(entity),
        status_code=status_code(entity),
    )


def instance_name(entity: records.Operation) -> str:
    """REAPI's; of an operation that only a WaitExecution names the prefix of that name (nativelink-facts 3)."""
    if entity.key is not None:
        return entity.key.instance_name
    return next((client.instance_name or "" for client in entity.clients), "")


def invocation_ids(entity: records.Operation) -> list[str]:
    """Of its clients' builds, each once."""
    return _distinct([client.metadata.tool_invocation_id for client in entity.clients if client.metadata is not None])


def targets(entity: records.Operation) -> list[str]:
    """That its clients want it for, each once."""
    return _distinct([client.metadata.target_id for client in entity.clients if client.metadata is not None])


def mnemonics(entity: records.Operation) -> list[str]:
    """As its clients call it, each once."""
    return _distinct([client.metadata.action_mnemonic for client in entity.clients if client.metadata is not None])


def status_code(entity: records.Operation) -> int | None:
    """Of the finished operation."""
    return entity.outcome.status_code if entity.outcome is not None and entity.is_finished else None


def _distinct(values: list[str]) -> list[str]:
    """Those that say something, each once, up to a bound: an action may have a thousand clients."""
    if len(values) == 1:
        return values if values[0] else []
    return list(islice(dict.fromkeys(filter(None, values)), _DISTINCT_MAX))


def operation_full(model: SchedulerModel, entity: records.Operation) -> pb.Operation:
    """View FULL."""
    message = operation(model, entity)
    outcome = entity.outcome
    message.detail.MergeFrom(
        pb.OperationDetail(
            clients=[_client(each) for each in entity.clients],
            join=_JOINS[entity.join],
            attempts=entity.attempts,
            story=story(lines(entity.story)),
            assigned_properties=_properties(entity.reserved),
            anomalies=_anomalies_of(model, entity.operation_id, *model.other_ids(entity)),
        )
    )
    if outcome is not None:
        message.detail.MergeFrom(
            pb.OperationDetail(
                exit_code=outcome.exit_code,
                status_code=outcome.status_code,
                status_message=outcome.status_message,
                cached_result=outcome.cached,
                peak_memory_kb=outcome.peak_memory_kb,
                cpu_time_ms=outcome.cpu_time_ms,
            )
        )
    return message


def counts(entity: records.Counts) -> pb.Counts:
    """Absent: the side that shows it is not observed."""
    return pb.Counts(
        workers=entity.workers,
        workers_accepting=entity.workers_accepting,
        workers_paused=entity.workers_paused,
        workers_draining=entity.workers_draining,
        operations=entity.operations,
        queued=entity.queued,
        executing=entity.executing,
        completed=entity.completed,
    )


def anomaly(entity: records.Anomaly) -> pb.Anomaly:
    """With the story that led to it."""
    return pb.Anomaly(at=timestamp(entity.at), kind=entity.kind, entity=entity.entity, text=entity.text, story=story(entity.story))


def _anomalies_of(model: SchedulerModel, *ids: str) -> list[pb.Anomaly]:
    """Of the recent ones, those about an entity; an operation may be named with its instance."""
    about = [each for each in model.anomalies if each.entity in ids or each.entity.rpartition("/")[2] in ids]
    return [pb.Anomaly(at=timestamp(each.at), kind=each.kind, entity=each.entity, text=each.text) for each in about]


def story(told: Iterable[StoryLine]) -> list[pb.StoryLine]:
    """The bounded log of an entity."""
    return [pb.StoryLine(at=timestamp(at), text=text) for at, text in told]


def _client(entity: records.Client) -> pb.Client:
    return pb.Client(
        client_operation_id=entity.client_operation_id,
        followers=entity.followers,
        peer=entity.peer,
        user_agent=entity.user_agent,
        request_metadata=None if entity.metadata is None else _metadata(entity.metadata),
    )


def _metadata(metadata: events.RequestMetadata) -> pb.RequestMetadata:
    return pb.RequestMetadata(
        tool_name=metadata.tool_name,
        tool_version=metadata.tool_version,
        action_id=metadata.action_id,
        tool_invocation_id=metadata.tool_invocation_id,
        correlated_invocations_id=metadata.correlated_invocations_id,
        action_mnemonic=metadata.action_mnemonic,
        target_id=metadata.target_id,
        configuration_id=metadata.configuration_id,
    )


def _properties(properties: identity.Properties | None) -> pb.Properties | None:
    if properties is None:
        return None
    return pb.Properties(properties=[pb.Property(name=name, value=value) for name, value in properties])


def _digest(digest: identity.Digest) -> pb.Digest:
    return pb.Digest(function=digest.function, hash=digest.hash, size_bytes=digest.size_bytes)


def _optional_digest(digest: identity.Digest | None) -> pb.Digest | None:
    return None if digest is None else _digest(digest)

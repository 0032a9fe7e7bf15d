"""Messages of introspection.proto with defaults: those of monitoring-api.md's examples, and any number of plausible others."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb

#: The second that the documentation's examples are about.
NOW = 1_640_995_200


def properties(**values: str) -> pb.Properties:
    return pb.Properties(properties=[pb.Property(name=name, value=value) for name, value in values.items()])


def documented_worker() -> pb.Worker:
    return pb.Worker(
        id="worker-123",
        arrival=1,
        properties=properties(cpu_count="8", memory_kb="16384", cpu_arch="x86_64", OSFamily="Linux"),
        connected=Timestamp(seconds=1_640_995_000),
        last_update=Timestamp(seconds=1_640_995_200, nanos=999_999_999),
        is_paused=False,
        is_draining=False,
        can_accept_work=True,
        running_operations=["op-456", "op-789"],
        actions_completed=42,
    )


def documented_operation() -> pb.Operation:
    return pb.Operation(
        operation_id="op-456",
        arrival=2,
        previous_operation_id="client-op-456",
        client_operation_id="client-op-456",
        stage=pb.STAGE_EXECUTING,
        worker_id="worker-123",
        action_digest=pb.Digest(function="sha256", hash="abc123...", size_bytes=142),
        command_digest=pb.Digest(function="sha256", hash="def456...", size_bytes=7),
        input_root_digest=pb.Digest(function="sha256", hash="ghi789...", size_bytes=8),
        priority=0,
        timeout=Duration(seconds=3600),
        platform_properties=properties(cpu_count="4", memory_kb="8192"),
        load=Timestamp(seconds=1_640_995_200),
        insert=Timestamp(seconds=1_640_995_201, nanos=5),
        assigned=Timestamp(seconds=1_640_995_202),
        instance_name="main",
        cacheable=True,
        other_ids=["client-op-457"],
    )


def documented_scheduler() -> pb.Scheduler:
    return pb.Scheduler(
        name="MAIN_SCHEDULER",
        up_since=Timestamp(seconds=NOW - 3600),
        counts=pb.Counts(
            workers=5,
            workers_accepting=4,
            workers_paused=1,
            workers_draining=0,
            operations=25,
            queued=10,
            executing=12,
            completed=3,
        ),
        health=pb.Health(status=pb.Health.HEALTHY),
    )


def worker(arrival: int, id_: str | None = None, *, connected: int | None = None) -> pb.Worker:
    """A worker of which only what orders and names it is known."""
    made = pb.Worker(id=f"worker-{arrival}" if id_ is None else id_, arrival=arrival)
    if connected is not None:
        made.connected.seconds = connected
    return made


def operation(
    arrival: int,
    stage: pb.Stage.ValueType = pb.STAGE_QUEUED,
    *,
    id_: str | None = None,
    worker_id: str | None = None,
    priority: int | None = None,
    insert: int | None = None,
    instance_name: str = "",
) -> pb.Operation:
    """An operation of which only what orders and names it is known."""
    made = pb.Operation(
        operation_id=f"op-{arrival}" if id_ is None else id_,
        arrival=arrival,
        stage=stage,
        worker_id=worker_id,
        priority=priority,
        instance_name=instance_name,
    )
    if insert is not None:
        made.insert.seconds = insert
    return made


def busy_operation(arrival: int) -> pb.Operation:
    """An operation as long as one of a NativeLink without a CAS to read: about 430 bytes of JSON."""
    stage = (pb.STAGE_EXECUTING, pb.STAGE_QUEUED, pb.STAGE_QUEUED, pb.STAGE_COMPLETED)[arrival % 4]
    made = pb.Operation(
        operation_id=f"0196a3f2-7c5e-7d11-9a52-{arrival:012x}",
        arrival=arrival,
        client_operation_id=f"0196a3f2-7c5e-7d11-8b41-{arrival:012x}",
        stage=stage,
        action_digest=pb.Digest(function="sha256", hash=f"{arrival:064x}", size_bytes=142),
        priority=arrival % 4,
        timeout=Duration(seconds=3600),
        platform_properties=properties(cpu_count="4"),
        load=Timestamp(seconds=NOW + arrival // 50),
        insert=Timestamp(seconds=NOW + arrival // 50, nanos=arrival),
        instance_name="main",
        cacheable=True,
    )
    if stage != pb.STAGE_QUEUED:
        made.worker_id = f"worker-{arrival % 40}"
        made.assigned.seconds = NOW + arrival // 50 + 1
    if stage == pb.STAGE_COMPLETED:
        made.finished.seconds = NOW + arrival // 50 + 9
    return made


def documented_drain() -> pb.Drain:
    """The one of the examples."""
    return pb.Drain(
        id="0c6b2f9d41aa",
        id_prefix="worker-",
        state=pb.Drain.ACTIVE,
        created=Timestamp(seconds=1_640_995_200),
        created_by="token deployer",
        workers=2,
        draining=2,
        safe=1,
        running_operations=1,
        drained_workers=[
            pb.DrainedWorker(id="worker-123", state=pb.DrainedWorker.DRAINING, running_operations=["op-456"]),
            pb.DrainedWorker(id="worker-124", state=pb.DrainedWorker.SAFE, safe_to_delete=True),
        ],
    )

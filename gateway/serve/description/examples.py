"""Examples: one of every body. The documented ones are those of monitoring-api.md."""

from __future__ import annotations

import msgspec

from gateway.serve.drains.shape import (
    DrainCountsJson,
    DrainedWorkerJson,
    DrainFullJson,
    DrainJson,
    SelectorJson,
    UndrainedJson,
)
from gateway.serve.shape import (
    HealthJson,
    MetricsJson,
    OperationCountsJson,
    OperationJson,
    ProbeJson,
    StatusJson,
    WorkerCountsJson,
    WorkerJson,
)
from gateway.serve.shape_full import AnomalyJson, ClientJson, OperationDetailJson, StoryLineJson, WorkerDetailJson

WORKER = WorkerJson(
    id="worker-123",
    platform_properties={"cpu_count": "8", "memory_kb": "16384", "cpu_arch": "x86_64", "OSFamily": "Linux"},
    last_update_timestamp=1_640_995_200,
    is_paused=False,
    is_draining=False,
    can_accept_work=True,
    running_operations=["op-456", "op-789"],
    connected_timestamp=1_640_995_000,
    actions_completed=42,
)

WORKER_DETAIL = WorkerDetailJson(
    max_inflight_tasks=0,
    remaining_properties={"cpu_count": "4", "memory_kb": "8192", "cpu_arch": "x86_64", "OSFamily": "Linux"},
    peer="10.0.0.7:53114",
    user_agent="tonic/0.13.1",
    id_prefix="",
    story=[StoryLineJson(1_640_995_000.25, "connected from 10.0.0.7:53114")],
    anomalies=[],
)

OPERATION = OperationJson(
    operation_id="op-456",
    client_operation_id="client-op-456",
    stage="Executing",
    worker_id="worker-123",
    action_digest="sha256:abc123...",
    command_digest="sha256:def456...",
    input_root_digest="sha256:ghi789...",
    priority=0,
    timeout=3600,
    platform_properties={"cpu_count": "4", "memory_kb": "8192"},
    load_timestamp=1_640_995_200,
    insert_timestamp=1_640_995_201,
    is_finished=False,
)

OPERATION_DETAIL = OperationDetailJson(
    instance_name="main",
    cacheable=True,
    action_digest_size_bytes=142,
    command_digest_size_bytes=7,
    input_root_digest_size_bytes=8,
    previous_operation_id="client-op-456",
    other_ids=[],
    assigned_timestamp=1_640_995_202.5,
    finished_timestamp=None,
    queue_seconds=1.5,
    execution_seconds=None,
    attempts=1,
    join="proven",
    assigned_properties={"cpu_count": "4", "memory_kb": "8192"},
    clients=[
        ClientJson(
            client_operation_id="client-op-456",
            followers=1,
            peer="10.0.0.9:40210",
            user_agent="grpc-java-netty/1.66.0",
            tool_name="bazel",
            tool_version="8.2.1",
            action_id="abc123...",
            tool_invocation_id="6a1f0c52-3c2e-4f5e-9d5a-0a8c1c6d2f11",
            correlated_invocations_id=None,
            action_mnemonic="CppCompile",
            target_id="//app:main",
            configuration_id=None,
        )
    ],
    exit_code=None,
    status_code=None,
    status_message=None,
    cached_result=None,
    peak_memory_kb=None,
    cpu_time_ms=None,
    story=[StoryLineJson(1_640_995_202.5, "Queued -> Executing on worker-123")],
    anomalies=[AnomalyJson(1_640_995_203.0, "late_result", "a result of worker-122 came after it had lost the operation")],
)

STATUS = StatusJson(
    total_workers=5,
    active_workers=4,
    paused_workers=1,
    draining_workers=0,
    total_operations=25,
    queued_operations=10,
    executing_operations=12,
    completed_operations=3,
    uptime_seconds=3600,
)

METRICS = MetricsJson(
    workers=WorkerCountsJson(total=5, active=4, paused=1, draining=0),
    operations=OperationCountsJson(total=25, queued=10, executing=12, completed=3),
    uptime_seconds=3600,
)

HEALTH = HealthJson(status="healthy", timestamp=1_640_995_200, uptime_seconds=3600)
UNHEALTHY = HealthJson(
    status="unhealthy",
    timestamp=1_640_995_200,
    uptime_seconds=None,
    reasons=["Nothing is known yet: no snapshot came from observe (it sends nothing). Start it, or see its log"],
)

ALIVE = ProbeJson("alive")
READY = ProbeJson("ready")

EVENTS = """retry: 2000

id: 0c6b2f-4711
event: snapshot
data: {"epoch":"0c6b2f","revision":4711}

"""

EXPOSITION = """# HELP nativelink_workers Connected workers by state.
# TYPE nativelink_workers gauge
nativelink_workers{state="accepting"} 4.0
nativelink_workers{state="paused"} 1.0
"""

DRAIN = DrainJson(
    id="0c6b2f9d41aa",
    selector=SelectorJson(worker_id=None, id_prefix="worker-", property=None),
    state="active",
    until_gone=False,
    safe_to_delete=False,
    counts=DrainCountsJson(workers=2, draining=2, safe=1, failed=0, gone=0, running_operations=1),
    created_timestamp=1_640_995_200,
    created_by="token deployer",
    ended_timestamp=None,
    ended_by=None,
    problem=None,
)
DRAIN_FULL = DrainFullJson(
    **msgspec.structs.asdict(DRAIN),
    workers=[
        DrainedWorkerJson("worker-123", "draining", safe_to_delete=False, running_operations=["op-456"], error=None),
        DrainedWorkerJson("worker-124", "safe", safe_to_delete=True, running_operations=[], error=None),
    ],
)
UNDRAINED = UndrainedJson(
    worker=DrainedWorkerJson("worker-123", "undrained", safe_to_delete=False, running_operations=["op-456"], error=None),
    drain_id=None,
)

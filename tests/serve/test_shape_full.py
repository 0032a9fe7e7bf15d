from __future__ import annotations

import json

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb
from gateway.serve.shape import operation_json, worker_json
from gateway.serve.shape_full import operation_full_json, worker_full_json
from tests.serve.builders import NOW, documented_operation, documented_worker, operation, properties, worker


def test_the_documented_object_comes_first_as_it_is() -> None:
    for full, documented in (
        (worker_full_json(documented_worker()), worker_json(documented_worker())),
        (operation_full_json(documented_operation()), operation_json(documented_operation())),
    ):
        assert full.startswith(documented[:-1])
        assert list(json.loads(full))[: len(json.loads(documented))] == list(json.loads(documented))


def test_what_is_not_known_is_null_and_never_missing() -> None:
    full, bare = json.loads(operation_full_json(documented_operation())), json.loads(operation_full_json(operation(1)))
    assert list(full) == list(bare)
    assert [name for name, value in bare.items() if value is None and full[name] is None]
    assert (bare["queue_seconds"], bare["execution_seconds"], bare["join"]) == (None, None, "none")
    known = {"max_inflight_tasks", "remaining_properties"}
    assert {name for name, value in json.loads(worker_full_json(worker(1))).items() if value is None} >= known


def test_durations_lie_between_the_times_and_never_below_zero() -> None:
    made = documented_operation()
    made.insert.CopyFrom(Timestamp(seconds=NOW))
    made.assigned.CopyFrom(Timestamp(seconds=NOW + 2, nanos=500_000_000))
    made.finished.CopyFrom(Timestamp(seconds=NOW + 2))
    shown = json.loads(operation_full_json(made))
    assert (shown["queue_seconds"], shown["execution_seconds"]) == (2.5, 0.0)
    assert (shown["assigned_timestamp"], shown["finished_timestamp"]) == (NOW + 2.5, NOW + 2)


def test_everything_that_is_known_is_shown() -> None:
    at = Timestamp(seconds=NOW)
    made = documented_operation()
    made.detail.MergeFrom(
        pb.OperationDetail(
            clients=[
                pb.Client(
                    client_operation_id="c",
                    followers=2,
                    peer="p:1",
                    user_agent="bazel",
                    request_metadata=pb.RequestMetadata(tool_name="bazel", target_id="//a"),
                )
            ],
            join=pb.OperationDetail.PROVEN,
            attempts=3,
            story=[pb.StoryLine(at=at, text="Queued")],
            exit_code=0,
            status_code=4,
            status_message="too long",
            cached_result=False,
            peak_memory_kb=5,
            cpu_time_ms=6,
            assigned_properties=properties(cpu_count="4"),
            anomalies=[pb.Anomaly(at=at, kind="late_result", entity="op", text="late")],
        )
    )
    shown = json.loads(operation_full_json(made))
    assert shown["clients"][0]["tool_name"] == "bazel"
    assert shown["clients"][0]["action_mnemonic"] is None
    assert (shown["join"], shown["attempts"], shown["exit_code"], shown["status_code"]) == ("proven", 3, 0, 4)
    assert shown["story"] == [{"at": NOW, "text": "Queued"}]
    assert shown["anomalies"] == [{"at": NOW, "kind": "late_result", "text": "late"}]
    assert shown["assigned_properties"] == {"cpu_count": "4"}
    busy = documented_worker()
    busy.detail.MergeFrom(pb.WorkerDetail(max_inflight_tasks=0, remaining_properties=properties(cpu_count="1"), peer="p:2"))
    shown = json.loads(worker_full_json(busy))
    assert (shown["max_inflight_tasks"], shown["remaining_properties"], shown["peer"]) == (0, {"cpu_count": "1"}, "p:2")

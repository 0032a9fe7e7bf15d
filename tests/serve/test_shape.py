import json

import msgspec
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from gateway.pb import introspection_pb2 as pb
from gateway.serve.shape import (
    HealthJson,
    MetricsJson,
    OperationJson,
    StatusJson,
    WorkerJson,
    metrics_json,
    operation_json,
    status_json,
    worker_json,
)
from tests.serve.builders import documented_operation, documented_scheduler, documented_worker


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (pb.STAGE_UNKNOWN, "Unknown"),
        (pb.STAGE_CACHE_CHECK, "CacheCheck"),
        (pb.STAGE_QUEUED, "Queued"),
        (pb.STAGE_EXECUTING, "Executing"),
        (pb.STAGE_COMPLETED, "Completed"),
        (99, "Unknown"),
    ],
)
def test_a_stage_is_its_documented_word(number: pb.Stage.ValueType, word: str) -> None:
    shown = json.loads(operation_json(pb.Operation(stage=number)))
    assert (shown["stage"], shown["is_finished"]) == (word, word == "Completed")


def test_what_is_absent_is_null_and_never_missing() -> None:
    worker = json.loads(worker_json(pb.Worker(id="w")))
    assert worker.pop("id") == "w"
    assert worker.pop("running_operations") == []
    assert set(worker.values()) == {None}
    operation = json.loads(operation_json(pb.Operation()))
    assert (operation.pop("stage"), operation.pop("is_finished")) == ("Unknown", False)
    assert set(operation.values()) == {None}
    assert set(json.loads(status_json(pb.Scheduler(), None)).values()) == {None}
    metrics = json.loads(metrics_json(pb.Scheduler(), None))
    assert set(metrics["workers"].values()) | set(metrics["operations"].values()) == {None}


def test_zero_false_and_empty_are_not_absent() -> None:
    worker = pb.Worker(id="w", is_paused=False, is_draining=False, can_accept_work=False, actions_completed=0)
    worker.properties.CopyFrom(pb.Properties())
    worker.connected.seconds = 0
    shown = json.loads(worker_json(worker))
    assert [shown[name] for name in ("is_paused", "is_draining", "can_accept_work")] == [False] * 3
    assert (shown["actions_completed"], shown["platform_properties"], shown["connected_timestamp"]) == (0, {}, 0)
    operation = pb.Operation(priority=0, worker_id="", client_operation_id="", timeout=Duration())
    shown = json.loads(operation_json(operation))
    assert (shown["priority"], shown["worker_id"], shown["client_operation_id"], shown["timeout"]) == (0, "", "", 0)
    assert json.loads(status_json(pb.Scheduler(counts=pb.Counts(workers=0)), 0))["total_workers"] == 0


def test_a_repeated_property_has_its_last_value_at_its_first_place() -> None:
    worker = documented_worker()
    worker.properties.properties.add(name="cpu_count", value="9")
    assert json.loads(worker_json(worker))["platform_properties"] == {
        "cpu_count": "9",
        "memory_kb": "16384",
        "cpu_arch": "x86_64",
        "OSFamily": "Linux",
    }


def test_a_digest_without_function_is_its_hash() -> None:
    operation = pb.Operation(action_digest=pb.Digest(hash="f00d", size_bytes=1))
    assert json.loads(operation_json(operation))["action_digest"] == "f00d"


def test_times_and_durations_are_cut_to_whole_seconds() -> None:
    operation = documented_operation()
    operation.insert.nanos = 999_999_999
    operation.timeout.nanos = 999_999_999
    shown = json.loads(operation_json(operation))
    assert (shown["insert_timestamp"], shown["timeout"]) == (1_640_995_201, 3600)


@given(st.text())
def test_any_text_survives(text: str) -> None:
    assert json.loads(worker_json(pb.Worker(id=text)))["id"] == text


def test_an_answer_decodes_as_its_own_schema() -> None:
    msgspec.json.decode(worker_json(documented_worker()), type=WorkerJson, strict=True)
    msgspec.json.decode(operation_json(documented_operation()), type=OperationJson, strict=True)
    msgspec.json.decode(status_json(documented_scheduler(), 1), type=StatusJson, strict=True)
    msgspec.json.decode(metrics_json(documented_scheduler(), 1), type=MetricsJson, strict=True)


def test_reasons_and_notes_are_there_only_where_there_are_any() -> None:
    assert list(json.loads(msgspec.json.encode(HealthJson("healthy", 1, None)))) == ["status", "timestamp", "uptime_seconds"]
    assert list(json.loads(msgspec.json.encode(HealthJson("healthy", 1, None, notes=["n"])))) == [
        "status",
        "timestamp",
        "uptime_seconds",
        "notes",
    ]

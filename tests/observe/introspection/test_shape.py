"""Entities as messages: golden texts for a handful of states. What is not known is not there."""

from __future__ import annotations

from textwrap import dedent

from google.protobuf import text_format
from google.protobuf.message import Message

from gateway.model.events import ActionRead, Outcome, RequestMetadata, Stage
from gateway.model.identity import ActionKey, Digest, StreamId
from gateway.model.records import Anomaly, Client, Counts, Join, Operation, Worker
from gateway.observe.introspection import shape
from gateway.pb import introspection_pb2 as pb
from tests.observe.introspection.observed import Observed
from tests.observe.records import EPOCH, SECOND

STREAM = StreamId("run-1", 1, 3)


def is_text(message: Message, golden: str) -> None:
    assert text_format.MessageToString(message) == dedent(golden).lstrip()


def worker(**changes: object) -> Worker:
    values: dict[str, object] = {
        "id": "w-1",
        "arrival": 4,
        "stream": STREAM,
        "connected_at": EPOCH,
        "last_update_at": EPOCH + 5,
        "properties": (("pool", "a"), ("pool", "b")),
        "id_prefix": "w-",
        "max_inflight_tasks": 1,
        "peer": "10.0.0.1:1",
        "user_agent": "tonic/0.14",
    }
    return Worker(**{**values, **changes})  # type: ignore[arg-type]  # a test's own words


def operation(**changes: object) -> Operation:
    values: dict[str, object] = {
        "arrival": 7,
        "key": ActionKey("main", Digest("sha256", "ab", 142), cacheable=True),
        "stage": Stage.QUEUED,
        "load_at": EPOCH,
    }
    return Operation(**{**values, **changes})  # type: ignore[arg-type]  # as above


def test_a_worker_at_work() -> None:
    is_text(
        shape.worker(worker(running={"op-1": ()}, actions_completed=3)),
        """
        id: "w-1"
        arrival: 4
        properties {
          properties {
            name: "pool"
            value: "a"
          }
          properties {
            name: "pool"
            value: "b"
          }
        }
        connected {
          seconds: 1700000000
        }
        last_update {
          seconds: 1700000000
          nanos: 5
        }
        is_paused: false
        is_draining: false
        can_accept_work: false
        running_operations: "op-1"
        actions_completed: 3
        """,
    )


def test_of_a_worker_whose_registration_was_not_seen_much_is_not_known() -> None:
    entity = worker(properties=None, max_inflight_tasks=None, is_complete=False)
    message = shape.worker(entity)
    assert not message.HasField("properties")
    assert not message.HasField("can_accept_work")
    assert not message.HasField("actions_completed")
    entity.is_paused = True
    assert shape.worker(entity).can_accept_work is False
    assert shape.worker(entity).HasField("can_accept_work")


def test_known_to_declare_nothing_is_not_unknown() -> None:
    message = shape.worker(worker(properties=()))
    assert message.HasField("properties")
    assert not message.properties.properties


def test_an_operation_of_which_only_the_request_was_seen() -> None:
    is_text(
        shape.operation(Observed().model, operation(priority=0)),
        """
        arrival: 7
        stage: STAGE_QUEUED
        action_digest {
          function: "sha256"
          hash: "ab"
          size_bytes: 142
        }
        priority: 0
        load {
          seconds: 1700000000
        }
        instance_name: "main"
        cacheable: true
        """,
    )


ACTION = ActionRead(
    EPOCH, "main", Digest("sha256", "ab", 1), Digest("sha256", "cd", 1), Digest("sha256", "ef", 2), 90 * SECOND, (("pool", "a"),)
)


def test_an_operation_that_ran() -> None:
    entity = operation(
        stage=Stage.COMPLETED,
        scheduler_operation_id="op-1",
        previous_operation_id="c-1",
        clients=[Client("c-1", "main", "10.0.0.2:2", "bazel", RequestMetadata(target_id="//a"), 1)],
        worker_id="w-1",
        priority=-1,
        queued_at=EPOCH + 1,
        assigned_at=EPOCH + 2,
        finished_at=EPOCH + 3,
        attempts=2,
        outcome=Outcome(exit_code=0, cpu_time_ms=12),
        join=Join.PROVEN,
        action=ACTION,
    )
    message = shape.operation_full(Observed().model, entity)
    message.detail.ClearField("story")
    is_text(
        message,
        """
        operation_id: "op-1"
        arrival: 7
        previous_operation_id: "c-1"
        client_operation_id: "c-1"
        stage: STAGE_COMPLETED
        worker_id: "w-1"
        action_digest {
          function: "sha256"
          hash: "ab"
          size_bytes: 142
        }
        command_digest {
          function: "sha256"
          hash: "cd"
          size_bytes: 1
        }
        input_root_digest {
          function: "sha256"
          hash: "ef"
          size_bytes: 2
        }
        priority: -1
        timeout {
          seconds: 90
        }
        platform_properties {
          properties {
            name: "pool"
            value: "a"
          }
        }
        load {
          seconds: 1700000000
        }
        insert {
          seconds: 1700000000
          nanos: 1
        }
        assigned {
          seconds: 1700000000
          nanos: 2
        }
        finished {
          seconds: 1700000000
          nanos: 3
        }
        instance_name: "main"
        cacheable: true
        other_ids: "c-1"
        target_ids: "//a"
        status_code: 0
        detail {
          clients {
            client_operation_id: "c-1"
            followers: 1
            peer: "10.0.0.2:2"
            user_agent: "bazel"
            request_metadata {
              target_id: "//a"
            }
          }
          join: PROVEN
          attempts: 2
          exit_code: 0
          status_code: 0
          cached_result: false
          cpu_time_ms: 12
        }
        """,
    )


def test_an_operation_that_is_known_by_name_only() -> None:
    entity = operation(key=None, stage=Stage.UNKNOWN, clients=[Client("c-1", "deep/name", "", "", None)])
    message = shape.operation_full(Observed().model, entity)
    assert message.instance_name == "deep/name"
    assert not message.HasField("action_digest")
    assert not message.HasField("cacheable")
    assert not message.HasField("priority")
    assert not message.detail.clients[0].HasField("request_metadata")
    assert not message.detail.HasField("status_code")


def test_counts_of_a_side_that_is_not_observed_are_not_there() -> None:
    message = shape.counts(Counts(None, None, None, None, 3, 2, 1, 0))
    assert message == pb.Counts(operations=3, queued=2, executing=1, completed=0)
    assert not message.HasField("workers")
    assert message.HasField("completed")


def test_an_anomaly_brings_its_story() -> None:
    is_text(
        shape.anomaly(Anomaly(EPOCH, "late_result", "op-1", "it came late", ((EPOCH - SECOND, "Queued"),))),
        """
        at {
          seconds: 1700000000
        }
        kind: "late_result"
        entity: "op-1"
        text: "it came late"
        story {
          at {
            seconds: 1699999999
          }
          text: "Queued"
        }
        """,
    )


def test_what_many_clients_say_is_there_once_and_within_a_bound() -> None:
    clients = [
        Client(f"c-{number}", "", "", "", RequestMetadata(tool_invocation_id=f"i-{number // 2}", action_mnemonic="Cpp"))
        for number in range(60)
    ]
    message = shape.operation(Observed().model, operation(clients=[*clients, Client("c", "", "", "", None)]))
    assert list(message.tool_invocation_ids) == [f"i-{number}" for number in range(16)]
    assert list(message.action_mnemonics) == ["Cpp"]
    assert not message.target_ids


def test_anomalies_about_an_entity_are_in_its_detail() -> None:
    observed = Observed()
    for about in ("main/c-1", "op-1", "op-2", ""):
        observed.model.anomalies.append(Anomaly(EPOCH, "late_result", about, "late", ((EPOCH, "Queued"),)))
    entity = operation(scheduler_operation_id="op-1", clients=[Client("c-1", "main", "", "", None)], reserved=(("a", "b"),))
    detail = shape.operation_full(observed.model, entity).detail
    assert [each.entity for each in detail.anomalies] == ["main/c-1", "op-1"]
    assert not detail.anomalies[0].story
    assert detail.assigned_properties == pb.Properties(properties=[pb.Property(name="a", value="b")])
    observed.model.anomalies.append(Anomaly(EPOCH, "unknown_worker", "w-1", "who", ()))
    assert [each.kind for each in shape.worker_full(observed.model, worker()).detail.anomalies] == ["unknown_worker"]

"""Execute and WaitExecution streams as events."""

from __future__ import annotations

import pytest

from gateway.model.events import (
    Event,
    ExecuteRequested,
    FollowerLeft,
    MessageUnread,
    OperationUpdated,
    Outcome,
    RequestMetadata,
    Stage,
    WaitRequested,
)
from gateway.model.identity import ActionKey, Digest, StreamId
from gateway.pb import longrunning_pb2, status_pb2, tap_pb2
from gateway.pb import remote_execution_pb2 as reapi
from tests.observe.records import EPOCH, HASH, WAIT, ScriptedTap, execute_request, operation
from tests.observe.test_translate import translated


def of_stream(tap: ScriptedTap) -> list[Event]:
    """Events without the connection's own."""
    return [event for event in translated(tap) if hasattr(event, "stream")]


def test_a_request_names_key_priority_and_who_asked() -> None:
    metadata = reapi.RequestMetadata(
        tool_details=reapi.ToolDetails(tool_name="bazel", tool_version="8.0"), action_mnemonic="CppCompile", target_id="//a:b"
    )
    tap = ScriptedTap()
    tap.execute(execute_request(priority=-3, skip=True), metadata.SerializeToString())
    assert of_stream(tap) == [
        ExecuteRequested(
            at=tap.unix_ns,
            stream=StreamId("run-1", 1, 3),
            key=ActionKey("main", Digest("sha256", HASH, 142), cacheable=False),
            priority=-3,
            metadata=RequestMetadata(tool_name="bazel", tool_version="8.0", action_mnemonic="CppCompile", target_id="//a:b"),
            peer="10.0.0.1:4000",
            user_agent="test/1",
        )
    ]


@pytest.mark.parametrize(("payload", "known"), [(b"", None), (b"\xff", RequestMetadata())], ids=["none", "damaged"])
def test_request_metadata_is_not_needed(payload: bytes, known: RequestMetadata | None) -> None:
    tap = ScriptedTap()
    tap.execute(metadata=payload)
    (requested,) = of_stream(tap)
    assert isinstance(requested, ExecuteRequested)
    assert requested.metadata == known


@pytest.mark.parametrize(
    ("number", "stage"),
    [
        (0, Stage.UNKNOWN),
        (1, Stage.CACHE_CHECK),
        (2, Stage.QUEUED),
        (3, Stage.EXECUTING),
        (4, Stage.COMPLETED),
        (99, Stage.UNKNOWN),
    ],
)
def test_an_update_names_the_stage_and_where_the_request_did_not_the_digest(number: int, stage: Stage) -> None:
    tap = ScriptedTap()
    connection, stream = tap.execute()
    tap.down(connection, stream, operation("main/c-1", number))
    tap.call(connection, 5, WAIT)
    tap.up(connection, 5, reapi.WaitExecutionRequest(name="main/c-1"))
    tap.down(connection, 5, operation("main/c-1", number))
    _, of_execute, _, of_wait = of_stream(tap)
    digest = Digest("sha256", HASH, 142)
    assert isinstance(of_execute, OperationUpdated)
    assert (of_execute.name, of_execute.stage, of_execute.digest) == ("main/c-1", stage, None)
    assert of_wait == OperationUpdated(tap.unix_ns, StreamId("run-1", 1, 5), "main/c-1", stage, digest, None)


def test_the_last_update_carries_the_outcome() -> None:
    response = reapi.ExecuteResponse(result=reapi.ActionResult(exit_code=2), cached_result=True)
    metadata = response.result.execution_metadata
    metadata.worker = "w-1"
    metadata.queued_timestamp.FromNanoseconds(EPOCH + 123_456_789)
    metadata.execution_start_timestamp.FromNanoseconds(EPOCH + 200)
    metadata.execution_completed_timestamp.FromNanoseconds(EPOCH + 300)
    tap = ScriptedTap()
    connection, stream = tap.execute()
    tap.down(connection, stream, operation("main/c-1", 4, response=response))
    updated = of_stream(tap)[1]
    assert isinstance(updated, OperationUpdated)
    assert updated.outcome == Outcome(
        exit_code=2,
        cached=True,
        queued_at=EPOCH + 123_456_789,
    )


def test_an_action_that_could_not_be_run_has_a_status_and_nothing_else() -> None:
    response = reapi.ExecuteResponse(status=status_pb2.Status(code=4, message="too long"))
    tap = ScriptedTap()
    connection, stream = tap.execute()
    tap.down(connection, stream, operation("main/c-1", 4, response=response))
    updated = of_stream(tap)[1]
    assert isinstance(updated, OperationUpdated)
    assert updated.outcome == Outcome(status_code=4, status_message="too long")


def test_an_operation_may_end_with_an_error_in_place_of_a_response() -> None:
    tap = ScriptedTap()
    connection, stream = tap.execute()
    tap.down(connection, stream, operation("main/c-1", 4, error=status_pb2.Status(code=13, message="boom")))
    updated = of_stream(tap)[1]
    assert isinstance(updated, OperationUpdated)
    assert updated.outcome == Outcome(status_code=13, status_message="boom")


def test_done_is_completed_even_where_nothing_else_is_said() -> None:
    tap = ScriptedTap()
    connection, stream = tap.execute()
    tap.down(connection, stream, longrunning_pb2.Operation(name="main/c-1", done=True))
    updated = of_stream(tap)[1]
    assert updated == OperationUpdated(tap.unix_ns, StreamId("run-1", 1, 3), "main/c-1", Stage.COMPLETED, None, Outcome())


def test_wait_execution_follows_by_name() -> None:
    tap = ScriptedTap()
    connection = tap.open()
    tap.call(connection, 5, WAIT)
    tap.up(connection, 5, reapi.WaitExecutionRequest(name="main/c-1"))
    tap.down(connection, 5, operation("main/c-1", 3))
    tap.close_call(connection, 5, 5, "not found")
    waiting, updated, left = of_stream(tap)
    assert isinstance(waiting, WaitRequested)
    assert waiting.name == "main/c-1"
    assert isinstance(updated, OperationUpdated)
    assert left == FollowerLeft(tap.unix_ns, StreamId("run-1", 1, 5), 5, "not found")


def test_a_call_that_ended_before_its_request_was_never_anybody() -> None:
    tap = ScriptedTap()
    connection = tap.open()
    tap.call(connection, 5, WAIT)
    tap.close_call(connection, 5, None)
    assert of_stream(tap) == []


def test_a_message_that_does_not_parse_is_told_and_the_stream_goes_on() -> None:
    tap = ScriptedTap()
    connection, stream = tap.execute()
    tap.down(connection, stream, b"\xff\xff")
    tap.down(connection, stream, operation("main/c-1", 3))
    assert [type(event) for event in of_stream(tap)] == [ExecuteRequested, MessageUnread, OperationUpdated]


def test_a_message_that_the_tap_left_out_is_told_with_its_size() -> None:
    tap = ScriptedTap()
    connection, stream = tap.execute()
    left_out = tap_pb2.Message(direction=tap_pb2.Message.TO_CLIENT, omitted=tap_pb2.Message.TOO_LARGE, omitted_length=5_000_000)
    tap.add(connection=connection, stream=stream, message=left_out)
    assert of_stream(tap)[1] == MessageUnread(tap.unix_ns, StreamId("run-1", 1, 3), "too large, 5000000 bytes")

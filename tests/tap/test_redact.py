from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any
from hypothesis import given
from hypothesis import strategies as st

from gateway.pb import longrunning_pb2, remote_execution_pb2, worker_api_pb2
from gateway.tap import redact as module
from gateway.tap.redact import EXECUTE_RESULT, OPERATION, UPDATE_FOR_SCHEDULER, TooManyFieldsError, redact
from gateway.tap.wire import MalformedError

_SECRET = b"SECRET"


def _response(secret: bytes = _SECRET) -> remote_execution_pb2.ExecuteResponse:
    response = remote_execution_pb2.ExecuteResponse(cached_result=True, message="kept")
    result = response.result
    result.exit_code = 3
    result.stdout_raw = secret
    result.stderr_raw = secret
    result.stdout_digest.hash = "out"
    result.execution_metadata.worker = "w"
    for path in ("a", "b"):
        result.output_files.add(path=path, contents=secret, is_executable=True)
    return response


def _expected() -> remote_execution_pb2.ExecuteResponse:
    response = _response(b"")
    for file in response.result.output_files:
        file.ClearField("contents")
    return response


def _operation(response: remote_execution_pb2.ExecuteResponse) -> longrunning_pb2.Operation:
    operation = longrunning_pb2.Operation(name="main/1", done=True)
    packed = Any()
    packed.Pack(response)
    operation.response.CopyFrom(packed)
    operation.metadata.Pack(remote_execution_pb2.ExecuteOperationMetadata(stage=remote_execution_pb2.ExecutionStage.COMPLETED))
    return operation


def test_an_operation_loses_outputs_and_nothing_else() -> None:
    redacted = redact(_operation(_response()).SerializeToString(), OPERATION)
    assert _SECRET not in redacted
    assert longrunning_pb2.Operation.FromString(redacted) == _operation(_expected())


def test_a_workers_result_loses_outputs_and_nothing_else() -> None:
    update = worker_api_pb2.UpdateForScheduler()
    update.execute_result.operation_id = "o"
    update.execute_result.execute_response.CopyFrom(_response())
    redacted = redact(update.SerializeToString(), UPDATE_FOR_SCHEDULER)
    update.execute_result.execute_response.CopyFrom(_expected())
    assert worker_api_pb2.UpdateForScheduler.FromString(redacted) == update


def test_a_result_of_an_older_release_loses_outputs_and_nothing_else() -> None:
    result = worker_api_pb2.LegacyExecuteResult(worker_id="w", operation_id="o", execute_response=_response())
    redacted = redact(result.SerializeToString(), EXECUTE_RESULT)
    assert worker_api_pb2.LegacyExecuteResult.FromString(redacted) == worker_api_pb2.LegacyExecuteResult(
        worker_id="w", operation_id="o", execute_response=_expected()
    )


def test_an_internal_error_stays_as_it_is() -> None:
    update = worker_api_pb2.UpdateForScheduler()
    update.execute_result.internal_error.code = 13
    update.execute_result.internal_error.message = "why"
    update.execute_result.resource_usage.peak_memory_kb = 5
    message = update.SerializeToString()
    assert redact(message, UPDATE_FOR_SCHEDULER) is message


def test_the_same_object_comes_back_when_there_is_nothing_to_take_out() -> None:
    message = _operation(_expected()).SerializeToString()
    assert redact(message, OPERATION) is message


def test_unknown_fields_stay() -> None:
    message = _operation(_response()).SerializeToString() + b"\xfa\x3e\x02hi"
    assert redact(message, OPERATION).endswith(b"\xfa\x3e\x02hi")


def test_outputs_are_found_in_every_occurrence_of_a_field() -> None:
    message = _operation(_response()).SerializeToString()
    assert _SECRET not in redact(message + message, OPERATION)


def test_an_outputs_field_of_another_type_is_taken_out_too() -> None:
    # result (1) { field 5 as a varint }, inside ExecuteResponse, inside Any, inside Operation.
    message = b"\x2a\x06\x12\x04\x0a\x02\x28\x01"
    assert redact(message, OPERATION) == b"\x2a\x04\x12\x02\x0a\x00"


@pytest.mark.parametrize("cut", [1, 5, 20, 60])
def test_what_cannot_be_walked_is_malformed(cut: int) -> None:
    message = _operation(_response()).SerializeToString()
    with pytest.raises(MalformedError):
        redact(message[:-cut], OPERATION)


def test_of_very_many_files_those_over_the_bound_are_taken_out_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FIELDS_WITH_FILES", 100)
    response = _response()
    for number in range(200):
        response.result.output_files.add(path=str(number), contents=_SECRET)
    redacted = redact(_operation(response).SerializeToString(), OPERATION)
    assert _SECRET not in redacted
    read = remote_execution_pb2.ExecuteResponse()
    longrunning_pb2.Operation.FromString(redacted).response.Unpack(read)
    assert 0 < len(read.result.output_files) < 100
    assert read.result.exit_code == 3
    assert read.result.execution_metadata.worker == "w"


def test_a_message_of_nothing_but_fields_is_not_walked_to_its_end() -> None:
    with pytest.raises(TooManyFieldsError):
        redact(b"\x08\x00" * (module.MAX_FIELDS + 1), OPERATION)


@given(st.binary(max_size=200))
def test_any_bytes_are_redacted_or_malformed(message: bytes) -> None:
    for plan in (OPERATION, UPDATE_FOR_SCHEDULER, EXECUTE_RESULT):
        try:
            redacted = redact(message, plan)
        except MalformedError:
            continue
        assert redact(redacted, plan) == redacted

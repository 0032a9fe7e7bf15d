"""Messages of the two tapped services as the values of the model: protobuf in, identities, outcomes and metadata out.

Pure functions. Payloads that do not parse raise `DecodeError`; whoever calls turns that into `MessageUnread`.
"""

from __future__ import annotations

from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from gateway.model.events import Outcome, RequestMetadata, Stage
from gateway.model.identity import ActionKey, Digest, Properties, function_by_hash_length
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import status_pb2, worker_api_pb2
from gateway.words import shared

_SECOND = 1_000_000_000
#: Larger messages are not remembered for the sake of others that are equal.
_SHARED_BYTES = 8 * 1024

_STAGES = {
    reapi.ExecutionStage.CACHE_CHECK: Stage.CACHE_CHECK,
    reapi.ExecutionStage.QUEUED: Stage.QUEUED,
    reapi.ExecutionStage.EXECUTING: Stage.EXECUTING,
    reapi.ExecutionStage.COMPLETED: Stage.COMPLETED,
}

#: REAPI numbers of digest functions -> the names that the model uses.
_FUNCTIONS = {number: name.lower() for name, number in reapi.DigestFunction.Value.items() if number}
_FUNCTION_NUMBERS = {name: number for number, name in _FUNCTIONS.items()}


def unix_ns(timestamp: Timestamp) -> int:
    """Unix nanoseconds, exactly: never through a float."""
    return timestamp.seconds * _SECOND + timestamp.nanos


def stage(number: int) -> Stage:
    """A number that REAPI does not name is `UNKNOWN`."""
    return _STAGES.get(number, Stage.UNKNOWN)  # type: ignore[call-overload, no-any-return]  # open enum: any number may come


def function_number(function: str) -> reapi.DigestFunction.Value.ValueType:
    """The REAPI number of a function; UNKNOWN for one that REAPI does not name."""
    return reapi.DigestFunction.Value.ValueType(_FUNCTION_NUMBERS.get(function, 0))


def digest(message: reapi.Digest, function: int = 0) -> Digest:
    """With the function that the request names; where it names none, or an unknown one, told by hash length (facts 7)."""
    hash_ = shared(message.hash.lower())
    name = _FUNCTIONS.get(function) or function_by_hash_length(hash_)  # type: ignore[call-overload]  # open enum, as above
    return Digest(name, hash_, message.size_bytes)


def action_key(request: reapi.ExecuteRequest) -> ActionKey:
    """What both halves of an operation carry; the digest function is normalised, so that absent and SHA256 are one."""
    instance_name, action = shared(request.instance_name), digest(request.action_digest, request.digest_function)
    return ActionKey(instance_name, action, not request.skip_cache_lookup)


def properties(message: reapi.Platform | worker_api_pb2.ConnectWorkerRequest) -> Properties:
    """Names and values in the order of the wire, repeats included."""
    found = tuple([(each.name, each.value) for each in message.properties])
    return _shared_properties(found) if message.ByteSize() <= _SHARED_BYTES else found


@lru_cache(maxsize=1_000)
def _shared_properties(found: Properties) -> Properties:
    """One object for all that are equal, as those of thousands of operations are."""
    return found


def request_metadata(payload: bytes) -> RequestMetadata | None:
    """A RequestMetadata header; None where none was sent.

    Raises:
        google.protobuf.message.DecodeError: it is none.
    """
    if not payload:
        return None
    message = reapi.RequestMetadata.FromString(payload)
    return RequestMetadata(
        # Shared is what many requests of a build have in common, and what the action is named by.
        tool_name=shared(message.tool_details.tool_name),
        tool_version=shared(message.tool_details.tool_version),
        action_id=shared(message.action_id),
        tool_invocation_id=shared(message.tool_invocation_id),
        correlated_invocations_id=shared(message.correlated_invocations_id),
        action_mnemonic=shared(message.action_mnemonic),
        target_id=shared(message.target_id),
        configuration_id=shared(message.configuration_id),
    )


def outcome(response: reapi.ExecuteResponse, usage: worker_api_pb2.ActionResourceUsage | None = None) -> Outcome:
    """How an execution ended, with what a worker says it used."""
    exit_code = queued_at = None
    if response.HasField("result"):
        result = response.result
        exit_code = result.exit_code
        if result.HasField("execution_metadata"):
            metadata = result.execution_metadata
            queued_at = unix_ns(metadata.queued_timestamp) if metadata.HasField("queued_timestamp") else None
    status = response.status
    return Outcome(
        status_code=status.code,
        status_message=status.message,
        exit_code=exit_code,
        cached=response.cached_result,
        queued_at=queued_at,
        peak_memory_kb=_sampled(usage, usage.peak_memory_kb) if usage else None,
        cpu_time_ms=_sampled(usage, usage.cpu_time_ms) if usage else None,
    )


def failure(status: status_pb2.Status, *, internal: bool, usage: worker_api_pb2.ActionResourceUsage | None = None) -> Outcome:
    """An ending that is an error and nothing else; `internal`: a worker's, which the scheduler tries elsewhere."""
    return Outcome(
        status_code=status.code,
        status_message=status.message,
        internal_error=internal,
        peak_memory_kb=_sampled(usage, usage.peak_memory_kb) if usage else None,
        cpu_time_ms=_sampled(usage, usage.cpu_time_ms) if usage else None,
    )


def _sampled(usage: worker_api_pb2.ActionResourceUsage, number: int) -> int | None:
    """Zero of something that was not sampled is not known (facts 2)."""
    return number if usage.sampled or number else None

"""What a worker of release 1.6.6 reports. In: what it was given, what its command did and when. Out: its ExecuteResult."""

from __future__ import annotations

from typing import NamedTuple

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.cas import digest_of
from gateway.simulation.playbook import Run

#: google.rpc code of a result that the scheduler asked to end, and the exit code of a killed command (recording `client_gone`).
_ABORTED = 10
_KILLED = 9


class Times(NamedTuple):
    """Unix nanoseconds."""

    started: int
    executed: int
    #: Results are uploaded.
    ended: int


def failed(start: worker_api.StartExecute, run: Run) -> worker_api.UpdateForScheduler:
    """The worker could not run it."""
    result = _result(start)
    result.internal_error.code = run.internal_error_code
    result.internal_error.message = run.internal_error_message
    return worker_api.UpdateForScheduler(execute_result=result)


def executed(start: worker_api.StartExecute) -> worker_api.UpdateForScheduler:
    """The command has ended, its results are not uploaded yet."""
    complete = worker_api.ExecuteComplete(operation_id=start.operation_id)
    return worker_api.UpdateForScheduler(execute_complete=complete)


def finished(start: worker_api.StartExecute, run: Run, times: Times, *, was_killed: bool = False) -> worker_api.UpdateForScheduler:
    """The command has ended, with whatever exit code."""
    result = _result(start)
    _fill(result.execute_response, start, run, times, was_killed=was_killed)
    if run.peak_memory_kb:
        usage = result.resource_usage
        usage.peak_memory_kb, usage.sampled = run.peak_memory_kb, True
        usage.operation_id, usage.worker_id = start.operation_id, start.worker_id
    return worker_api.UpdateForScheduler(execute_result=result)


def _result(start: worker_api.StartExecute) -> worker_api.ExecuteResult:
    return worker_api.ExecuteResult(instance_name=start.execute_request.instance_name, operation_id=start.operation_id)


def _fill(
    response: remote_execution.ExecuteResponse,
    start: worker_api.StartExecute,
    run: Run,
    times: Times,
    *,
    was_killed: bool,
) -> None:
    """Status and both output digests are always there (nativelink-facts 7)."""
    response.status.SetInParent()
    result = response.result
    if was_killed:
        response.status.code, response.status.message = _ABORTED, "Command was killed by scheduler"
        result.exit_code = _KILLED
    else:
        response.status.code, response.status.message = run.status_code, run.status_message
        result.exit_code = run.exit_code
        for path, contents in run.outputs:
            result.output_files.add(path=path, digest=digest_of(contents))
    result.stdout_digest.CopyFrom(digest_of(run.stdout))
    result.stderr_digest.CopyFrom(digest_of(run.stderr))
    metadata = result.execution_metadata
    metadata.worker = start.worker_id
    metadata.queued_timestamp.CopyFrom(start.queued_timestamp)
    for timestamp in (
        metadata.worker_start_timestamp,
        metadata.input_fetch_start_timestamp,
        metadata.input_fetch_completed_timestamp,
        metadata.execution_start_timestamp,
    ):
        timestamp.FromNanoseconds(times.started)
    for timestamp in (metadata.execution_completed_timestamp, metadata.output_upload_start_timestamp):
        timestamp.FromNanoseconds(times.executed)
    for timestamp in (metadata.output_upload_completed_timestamp, metadata.worker_completed_timestamp):
        timestamp.FromNanoseconds(times.ended)

"""ExecuteResponses that the scheduler writes itself, and its fixed messages. Shapes are those of the recordings."""

from __future__ import annotations

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import status_pb2 as status
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.operations import Operation

DISCONNECT = worker_api.UpdateForWorker()
DISCONNECT.disconnect.SetInParent()

#: NativeLink's exit code of an action that never ran (recording `failures`).
_NEVER_RAN = -178

_TIMESTAMPS = tuple(
    name for name in remote_execution.ExecutedActionMetadata.DESCRIPTOR.fields_by_name if name.endswith("_timestamp")
)


def cached(result: remote_execution.ActionResult) -> remote_execution.ExecuteResponse:
    """A result of the action cache, with the execution metadata of the older run."""
    response = remote_execution.ExecuteResponse(result=result, cached_result=True)
    response.status.SetInParent()
    return response


def exhausted(operation: Operation, error: status.Status, max_job_retries: int) -> remote_execution.ExecuteResponse:
    """The end of an operation that was tried too often: the last error, and metadata without a single time."""
    worker = f"Some({operation.worker_id})" if operation.worker_id else "None"
    response = remote_execution.ExecuteResponse()
    response.status.code = error.code
    response.status.message = (
        f"{error.message} : --- : Job cancelled because it attempted to execute too many times {operation.attempts} > "
        f"{max_job_retries} times for operation_id: {operation.id}, maybe_worker_id: {worker}"
    )
    response.result.exit_code = _NEVER_RAN
    response.result.stdout_digest.hash = response.result.stderr_digest.hash = "0" * 64
    metadata = response.result.execution_metadata
    metadata.worker = operation.worker_id or ""
    for name in _TIMESTAMPS:
        getattr(metadata, name).SetInParent()
    return response


def is_success(response: remote_execution.ExecuteResponse) -> bool:
    """Whether an action cache would keep it."""
    return response.status.code == 0 and response.result.exit_code == 0

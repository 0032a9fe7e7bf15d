"""Which message a payload is: method and direction in, message class out (nativelink-facts 2, 3 and the end of 7)."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.observe.worker_api import is_bare_registration
from gateway.pb import longrunning_pb2, tap_pb2, worker_api_pb2
from gateway.pb import remote_execution_pb2 as reapi

_EXECUTION = "/build.bazel.remote.execution.v2.Execution/"
_WORKER_API = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/"

#: Method -> (to the server, to the client).
METHODS: Mapping[str, tuple[type[Message], type[Message]]] = {
    _EXECUTION + "Execute": (reapi.ExecuteRequest, longrunning_pb2.Operation),
    _EXECUTION + "WaitExecution": (reapi.WaitExecutionRequest, longrunning_pb2.Operation),
    _WORKER_API + "ConnectWorker": (worker_api_pb2.UpdateForScheduler, worker_api_pb2.UpdateForWorker),
    _WORKER_API + "KeepAlive": (worker_api_pb2.KeepAliveRequest, Empty),
    _WORKER_API + "GoingAway": (worker_api_pb2.GoingAwayRequest, Empty),
    _WORKER_API + "ExecutionResponse": (worker_api_pb2.LegacyExecuteResult, Empty),
}


class Methods:
    """Remembers the method of every open stream."""

    def __init__(self) -> None:
        #: Connection -> stream -> method
        self._methods: dict[int, dict[int, str]] = {}

    def follow(self, record: tap_pb2.TapRecord) -> str:
        """Takes the next record; the method of its stream, "" where there is none or it is not known."""
        match record.WhichOneof("record"):
            case "run_started" | "state_begin":
                self._methods.clear()
            case "stream_opened":
                self._methods.setdefault(record.connection, {})[record.stream] = record.stream_opened.method
            case "open_stream" if record.stream:
                self._methods.setdefault(record.connection, {})[record.stream] = record.open_stream.stream_opened.method
            case "stream_closed":
                return self._methods.get(record.connection, {}).pop(record.stream, "")
            case "connection_closed":
                self._methods.pop(record.connection, None)
            case _:
                pass
        return self._methods.get(record.connection, {}).get(record.stream, "")


def message_class(method: str, direction: tap_pb2.Message.Direction.ValueType, payload: bytes) -> type[Message] | None:
    """The class of a payload; None: not known."""
    classes = METHODS.get(method)
    if classes is None or direction not in {tap_pb2.Message.TO_SERVER, tap_pb2.Message.TO_CLIENT}:
        return None
    found = classes[0] if direction == tap_pb2.Message.TO_SERVER else classes[1]
    # Before release 0.7.4 a worker registers with the bare request.
    if found is worker_api_pb2.UpdateForScheduler and is_bare_registration(payload):
        return worker_api_pb2.ConnectWorkerRequest
    return found

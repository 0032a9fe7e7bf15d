"""Execute and WaitExecution streams as events: a client's request, the scheduler's updates, the follower's leaving.

A stream whose request was not seen (lost in a gap, too large) is told as a WaitExecution by the name in its first update: that is
all that is known of it, and exactly what a WaitExecution knows.
"""

from __future__ import annotations

from gateway.model.events import Event, ExecuteRequested, FollowerLeft, OperationUpdated, Outcome, Stage, WaitRequested
from gateway.observe import decoding
from gateway.observe.cacheability import Cacheability
from gateway.observe.calls import Origin, status_code
from gateway.observe.schedulers import Schedulers
from gateway.pb import longrunning_pb2, tap_pb2
from gateway.pb import remote_execution_pb2 as reapi

_SERVICE = "/build.bazel.remote.execution.v2.Execution/"
EXECUTE = _SERVICE + "Execute"
WAIT_EXECUTION = _SERVICE + "WaitExecution"


class ExecutionCall:
    """One Execute or WaitExecution stream."""

    __slots__ = ("_cacheability", "_done", "_named", "_origin", "_schedulers", "_stream", "_waits", "foreign")

    def __init__(self, origin: Origin, *, waits: bool, schedulers: Schedulers, cacheability: Cacheability) -> None:
        self._stream = origin.stream
        #: None: the model was told of the request, and with it of this.
        self._origin: Origin | None = origin
        self._waits = waits
        self._schedulers = schedulers
        self._cacheability = cacheability
        #: The request named the action, and updates say nothing new of it.
        self._named = False
        #: The update with `done` came.
        self._done = False
        self.foreign = ""

    def to_server(self, at: int, payload: bytes) -> list[Event]:
        """The request."""
        origin = self._origin
        if origin is None:
            return []
        if self._waits:
            return self._waiting(at, origin, reapi.WaitExecutionRequest.FromString(payload).name)
        request = reapi.ExecuteRequest.FromString(payload)
        self.foreign = self._schedulers.other(request.instance_name)
        if self.foreign:
            return []
        key = self._cacheability.requested(at, decoding.action_key(request))
        self._named, self._origin = True, None
        return [
            ExecuteRequested(
                at, origin.stream, key, request.execution_policy.priority, origin.metadata, origin.peer, origin.user_agent
            )
        ]

    def to_client(self, at: int, payload: bytes) -> list[Event]:
        """An update. With `done` it carries the outcome."""
        operation = longrunning_pb2.Operation.FromString(payload)
        metadata = reapi.ExecuteOperationMetadata.FromString(operation.metadata.value)
        outcome = _outcome(operation) if operation.done else None
        events = self._waiting(at, self._origin, operation.name) if self._origin is not None else []
        if self.foreign:
            return []
        # An operation that is done is completed, even where a scheduler leaves the metadata of the last message out.
        stage = Stage.COMPLETED if operation.done else decoding.stage(metadata.stage)
        digest = None
        if not self._named and metadata.HasField("action_digest"):
            digest = decoding.digest(metadata.action_digest)
        events.append(OperationUpdated(at, self._stream, operation.name, stage, digest, outcome))
        self._done = self._done or operation.done
        return events

    def kept_alive(self, at: int, last_at: int, count: int) -> list[Event]:  # noqa: ARG002 - clients send none
        """Nothing: only workers send keep-alives."""
        return []

    def restored(self, at: int, opened_at: int, last_keep_alive_at: int | None, state: tap_pb2.OpenStream) -> list[Event]:  # noqa: ARG002 - workers only
        """The request where it was not known, and the latest update."""
        events: list[Event] = []
        if not self.foreign and state.first_to_server:
            events += self.to_server(opened_at, state.first_to_server)
        if not self._done and state.HasField("latest_to_client"):
            events += self.to_client(at, state.latest_to_client)
        return events

    def closed(self, at: int, closed: tap_pb2.StreamClosed) -> list[Event]:
        """The follower left, if the model knows of it."""
        if self._origin is not None:
            return []
        return [FollowerLeft(at, self._stream, status_code(closed), closed.message)]

    def _waiting(self, at: int, origin: Origin, name: str) -> list[Event]:
        self.foreign = self._schedulers.other(name.rpartition("/")[0])
        if self.foreign:
            return []
        self._origin = None
        return [WaitRequested(at, origin.stream, name, origin.metadata, origin.peer, origin.user_agent)]


def _outcome(operation: longrunning_pb2.Operation) -> Outcome:
    match operation.WhichOneof("result"):
        case "response":
            return decoding.outcome(reapi.ExecuteResponse.FromString(operation.response.value))
        case "error":
            return decoding.failure(operation.error, internal=False)
        case None:
            return Outcome()

"""WorkerApi calls as events: registration, keep-alives, assignments, results, the end of a worker's stream.

Two generations (nativelink-facts 2 and the end of 7). Since 0.7.4 one ConnectWorker stream carries everything, each message to the
scheduler wrapped in UpdateForScheduler. Before, ConnectWorker takes one bare ConnectWorkerRequest and three unary calls name the
worker. Which it is shows in the first message: see `is_bare_registration`.
"""

from __future__ import annotations

from typing import assert_never

from google.protobuf.message import DecodeError

from gateway.model.events import (
    DisconnectSent,
    Event,
    ExecutionCompleted,
    KillRequested,
    OperationAssigned,
    Outcome,
    ResultReported,
    WorkerConnected,
    WorkerKeptAlive,
    WorkerLeaving,
    WorkerRefused,
    WorkerStreamEnded,
)
from gateway.model.identity import Properties
from gateway.observe import decoding
from gateway.observe.cacheability import Cacheability
from gateway.observe.calls import Origin, status_code
from gateway.pb import tap_pb2
from gateway.pb import worker_api_pb2 as api
from gateway.words import shared

_SERVICE = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/"
CONNECT_WORKER = _SERVICE + "ConnectWorker"
KEEP_ALIVE = _SERVICE + "KeepAlive"
GOING_AWAY = _SERVICE + "GoingAway"
EXECUTION_RESPONSE = _SERVICE + "ExecutionResponse"

#: How a Property begins on the wire: the tags of its fields 1 and 2, both length-delimited.
_PROPERTY_TAGS = "\x0a\x12"


class UnplacedError(Exception):
    """A message that parses and belongs nowhere; its text says why."""


def is_bare_registration(payload: bytes) -> bool:
    r"""Whether the first message of ConnectWorker is a ConnectWorkerRequest itself (before 0.7.4), not an UpdateForScheduler.

    Both begin with field 1. In an UpdateForScheduler that is a ConnectWorkerRequest, so what a bare reading takes for a
    property's *name* is an encoded Property: it begins with the tag of one of its two fields (line feed or `\x12`), is empty (no
    properties), or is no text at all. No property is called like that. A bare request without properties is empty or has a
    prefix; whatever else lacks field 1 is an UpdateForScheduler of another kind, on a stream whose first message was lost.
    """
    try:
        request = api.ConnectWorkerRequest.FromString(payload)
    except DecodeError:
        return False
    if not request.properties:
        return not payload or bool(request.worker_id_prefix)
    name = request.properties[0].name
    return bool(name) and name[0] not in _PROPERTY_TAGS


class WorkerCall:
    """One ConnectWorker stream."""

    __slots__ = ("_bare", "_cacheability", "_origin", "_registration", "_worker_id", "foreign")

    def __init__(self, origin: Origin, cacheability: Cacheability) -> None:
        self._origin = origin
        self._cacheability = cacheability
        #: Properties, id prefix and max_inflight_tasks; None: not seen.
        self._registration: tuple[Properties, str, int] | None = None
        #: The stream is of a release before 0.7.4.
        self._bare = False
        #: Empty: the scheduler has not said it yet.
        self._worker_id = ""
        self.foreign = ""

    def to_server(self, at: int, payload: bytes) -> list[Event]:
        """The registration, later results and good-byes."""
        if self._registration is None and not self._worker_id and is_bare_registration(payload):
            self._register(api.ConnectWorkerRequest.FromString(payload))
            self._bare = True
            return []
        update = api.UpdateForScheduler.FromString(payload)
        kind = update.WhichOneof("update")
        if kind == "connect_worker_request":
            self._register(update.connect_worker_request)
            return []
        if kind is None:
            raise UnplacedError("an UpdateForScheduler of an unknown kind")
        worker_id = self._named()
        match kind:
            case "keep_alive_request":
                return [WorkerKeptAlive(at, worker_id, at, 1)]
            case "going_away_request":
                return [WorkerLeaving(at, worker_id)]
            case "execute_result":
                result = update.execute_result
                return [ResultReported(at, worker_id, result.operation_id, _outcome(result))]
            case "execute_complete":
                return [ExecutionCompleted(at, worker_id, update.execute_complete.operation_id)]
            case _:
                assert_never(kind)

    def to_client(self, at: int, payload: bytes) -> list[Event]:
        """The worker's id, later assignments and orders."""
        update = api.UpdateForWorker.FromString(payload)
        kind = update.WhichOneof("update")
        match kind:
            case "connection_result":
                return self._connected(at, update.connection_result.worker_id)
            case "keep_alive":
                return []
            case "start_action":
                return self._assigned(at, update.start_action)
            case "disconnect":
                return [DisconnectSent(at, self._named())]
            case "kill_operation_request":
                return [KillRequested(at, self._named(), update.kill_operation_request.operation_id)]
            case None:
                raise UnplacedError("an UpdateForWorker of an unknown kind")
            case _:
                assert_never(kind)

    def kept_alive(self, at: int, last_at: int, count: int) -> list[Event]:
        """The scheduler's measure of a worker's life."""
        return [WorkerKeptAlive(at, self._worker_id, last_at, count)] if self._worker_id else []

    def restored(self, at: int, opened_at: int, last_keep_alive_at: int | None, state: tap_pb2.OpenStream) -> list[Event]:
        """The worker where it was not known, and its last keep-alive."""
        events: list[Event] = []
        if not self._worker_id:
            if self._registration is None and state.first_to_server:
                events += self.to_server(opened_at, state.first_to_server)
            if state.HasField("first_to_client"):
                events += self.to_client(opened_at, state.first_to_client)
        if last_keep_alive_at is not None:
            events += self.kept_alive(at, last_keep_alive_at, 1)
        return events

    def closed(self, at: int, closed: tap_pb2.StreamClosed) -> list[Event]:
        """The worker is gone, or was refused.

        Refused is a registration that the scheduler itself ended, by trailers or reset; one whose connection just went away was
        not.
        """
        if self._worker_id:
            return [WorkerStreamEnded(at, self._worker_id, status_code(closed), closed.message)]
        if not closed.HasField("grpc_status") and closed.reset_direction != tap_pb2.Message.TO_CLIENT:
            return []
        properties, prefix, _ = self._registered()
        origin = self._origin
        return [WorkerRefused(at, origin.stream, properties, prefix, origin.peer, status_code(closed), closed.message)]

    def _registered(self) -> tuple[Properties | None, str, int | None]:
        return self._registration if self._registration is not None else (None, "", None)

    def _register(self, request: api.ConnectWorkerRequest) -> None:
        self._registration = decoding.properties(request), shared(request.worker_id_prefix), request.max_inflight_tasks

    def _connected(self, at: int, worker_id: str) -> list[Event]:
        self._worker_id = worker_id
        origin = self._origin
        properties, prefix, max_inflight_tasks = self._registered()
        return [
            WorkerConnected(at, worker_id, origin.stream, properties, prefix, max_inflight_tasks, origin.peer, origin.user_agent)
        ]

    def _assigned(self, at: int, start: api.StartExecute) -> list[Event]:
        events: list[Event] = []
        if not self._worker_id and start.worker_id:
            # The ConnectionResult was lost; the scheduler names the worker here again.
            events += self._connected(at, start.worker_id)
        key = decoding.action_key(start.execute_request)
        if self._bare:
            key = self._cacheability.resolve(at, key)
        queued_at = decoding.unix_ns(start.queued_timestamp) if start.HasField("queued_timestamp") else None
        platform = decoding.properties(start.platform)
        events.append(OperationAssigned(at, self._named(), start.operation_id, key, queued_at, platform))
        return events

    def _named(self) -> str:
        if not self._worker_id:
            raise UnplacedError("the worker's id was not seen")
        return self._worker_id


class LegacyCall:
    """One KeepAlive, GoingAway or ExecutionResponse call of a release before 0.7.4: its request names the worker."""

    __slots__ = ("_method", "foreign")

    def __init__(self, method: str) -> None:
        self._method = method
        self.foreign = ""

    def to_server(self, at: int, payload: bytes) -> list[Event]:
        """The request."""
        if self._method == KEEP_ALIVE:
            return [WorkerKeptAlive(at, api.KeepAliveRequest.FromString(payload).worker_id, at, 1)]
        if self._method == GOING_AWAY:
            return [WorkerLeaving(at, api.GoingAwayRequest.FromString(payload).worker_id)]
        result = api.LegacyExecuteResult.FromString(payload)
        return [ResultReported(at, result.worker_id, result.operation_id, _outcome(result))]

    def to_client(self, at: int, payload: bytes) -> list[Event]:  # noqa: ARG002 - Empty
        """Nothing: the answer is Empty."""
        return []

    def kept_alive(self, at: int, last_at: int, count: int) -> list[Event]:  # noqa: ARG002 - never coalesced
        """Nothing: here keep-alives are calls."""
        return []

    def restored(self, at: int, opened_at: int, last_keep_alive_at: int | None, state: tap_pb2.OpenStream) -> list[Event]:  # noqa: ARG002 - keeps no state
        """Nothing: such a call is over as soon as it is made."""
        return []

    def closed(self, at: int, closed: tap_pb2.StreamClosed) -> list[Event]:  # noqa: ARG002 - as above
        """Nothing: the worker's life is its ConnectWorker stream."""
        return []


def _outcome(result: api.ExecuteResult | api.LegacyExecuteResult) -> Outcome:
    usage = None
    if isinstance(result, api.ExecuteResult) and result.HasField("resource_usage"):
        usage = result.resource_usage
    kind = result.WhichOneof("result")
    match kind:
        case "execute_response":
            return decoding.outcome(result.execute_response, usage)
        case "internal_error":
            return decoding.failure(result.internal_error, internal=True, usage=usage)
        case None:
            raise UnplacedError("an ExecuteResult without a result")
        case _:
            assert_never(kind)

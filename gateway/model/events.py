"""What happened, as the model is told it: frozen, past tense, each with the time it happened.

Times (`at` and every other) are Unix nanoseconds taken from records; the model reads no clock. `at` never decreases in a
sequence of events; where it would, the model clamps it. Events carry only what was on the wire (nativelink-facts 2, 3, 7).

Order between events of different connections is not causal; order within one connection is.
"""

from __future__ import annotations

from enum import Enum

from gateway.model.identity import ActionKey, ConnectionId, Digest, Properties, StreamId
from gateway.model.value import value


class Stage(Enum):
    """REAPI ExecutionStage; the value is the word of the documented JSON."""

    UNKNOWN = "Unknown"
    CACHE_CHECK = "CacheCheck"
    QUEUED = "Queued"
    EXECUTING = "Executing"
    COMPLETED = "Completed"

    # Members are singletons: identity is as good as the name, and every event looks several up.
    __hash__ = object.__hash__


@value
class Event:
    """Anything that happened."""

    #: Unix nanoseconds.
    at: int


@value
class RequestMetadata:
    """REAPI RequestMetadata of a request; empty strings were not sent."""

    tool_name: str = ""
    tool_version: str = ""
    action_id: str = ""
    tool_invocation_id: str = ""
    correlated_invocations_id: str = ""
    action_mnemonic: str = ""
    target_id: str = ""
    configuration_id: str = ""


@value
class Outcome:
    """How an execution ended: REAPI ExecuteResponse, or a worker's `internal_error`."""

    #: google.rpc.Code; 0 is OK.
    status_code: int = 0
    status_message: str = ""
    #: A worker's `internal_error`: the operation is requeued, not completed.
    internal_error: bool = False
    #: None: the response carries no ActionResult.
    exit_code: int | None = None
    #: ExecuteResponse.cached_result: the timestamps belong to an older run.
    cached: bool = False
    #: `execution_metadata.queued_timestamp`, Unix nanoseconds, exactly as sent; None: no metadata.
    queued_at: int | None = None
    #: What only a worker says.
    peak_memory_kb: int | None = None
    cpu_time_ms: int | None = None

    def says(self, told: Outcome) -> bool:
        """Whether it says everything that a client was told."""
        return (
            self.queued_at == told.queued_at
            and self.exit_code == told.exit_code
            and self.status_code == told.status_code
            and self.status_message == told.status_message
            and self.cached == told.cached
            and self.internal_error == told.internal_error
        )


# --- the clients' side: Execution -------------------------------------------------------------------------------------


@value
class ExecuteRequested(Event):
    """A client called Execute and its request was read."""

    stream: StreamId
    key: ActionKey
    priority: int
    metadata: RequestMetadata | None
    #: host:port.
    peer: str
    user_agent: str


@value
class WaitRequested(Event):
    """A client called WaitExecution."""

    stream: StreamId
    #: Operation.name: `{instance_name}/{client_operation_id}`.
    name: str
    metadata: RequestMetadata | None
    peer: str
    user_agent: str


@value
class OperationUpdated(Event):
    """The scheduler sent an Operation on a client's stream."""

    stream: StreamId
    #: Operation.name: `{instance_name}/{client_operation_id}`.
    name: str
    stage: Stage
    #: ExecuteOperationMetadata.action_digest, its function told by length; None: not sent, or the request named it.
    digest: Digest | None
    #: Set when `done`.
    outcome: Outcome | None


@value
class FollowerLeft(Event):
    """An Execute or WaitExecution stream ended: after `done`, cancelled, refused, or its connection went away."""

    stream: StreamId
    #: grpc-status of the trailers; None: there were none.
    status_code: int | None
    status_message: str = ""


# --- the workers' side: WorkerApi -------------------------------------------------------------------------------------


@value
class WorkerConnected(Event):
    """The scheduler answered a registration with a worker id."""

    worker_id: str
    stream: StreamId
    #: None: the registration itself was not seen (it is older than the tap, or was lost).
    properties: Properties | None
    id_prefix: str
    #: 0: unlimited. None: the registration was not seen.
    max_inflight_tasks: int | None
    peer: str
    user_agent: str


@value
class WorkerRefused(Event):
    """A registration ended without a worker id."""

    stream: StreamId
    properties: Properties | None
    id_prefix: str
    peer: str
    #: None: the stream ended without trailers.
    status_code: int | None
    status_message: str


@value
class WorkerKeptAlive(Event):
    """A worker sent keep-alives, the last of them at `last_at` (at most `at`)."""

    worker_id: str
    last_at: int
    count: int


@value
class WorkerLeaving(Event):
    """A worker sent going_away_request: the scheduler removes it at once; results may still come."""

    worker_id: str


@value
class OperationAssigned(Event):
    """The scheduler sent StartExecute to a worker."""

    worker_id: str
    operation_id: str
    key: ActionKey
    #: StartExecute.queued_timestamp, Unix nanoseconds, exactly as sent.
    queued_at: int | None
    #: StartExecute.platform: what the scheduler reserved.
    platform: Properties


@value
class KillRequested(Event):
    """The scheduler told a worker to kill an operation."""

    worker_id: str
    operation_id: str


@value
class ExecutionCompleted(Event):
    """A worker sent ExecuteComplete: the command ended, results are being uploaded."""

    worker_id: str
    operation_id: str


@value
class ResultReported(Event):
    """A worker sent ExecuteResult."""

    worker_id: str
    operation_id: str
    outcome: Outcome


@value
class DisconnectSent(Event):
    """The scheduler sent `disconnect` to a worker: an eviction, or the scheduler stops."""

    worker_id: str


@value
class WorkerStreamEnded(Event):
    """A ConnectWorker stream that had got a worker id ended."""

    worker_id: str
    status_code: int | None
    status_message: str = ""


@value
class DrainSet(Event):
    """An admin call that set or cleared draining was answered with success."""

    worker_id: str
    draining: bool


# --- around the streams -----------------------------------------------------------------------------------------------


@value
class ConnectionOpened(Event):
    """A peer connected to a tap."""

    connection: ConnectionId
    #: taps[].name
    listener: str


@value
class ConnectionClosed(Event):
    """A connection through a tap is gone; the ends of its streams were told before."""

    connection: ConnectionId
    #: NativeLink's side ended it first.
    by_upstream: bool


@value
class ConnectRefused(Event):
    """NativeLink did not accept a connection."""

    listener: str


@value
class ActionRead(Event):
    """The CAS answered with the Action of a digest."""

    instance_name: str
    digest: Digest
    command_digest: Digest | None
    input_root_digest: Digest | None
    #: Nanoseconds; None: the action has none.
    timeout: int | None
    #: The Action's own platform; empty: on the Command, or none.
    platform: Properties


@value
class MessageUnread(Event):
    """A message of a tapped call was seen and could not be read: too large, damaged, or of an unknown kind."""

    stream: StreamId
    reason: str


@value
class ReadingStopped(Event):
    """A connection that carries tapped calls is forwarded without being read from here on; its streams are unknown."""

    connection: ConnectionId
    reason: str


@value
class RecordsMissed(Event):
    """Records of a run were lost; what the open streams' own state says follows, then StreamsConfirmed."""

    run: str
    count: int


@value
class StreamsConfirmed(Event):
    """Of this run exactly these streams and connections are open; every other one ended unseen."""

    run: str
    streams: frozenset[StreamId]
    connections: frozenset[ConnectionId]


@value
class RunEnded(Event):
    """A tap's run is over (a new one began): all its streams and connections ended, at the time of its last record."""

    run: str

"""A tap, scripted: each method writes the record that a tap would, numbered and timed as a tap would."""

from __future__ import annotations

from pathlib import Path

from google.protobuf.message import Message as ProtobufMessage

from gateway.config.types import Address, Carries, Config, PropertyType, Scheduler, Tap
from gateway.pb import longrunning_pb2, status_pb2, tap_pb2, worker_api_pb2
from gateway.pb import remote_execution_pb2 as reapi

SECOND = 1_000_000_000
#: Unix time of a scripted tap's beginning.
EPOCH = 1_700_000_000 * SECOND
#: What its monotonic clock shows then.
MONOTONIC = 5_000 * SECOND

EXECUTE = "/build.bazel.remote.execution.v2.Execution/Execute"
WAIT = "/build.bazel.remote.execution.v2.Execution/WaitExecution"
WORKER_API = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/"
CONNECT = WORKER_API + "ConnectWorker"

HASH = "ab" * 32


def config(state_dir: Path = Path("/nonexistent"), **changes: object) -> Config:
    """Two taps in front of one NativeLink."""
    taps = (
        Tap("execution", Address("127.0.0.1", 50151), Address("127.0.0.1", 50051), frozenset({Carries.EXECUTION})),
        Tap("workers", Address("127.0.0.1", 50161), Address("127.0.0.1", 50061), frozenset({Carries.WORKER_API, Carries.ADMIN})),
    )
    values: dict[str, object] = {
        "http": Address("127.0.0.1", 0),
        "scheduler_name": "MAIN_SCHEDULER",
        "taps": taps,
        "cas": None,
        "state_dir": state_dir,
        "scheduler": Scheduler(supported_platform_properties={"cpu_count": PropertyType.MINIMUM}),
    }
    return Config(**{**values, **changes})  # type: ignore[arg-type]  # a test's own words


def execute_request(
    hash_: str = HASH, *, skip: bool = False, priority: int = 0, instance: str = "main", function: int = 0, size: int = 142
) -> reapi.ExecuteRequest:
    """A client's request."""
    return reapi.ExecuteRequest(
        instance_name=instance,
        skip_cache_lookup=skip,
        action_digest=reapi.Digest(hash=hash_, size_bytes=size),
        execution_policy=reapi.ExecutionPolicy(priority=priority) if priority else None,
        digest_function=reapi.DigestFunction.Value.ValueType(function),
    )


def operation(
    name: str,
    stage: int,
    hash_: str = HASH,
    *,
    response: reapi.ExecuteResponse | None = None,
    error: status_pb2.Status | None = None,
    size: int = 142,
) -> longrunning_pb2.Operation:
    """An update for a client; with `response` or `error` it is done."""
    message = longrunning_pb2.Operation(name=name, done=response is not None or error is not None, error=error)
    message.metadata.Pack(
        reapi.ExecuteOperationMetadata(
            stage=reapi.ExecutionStage.Value.ValueType(stage), action_digest=reapi.Digest(hash=hash_, size_bytes=size)
        )
    )
    if response is not None:
        message.response.Pack(response)
    return message


def registration(prefix: str = "w-", slots: int = 0, **properties: str) -> worker_api_pb2.ConnectWorkerRequest:
    """What a worker says of itself."""
    return worker_api_pb2.ConnectWorkerRequest(
        properties=[reapi.Platform.Property(name=name, value=value) for name, value in properties.items()],
        worker_id_prefix=prefix,
        max_inflight_tasks=slots,
    )


def start_action(
    operation_id: str, request: reapi.ExecuteRequest, *, queued_ns: int = 0, worker_id: str = "", **platform: str
) -> worker_api_pb2.UpdateForWorker:
    """An assignment."""
    start = worker_api_pb2.StartExecute(
        execute_request=request,
        operation_id=operation_id,
        worker_id=worker_id,
        platform=reapi.Platform(properties=[reapi.Platform.Property(name=name, value=value) for name, value in platform.items()]),
    )
    if queued_ns:
        start.queued_timestamp.FromNanoseconds(queued_ns)
    return worker_api_pb2.UpdateForWorker(start_action=start)


def connected(worker_id: str) -> worker_api_pb2.UpdateForWorker:
    """The answer to a registration."""
    return worker_api_pb2.UpdateForWorker(connection_result=worker_api_pb2.ConnectionResult(worker_id=worker_id))


def result(operation_id: str, *, exit_code: int = 0, queued_ns: int = 0) -> worker_api_pb2.UpdateForScheduler:
    """A worker's result."""
    response = reapi.ExecuteResponse(result=reapi.ActionResult(exit_code=exit_code))
    if queued_ns:
        response.result.execution_metadata.queued_timestamp.FromNanoseconds(queued_ns)
    return worker_api_pb2.UpdateForScheduler(
        execute_result=worker_api_pb2.ExecuteResult(operation_id=operation_id, execute_response=response)
    )


class ScriptedTap:
    """Writes records. Every call adds a millisecond; `sleep` adds more."""

    def __init__(self, run: str = "run-1", *, started_at: int = EPOCH, schedulers: dict[str, str] | None = None) -> None:
        self.run = run
        self.started_at = started_at
        self.sequence = 0
        self.now = MONOTONIC
        self.records: list[tap_pb2.TapRecord] = []
        self._connections = 0
        self._schedulers = schedulers or {}
        self.begin()

    @property
    def unix_ns(self) -> int:
        """Unix time of the latest record."""
        return self.started_at + self.now - MONOTONIC

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    def add(self, *, connection: int = 0, stream: int = 0, **kind: ProtobufMessage) -> tap_pb2.TapRecord:
        """Any record, with the next number."""
        self.sequence += 1
        self.now += 1_000_000
        record = tap_pb2.TapRecord(
            sequence=self.sequence,
            monotonic_ns=self.now,
            connection=connection,
            stream=stream,
            **kind,  # type: ignore[arg-type]  # the oneof's member by its name
        )
        self.records.append(record)
        return record

    def begin(self) -> tap_pb2.TapRecord:
        listeners = [
            tap_pb2.Listener(
                name="execution", listen="127.0.0.1:50151", upstream="127.0.0.1:50051", carries=["execution"],
                scheduler=self._schedulers.get("execution", ""),
            ),
            tap_pb2.Listener(
                name="workers", listen="127.0.0.1:50161", upstream="127.0.0.1:50061", carries=["worker_api", "admin"],
                scheduler=self._schedulers.get("workers", ""),
            ),
        ]  # fmt: skip
        started = tap_pb2.RunStarted(run=self.run, unix_ns=self.started_at, monotonic_ns=MONOTONIC, listeners=listeners)
        self.now -= 1_000_000
        return self.add(run_started=started)

    def tick(self, seconds: float = 1.0, **totals: tap_pb2.ListenerTotals) -> tap_pb2.TapRecord:
        self.sleep(seconds)
        return self.add(tick=tap_pb2.Tick(listeners=[*totals.values()]))

    def open(self, listener: str = "execution") -> int:
        """Returns the connection."""
        self._connections += 1
        opened = tap_pb2.ConnectionOpened(listener=listener, peer=f"10.0.0.{self._connections}:4000")
        self.add(connection=self._connections, connection_opened=opened)
        return self._connections

    def call(self, connection: int, stream: int, method: str, metadata: bytes = b"") -> tap_pb2.TapRecord:
        opened = tap_pb2.StreamOpened(method=method, request_metadata=metadata, user_agent="test/1")
        return self.add(connection=connection, stream=stream, stream_opened=opened)

    def up(self, connection: int, stream: int, message: ProtobufMessage | bytes) -> tap_pb2.TapRecord:
        """To the server."""
        return self._message(connection, stream, message, tap_pb2.Message.TO_SERVER)

    def down(self, connection: int, stream: int, message: ProtobufMessage | bytes) -> tap_pb2.TapRecord:
        """To the client."""
        return self._message(connection, stream, message, tap_pb2.Message.TO_CLIENT)

    def close_call(self, connection: int, stream: int, status: int | None = 0, message: str = "") -> tap_pb2.TapRecord:
        return self.add(
            connection=connection, stream=stream, stream_closed=tap_pb2.StreamClosed(grpc_status=status, message=message)
        )

    def close(
        self, connection: int, by: tap_pb2.ConnectionClosed.By.ValueType = tap_pb2.ConnectionClosed.CLIENT
    ) -> tap_pb2.TapRecord:
        return self.add(connection=connection, connection_closed=tap_pb2.ConnectionClosed(by=by))

    def execute(self, request: reapi.ExecuteRequest | None = None, metadata: bytes = b"") -> tuple[int, int]:
        """A client on a connection of its own that asks; returns connection and stream."""
        connection = self.open("execution")
        self.call(connection, 3, EXECUTE, metadata)
        self.up(connection, 3, request or execute_request())
        return connection, 3

    def worker(self, worker_id: str, request: worker_api_pb2.ConnectWorkerRequest | None = None) -> tuple[int, int]:
        """A worker that registers and is taken; returns connection and stream."""
        connection = self.open("workers")
        self.call(connection, 1, CONNECT)
        self.up(connection, 1, worker_api_pb2.UpdateForScheduler(connect_worker_request=request or registration(cpu_count="8")))
        self.down(connection, 1, connected(worker_id))
        return connection, 1

    def _message(
        self, connection: int, stream: int, message: ProtobufMessage | bytes, direction: tap_pb2.Message.Direction.ValueType
    ) -> tap_pb2.TapRecord:
        payload = message if isinstance(message, bytes) else message.SerializeToString()
        return self.add(connection=connection, stream=stream, message=tap_pb2.Message(direction=direction, payload=payload))

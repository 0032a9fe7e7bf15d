"""What the peers of the tap benchmark say, encoded before it is played: numbers in, frames of HTTP/2 out.

Messages are of the size of real ones. What differs from action to action (digest, ids) has a fixed length, so that playing is a
bytes.replace in an encoded frame and reading is a slice at a known offset. Header blocks are those of a real client: Bazel's
(Netty's) encoder puts the request metadata, different in each request, into the dynamic table, and so does this one.
"""

from __future__ import annotations

import base64

from hpack import Encoder

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as reapi
from gateway.pb import worker_api_pb2 as api
from gateway.simulation.quick.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    HEADERS,
    MAX_FRAME,
    OPENING,
    PREFACE,
    PREFIX,
    frame,
    grpc,
    window,
)

BULK_BYTES = 256 * 1024

_HASH = f"{0:064x}"
#: When everything was queued, run and finished: one moment, for workers and scheduler have to agree on it.
_MOMENT_S = 1_760_000_000
CLIENT_ID = "00000000-0000-4000-8000-{:012x}"
SCHEDULER_ID = "5c8ed01e-0000-4000-8000-{:012x}"
_EXECUTE = "/build.bazel.remote.execution.v2.Execution/Execute"
_CONNECT = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/ConnectWorker"
_WRITE = "/google.bytestream.ByteStream/Write"


def _digest(number: int = 0) -> reapi.Digest:
    return reapi.Digest(hash=f"{number:064x}", size_bytes=142)


def _request() -> reapi.ExecuteRequest:
    request = reapi.ExecuteRequest(instance_name="main", action_digest=_digest(), digest_function=reapi.DigestFunction.SHA256)
    request.execution_policy.priority = 1
    return request


REQUEST = grpc(_request().SerializeToString())
#: Where the digest of a request is in its message.
HASH_AT = REQUEST.index(_HASH.encode())


def number_of(data: bytes, message_at: int) -> int:
    """Of a request whose prefix begins there."""
    return int(data[message_at + HASH_AT + 48 : message_at + HASH_AT + 64], 16)


def _response() -> reapi.ExecuteResponse:
    response = reapi.ExecuteResponse()
    response.status.SetInParent()
    result = response.result
    for number in range(4):
        output = result.output_files.add(path=f"bazel-out/k8-fastbuild/bin/source/library/_objs/library/module_{number}.pic.o")
        output.digest.CopyFrom(_digest(7_777 + number))
    result.stdout_digest.CopyFrom(_digest(99))
    result.stderr_digest.CopyFrom(_digest(98))
    metadata = result.execution_metadata
    metadata.worker = "worker-1"
    for name in ("queued", "worker_start", "input_fetch_start", "input_fetch_completed", "execution_start", "execution_completed"):
        getattr(metadata, f"{name}_timestamp").seconds = _MOMENT_S
    metadata.worker_completed_timestamp.seconds = _MOMENT_S
    return response


def _operation(stage: reapi.ExecutionStage.Value.ValueType, *, done: bool = False) -> bytes:
    operation = longrunning.Operation(name=f"main/{CLIENT_ID.format(0)}", done=done)
    operation.metadata.Pack(reapi.ExecuteOperationMetadata(stage=stage, action_digest=_digest()), "type.googleapis.com/")
    if done:
        operation.response.Pack(_response(), "type.googleapis.com/")
    return grpc(operation.SerializeToString())


_STAGE = reapi.ExecutionStage
_UPDATES = (_operation(_STAGE.QUEUED), _operation(_STAGE.EXECUTING), _operation(_STAGE.COMPLETED, done=True))


def updates(stream: int, number: int) -> list[bytes]:
    """The three answers to an Execute, each a frame."""
    digest, name = f"{number:064x}".encode(), CLIENT_ID.format(number).encode()
    blank = CLIENT_ID.format(0).encode()
    return [frame(DATA, 0, stream, each.replace(_HASH.encode(), digest).replace(blank, name)) for each in _UPDATES]


def _start() -> bytes:
    start = api.StartExecute(execute_request=_request(), operation_id=SCHEDULER_ID.format(0), worker_id="worker-000000")
    start.queued_timestamp.seconds = _MOMENT_S
    start.platform.properties.add(name="OSFamily", value="linux")
    start.platform.properties.add(name="cpu_count", value="1")
    return frame(DATA, 0, 1, grpc(api.UpdateForWorker(start_action=start).SerializeToString()))


_START = _start()
_START_HASH_AT = _START.index(_HASH.encode())
_COMPLETE = frame(
    DATA,
    0,
    1,
    grpc(api.UpdateForScheduler(execute_complete=api.ExecuteComplete(operation_id=SCHEDULER_ID.format(0))).SerializeToString()),
)
_RESULT = frame(
    DATA,
    0,
    1,
    grpc(
        api.UpdateForScheduler(
            execute_result=api.ExecuteResult(
                instance_name="main", operation_id=SCHEDULER_ID.format(0), execute_response=_response()
            )
        ).SerializeToString()
    ),
)
#: Where an id's last twelve digits are, from the beginning of the payload.
_RESULT_ID_AT = _RESULT.index(SCHEDULER_ID.format(0).encode()) + 24 - FRAME
KEEP_ALIVE = frame(DATA, 0, 1, grpc(b"\x12\x00"))
#: A worker's message of this length and more is a result.
RESULT_LEAST = 200


def start(worker: int, number: int) -> bytes:
    """The scheduler hands an action to a worker."""
    filled = _START.replace(SCHEDULER_ID.format(0).encode(), SCHEDULER_ID.format(number).encode())
    return filled.replace(_HASH.encode(), f"{number:064x}".encode()).replace(b"worker-000000", f"worker-{worker:06}".encode())


def started(data: bytes, payload_at: int) -> int:
    """The number of the action in a StartExecute whose frame's payload begins there; -1: it is something else."""
    at = payload_at - FRAME + _START_HASH_AT + 48
    return int(data[at : at + 16], 16)


START_BYTES = len(_START) - FRAME


def worker_is_done(number: int) -> tuple[bytes, bytes]:
    """What a worker says at the end: execute_complete, then execute_result."""
    blank, name = SCHEDULER_ID.format(0).encode(), SCHEDULER_ID.format(number).encode()
    return _COMPLETE.replace(blank, name), _RESULT.replace(blank, name)


def result_of(data: bytes, payload_at: int) -> int:
    """The number of the action in an execute_result."""
    at = payload_at + _RESULT_ID_AT
    return int(data[at : at + 12], 16)


def connected(worker: int) -> bytes:
    """The scheduler's answer to a registration."""
    result = api.ConnectionResult(worker_id=f"worker-{worker:06}")
    return frame(DATA, 0, 1, grpc(api.UpdateForWorker(connection_result=result).SerializeToString()))


def _fields(path: str, agent: str) -> list[tuple[str, str]]:
    fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "nativelink:50051"), ("te", "trailers")]
    return [*fields, ("content-type", "application/grpc"), ("user-agent", agent), ("grpc-accept-encoding", "gzip")]


def registration() -> bytes:
    """All that a worker begins with."""
    request = api.ConnectWorkerRequest(worker_id_prefix="worker-", max_inflight_tasks=0)
    request.properties.add(name="OSFamily", value="linux")
    request.properties.add(name="cpu_count", value="8")
    block = Encoder().encode(_fields(_CONNECT, "tonic/0.13.1"))
    message = grpc(api.UpdateForScheduler(connect_worker_request=request).SerializeToString())
    return PREFACE + OPENING + frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, 0, 1, message)


METADATA = "build.bazel.remote.execution.v2.requestmetadata-bin"


def metadata(number: int) -> bytes:
    """RequestMetadata, as Bazel sends it with each call."""
    said = reapi.RequestMetadata(action_id=f"{number:064x}", action_mnemonic="CppCompile", target_id="//source/library:library")
    said.tool_details.tool_name, said.tool_details.tool_version = "bazel", "8.2.1"
    said.tool_invocation_id = "6b8f6c1e-2f9a-4c51-9d0e-0d9d5f6a7b11"
    return said.SerializeToString()


def request(number: int) -> bytes:
    """An ExecuteRequest."""
    return REQUEST[PREFIX:].replace(_HASH.encode(), f"{number:064x}".encode())


class Requests:
    """The Execute calls of one connection, in their order."""

    def __init__(self, *, huffman: bool = False) -> None:
        """`huffman`: values are compressed, which gRPC for Java does not do and others do."""
        self._encoder = Encoder()
        self._huffman = huffman
        self._stream = -1

    def next(self, number: int) -> bytes:
        """Headers and message of the next call."""
        self._stream += 2
        value = base64.b64encode(metadata(number)).decode().rstrip("=")
        fields = [*_fields(_EXECUTE, "grpc-java-netty/1.71.0"), (METADATA, value)]
        block = self._encoder.encode(fields, huffman=self._huffman)
        message = grpc(request(number))
        return frame(HEADERS, END_HEADERS, self._stream, block) + frame(DATA, END_STREAM, self._stream, message)


_HEAD = ((":status", "200"), ("content-type", "application/grpc"))
_TAIL = (("grpc-status", "0"),)


class Answers:
    """The header blocks of one connection's answers."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        #: Which have been said, and are in the table.
        self._said: set[tuple[tuple[str, str], ...]] = set()
        #: Blocks that do not change any more: both have been said.
        self._lasting: dict[tuple[tuple[str, str], ...], bytes] = {}

    def head(self, stream: int) -> bytes:
        """Begins an answer."""
        return frame(HEADERS, END_HEADERS, stream, self._block(_HEAD))

    def tail(self, stream: int) -> bytes:
        """Trailers."""
        return frame(HEADERS, END_HEADERS | END_STREAM, stream, self._block(_TAIL))

    def _block(self, fields: tuple[tuple[str, str], ...]) -> bytes:
        if self._lasting:
            return self._lasting[fields]
        block = self._encoder.encode(fields)
        self._said.add(fields)
        if len(self._said) > 1:
            self._lasting = {each: self._encoder.encode(each) for each in self._said}
        return block


def bulk() -> bytes:
    """A message of 256 KiB in frames, and the windows it takes given back; the same in both directions."""
    message = grpc(b"\0" * BULK_BYTES)
    pieces = [frame(DATA, 0, 1, message[at : at + MAX_FRAME]) for at in range(0, len(message), MAX_FRAME)]
    return b"".join([window(0, len(message)), window(1, len(message)), *pieces])


def bulk_opening() -> bytes:
    """What a client of ByteStream begins with."""
    return PREFACE + OPENING + frame(HEADERS, END_HEADERS, 1, Encoder().encode(_fields(_WRITE, "grpc-java-netty/1.71.0")))

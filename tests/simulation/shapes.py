"""Decoded streams in; out comes what a recording and its simulation have in common: messages, their order, their fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.message import Message

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.pb import worker_api_pb2 as worker_api
from tests.simulation.wire import Item, Stream

CONNECT = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/ConnectWorker"
EXECUTE = "/build.bazel.remote.execution.v2.Execution/Execute"
WAIT = "/build.bazel.remote.execution.v2.Execution/WaitExecution"

_TYPES: dict[tuple[str, str], type[Message]] = {
    (CONNECT, ">"): worker_api.UpdateForScheduler,
    (CONNECT, "<"): worker_api.UpdateForWorker,
    (EXECUTE, ">"): remote_execution.ExecuteRequest,
    (EXECUTE, "<"): longrunning.Operation,
    (WAIT, ">"): remote_execution.WaitExecutionRequest,
    (WAIT, "<"): longrunning.Operation,
}


@dataclass(frozen=True)
class Told:
    """One stream."""

    #: `ConnectWorker alpha`, `Execute`, `WaitExecution`, `/admin/…/1`
    title: str
    #: One text per thing that happened: direction, kind, fields.
    words: tuple[str, ...]


def tell(streams: list[Stream]) -> list[Told]:
    """Streams that got an answer, keep-alives left out, and what a stopped scheduler says last."""
    told = []
    for stream in streams:
        if not any(item.direction == "<" for item in stream.items) or stream.path not in {CONNECT, EXECUTE, WAIT, *_admin(stream)}:
            continue
        words = [word for item in stream.items if (word := _word(stream, item))]
        if stream.path == CONNECT:
            words = _without_stop(words)
        told.append(Told(_title(stream), tuple(words)))
    return told


def messages(stream: Stream, direction: str) -> list[Message]:
    """The decoded gRPC messages of one direction."""
    type_ = _TYPES[stream.path, direction]
    return [_parse(type_, item.payload) for item in stream.items if item.kind == "message" and item.direction == direction]


def _parse(type_: type[Message], data: bytes) -> Message:
    message = type_()
    message.ParseFromString(data)
    return message


def _admin(stream: Stream) -> tuple[str, ...]:
    return (stream.path,) if stream.path.startswith("/admin/") else ()


def _title(stream: Stream) -> str:
    if stream.path == CONNECT:
        (first, *_) = messages(stream, ">")
        assert isinstance(first, worker_api.UpdateForScheduler)
        return f"ConnectWorker {first.connect_worker_request.worker_id_prefix}"
    if stream.path.startswith("/admin/"):
        return f"/admin/{stream.path[-2:]}"
    return stream.path.rpartition("/")[2]


def _word(stream: Stream, item: Item) -> str:
    match item.kind:
        case "message":
            message = _parse(_TYPES[stream.path, item.direction], item.payload)
            fields = " ".join(sorted(set(_fields(message))))
            return "" if fields == "keep_alive_request" else f"{item.direction} {_heading(message)} {{{fields}}}"
        case "headers" if item.direction == ">":
            return f"> headers {' '.join(sorted(name for name in item.headers if name.endswith('-bin')))}"
        case "headers" if "grpc-status" in item.headers:
            details = " with message" if item.headers.get("grpc-message") else ""
            return f"< status {item.headers['grpc-status']}{details}"
        case "reset" if item.direction == ">":
            return "> reset" if item.headers["error"] == "8" else ""  # CANCEL; other codes follow the end of a connection
        case "status":
            return f"< {item.payload.decode()}"
        case _:
            return ""


def _heading(message: Message) -> str:
    match message:
        case longrunning.Operation():
            metadata = remote_execution.ExecuteOperationMetadata()
            message.metadata.Unpack(metadata)
            return remote_execution.ExecutionStage.Value.Name(metadata.stage)
        case worker_api.UpdateForScheduler() | worker_api.UpdateForWorker():
            return str(message.WhichOneof("update"))
        case _:
            return type(message).__name__


def _fields(message: Message, prefix: str = "") -> Iterator[str]:
    """Paths of the known fields that are present; what an Any of the two known types holds, too."""
    if not message.ListFields():
        yield prefix.rstrip(".") or "nothing"
    for descriptor, value in message.ListFields():
        path = f"{prefix}{descriptor.name}"
        if descriptor.message_type is None:
            yield path
            continue
        for item in value if descriptor.is_repeated else [value]:
            if descriptor.message_type.full_name == "google.protobuf.Any":
                inner: Message = remote_execution.ExecuteResponse()
                if not item.Is(inner.DESCRIPTOR):
                    inner = remote_execution.ExecuteOperationMetadata()
                assert item.Unpack(inner)
                yield from _fields(inner, f"{path}.")
            else:
                yield from _fields(item, f"{path}.")


def _without_stop(words: list[str]) -> list[str]:
    """The recordings were cut off while the scheduler stopped: how much of its goodbye they have is chance."""
    while words and (words[-1].startswith("< disconnect ") or words[-1] == "< status 0"):
        words = words[:-1]
    return words

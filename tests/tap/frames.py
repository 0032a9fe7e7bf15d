"""HTTP/2 and gRPC bytes for tests, written by hand from RFC 9113 so that also what no library sends can be sent."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from hpack import Encoder

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, HAS_PRIORITY = 0x4, 0x8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EXECUTE = "/build.bazel.remote.execution.v2.Execution/Execute"
WAIT = "/build.bazel.remote.execution.v2.Execution/WaitExecution"
CONNECT_WORKER = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/ConnectWorker"
RESULT = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/ExecutionResponse"
READ = "/google.bytestream.ByteStream/Read"


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(values: Iterable[tuple[int, int]] = ()) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *each) for each in values))


SETTINGS_ACK = frame(SETTINGS, ACK)


def grpc(message: bytes, compressed: int = 0) -> bytes:
    return struct.pack(">BI", compressed, len(message)) + message


def data(stream: int, payload: bytes, flags: int = 0, padding: int | None = None) -> bytes:
    if padding is not None:
        payload = bytes((padding,)) + payload + bytes(padding)
        flags |= PADDED
    return frame(DATA, flags, stream, payload)


class Peer:
    """One side's bytes: a header encoder, and what has been said."""

    def __init__(self) -> None:
        self.encoder = Encoder()

    def headers(self, stream: int, fields: Sequence[tuple[str, str]], *, end: bool = False, huffman: bool = True) -> bytes:
        block = self.encoder.encode(fields, huffman=huffman)
        return frame(HEADERS, END_HEADERS | (END_STREAM if end else 0), stream, block)

    def request(self, stream: int, path: str, *extra: tuple[str, str], end: bool = False) -> bytes:
        fields = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "a"), ("te", "trailers"), *extra]
        return self.headers(stream, fields, end=end)

    def answer(self, stream: int, *extra: tuple[str, str]) -> bytes:
        return self.headers(stream, [(":status", "200"), ("content-type", "application/grpc"), *extra])

    def trailers(self, stream: int, status: int = 0, *extra: tuple[str, str]) -> bytes:
        return self.headers(stream, [("grpc-status", str(status)), *extra], end=True)

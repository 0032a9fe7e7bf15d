"""The two ends of the faults benchmark: `python -m benchmarks.faults_peers serve PORT` and `… call PORT PAUSE_S`.

serve  answers every Execute at once with a completed operation; prints the port that it listens on
call   on one connection, one Execute after the other: for each line `SECONDS` on stdin it calls for so long, with a pause after
       each call, and prints the round trips in microseconds, sorted, in one line

Both write bytes that were made beforehand and only get their numbers, so that what is measured is what is between them.
"""

from __future__ import annotations

import hashlib
import socket
import struct
import sys
import time

from hpack import Encoder, NeverIndexedHeaderTuple

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as remote_execution
from tests.tap import frames

_HOST = "127.0.0.1"
_PATIENCE_S = 90.0
_DIGITS = 12
_FRAME_HEAD = 9


class Template:
    """Frames of one stream, as bytes with places for the stream's number and for one of _DIGITS digits."""

    def __init__(self, *parts: tuple[int, int, bytes], digits: bytes = b"") -> None:
        """Args: kind, flags and payload of each frame; what stands for the digits."""
        self._heads: list[int] = []
        data = bytearray()
        for kind, flags, payload in parts:
            self._heads.append(len(data) + 5)
            data += frames.frame(kind, flags, 0, payload)
        self._digits = data.find(digits) if digits else -1
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def of(self, stream: int) -> bytes:
        """The frames of that stream."""
        number = struct.pack(">I", stream)
        for at in self._heads:
            self._data[at : at + 4] = number
        if self._digits >= 0:
            self._data[self._digits : self._digits + _DIGITS] = b"%0*d" % (_DIGITS, stream)
        return bytes(self._data)


def _block(*fields: tuple[str, str]) -> bytes:
    """Fields that leave no trace in the decoder's table, so that the bytes can be said again."""
    return Encoder().encode([NeverIndexedHeaderTuple(*each) for each in fields])


def request() -> Template:
    """An Execute of its own key, uncacheable."""
    digits = b"#" * _DIGITS
    name = hashlib.sha256(b"").hexdigest()[_DIGITS:].encode()
    message = remote_execution.ExecuteRequest(
        skip_cache_lookup=True, action_digest=remote_execution.Digest(hash=(digits + name).decode(), size_bytes=142)
    )
    head = _block((":method", "POST"), (":scheme", "http"), (":path", frames.EXECUTE), (":authority", "bench"), ("te", "trailers"))
    return Template(
        (frames.HEADERS, frames.END_HEADERS, head),
        (frames.DATA, frames.END_STREAM, frames.grpc(message.SerializeToString())),
        digits=digits,
    )


def answer() -> Template:
    """Its only response, and trailers."""
    digits = b"#" * _DIGITS
    update = longrunning.Operation(name=f"/{'0' * 24}{digits.decode()}", done=True)
    update.metadata.Pack(remote_execution.ExecuteOperationMetadata(stage=remote_execution.ExecutionStage.COMPLETED))
    update.response.Pack(remote_execution.ExecuteResponse(result=remote_execution.ActionResult(exit_code=0)))
    return Template(
        (frames.HEADERS, frames.END_HEADERS, _block((":status", "200"), ("content-type", "application/grpc"))),
        (frames.DATA, 0, frames.grpc(update.SerializeToString())),
        (frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, _block(("grpc-status", "0"))),
        digits=digits,
    )


def _serve(port: int) -> None:
    asked, said = request(), answer()
    with socket.create_server((_HOST, port)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.sendall(frames.settings())
                if _take(connection, len(frames.PREFACE + frames.settings())):
                    while data := _take(connection, len(asked)):
                        connection.sendall(said.of(int.from_bytes(data[5:_FRAME_HEAD], "big")))


def _call(port: int, pause_s: float) -> None:
    asked, said = request(), answer()
    with socket.create_connection((_HOST, port), timeout=_PATIENCE_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(frames.PREFACE + frames.settings())
        if not _take(connection, len(frames.settings())):
            raise SystemExit("no answer from the other end")
        stream = 1
        print("ready", flush=True)
        for line in sys.stdin:
            took: list[int] = []
            ends = time.perf_counter() + float(line)
            while time.perf_counter() < ends:
                data = asked.of(stream)
                began = time.perf_counter_ns()
                connection.sendall(data)
                came = _take(connection, len(said))
                took.append((time.perf_counter_ns() - began) // 1000)
                if came != said.of(stream):
                    raise SystemExit(f"stream {stream}: other bytes than were sent, or the connection was cut")
                stream += 2
                time.sleep(pause_s)
            print(" ".join(map(str, sorted(took))), flush=True)


def _take(connection: socket.socket, count: int) -> bytes:
    """So many bytes; none at the end of the connection."""
    data = connection.recv(count)
    while data and len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            return b""
        data += more
    return data


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        _call(int(sys.argv[2]), float(sys.argv[3]))

"""HTTP/1.1 (RFC 9112), as far as the admin calls need it: bytes of both directions of a connection in, answered requests out.

Only heads are looked at; bodies are stepped over by their length. What is not understood ends the reading, quietly: nothing
else on such a connection is ours to know. So does what is over a bound of this module.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

#: What NativeLink's admin service answers to (nativelink-facts 1), over HTTP/2 too.
ADMIN = b"/set_drain_worker/"
#: A longer head is none of the admin's.
_MAX_HEAD_BYTES = 16 * 1024
#: What a line of a head costs in memory besides its bytes.
_LINE_BYTES = 48
#: Requests that may wait for their answers, pipelined.
_MAX_WAITING = 100
#: What is kept of requests that wait for their answers, and of what a client says after asking for an upgrade: HTTP/2's preface and
#: SETTINGS.
_MAX_UNANSWERED_BYTES = 64 * 1024
_REQUEST_LINE = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?$")
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})(?: .*)?\r?$")
_LENGTH = re.compile(rb"content-length:[ \t]*(\d{1,18})[ \t]*$", re.IGNORECASE)
_CHUNKED = re.compile(rb"transfer-encoding:.*chunked[ \t]*$", re.IGNORECASE)
_GRPC = re.compile(rb"grpc-status[ \t]*:|content-type:[ \t]*application/grpc", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?\r?$")


class NotHttpError(Exception):
    """The bytes are not HTTP/1 as far as this module understands it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request of the admin service and the status of its answer."""

    #: Method and target.
    request: str
    status: int
    #: gRPC answered, which has no admin service and says everything with status 200.
    is_grpc: bool = False


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The server agreed to go on with another protocol (101): what follows the answer's head."""

    protocol: bytes
    #: HTTP2-Settings of the request, base64 (RFC 7540 3.2.1).
    settings: bytes
    rest: bytes


@dataclass(frozen=True, slots=True)
class _Request:
    method: bytes
    target: bytes
    protocol: bytes
    settings: bytes

    @property
    def kept_bytes(self) -> int:
        return len(self.method) + len(self.target) + len(self.protocol) + len(self.settings)


class _Half:
    """One direction: lines of heads, bodies stepped over."""

    __slots__ = ("_buffer", "_chunked", "_head", "_head_bytes", "_skip", "_trailers")

    def __init__(self) -> None:
        self._buffer = bytearray()
        #: The head read so far.
        self._head: list[bytes] = []
        self._head_bytes = 0
        #: Bytes of the body to step over; -1: until the connection ends.
        self._skip = 0
        #: Inside a chunked body: a size, or the line end after a chunk, is next; trailers end it.
        self._chunked = False
        self._trailers = False

    @property
    def rest(self) -> bytes:
        """What was taken and not read."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def until_close(self) -> None:
        self._skip = -1

    def body(self, head: list[bytes]) -> bool:
        """Steps over the body that the head announces; False: it announces none."""
        if any(_CHUNKED.match(line) for line in head):
            self._chunked = True
            return True
        for line in head:
            length = _LENGTH.match(line)
            if length:
                self._skip = int(length[1])
                return True
        return False

    def head(self) -> list[bytes] | None:
        """The next head, line by line without line ends; None: it is not all there."""
        while self.step_over():
            line = self._line()
            if line is None:
                return None
            if self._chunked:
                self._chunk(line)
            elif line:
                self._head.append(line)
            elif self._head:
                head, self._head, self._head_bytes = self._head, [], 0
                return head
        return None

    @property
    def kept_bytes(self) -> int:
        """Of lines that are not whole, and of a head that is not."""
        return len(self._buffer) + self._head_bytes

    def step_over(self) -> bool:
        """Steps over what has come of a body: whether something else is left to read."""
        if self._skip:
            step = len(self._buffer) if self._skip < 0 else min(self._skip, len(self._buffer))
            del self._buffer[:step]
            self._skip -= step if self._skip > 0 else 0
        return bool(self._buffer) and not self._skip

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if (end if end >= 0 else len(self._buffer)) + self._head_bytes > _MAX_HEAD_BYTES:
            raise NotHttpError
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        if line and not self._chunked:
            self._head_bytes += end + _LINE_BYTES
        return line

    def _chunk(self, line: bytes) -> None:
        if self._trailers:
            self._chunked = self._trailers = bool(line)
            return
        if not line:
            return  # the line end after a chunk
        size = _CHUNK_SIZE.match(line)
        if not size:
            raise NotHttpError
        self._skip = int(size[1], 16)
        self._trailers = not self._skip


class Http1:
    """Both directions of one connection."""

    __slots__ = ("_is_over", "_to_client", "_to_server", "_waiting", "_waiting_bytes", "unread")

    def __init__(self) -> None:
        self._to_server = _Half()
        self._to_client = _Half()
        #: Direction and bytes that have been taken and not been given to `to_server` or `to_client`.
        self.unread: deque[tuple[int, bytes]] = deque()
        #: Requests without an answer yet.
        self._waiting: deque[_Request] = deque()
        self._waiting_bytes = 0
        #: Nothing more can be read; said with the next bytes where some answers came before that.
        self._is_over = False

    @property
    def kept_bytes(self) -> int:
        """Of both directions, besides `unread`."""
        return self._to_server.kept_bytes + self._to_client.kept_bytes + self._waiting_bytes

    def to_server(self, data: bytes) -> None:
        """Takes bytes of the client.

        Raises:
            NotHttpError: Nothing more can be read.
        """
        if self._is_over:
            raise NotHttpError
        self._to_server.feed(data)
        # After a request for an upgrade, what follows may be of the other protocol.
        while not (self._waiting and self._waiting[-1].protocol) and (head := self._to_server.head()) is not None:
            line = _REQUEST_LINE.match(head[0])
            if not line or len(self._waiting) >= _MAX_WAITING:
                raise NotHttpError
            protocol = _value(head, b"upgrade").lower()
            request = _Request(line[1], line[2], protocol, _value(head, b"http2-settings"))
            self._waiting.append(request)
            self._waiting_bytes += request.kept_bytes
            self._to_server.body(head[1:])
        self._to_server.step_over()
        if self._to_server.kept_bytes + self._waiting_bytes > _MAX_UNANSWERED_BYTES:
            raise NotHttpError

    def to_client(self, data: bytes) -> list[Answered | Upgraded]:
        """Takes bytes of the server: the admin calls that they answer. After an `Upgraded` there is no more HTTP/1.

        Raises:
            NotHttpError: Nothing more can be read.
        """
        if self._is_over:
            raise NotHttpError
        found: list[Answered | Upgraded] = []
        try:
            self._answers(data, found)
        except NotHttpError:
            if not found:
                raise
            self._is_over = True
        return found

    def _answers(self, data: bytes, found: list[Answered | Upgraded]) -> None:
        self._to_client.feed(data)
        while (head := self._to_client.head()) is not None:
            line = _STATUS_LINE.match(head[0])
            if not line or not self._waiting:
                raise NotHttpError
            status = int(line[1])
            if status == 101:
                request = self._answered()
                found.append(Upgraded(request.protocol, request.settings, self._to_client.rest))
                return
            if status < 200:
                continue  # the answer itself is still to come
            request = self._answered()
            if request.method == b"POST" and ADMIN in request.target:
                target = request.target.decode("utf-8", "replace")
                found.append(Answered(f"{request.method.decode()} {target}", status, _is_grpc(head)))
            has_body = request.method != b"HEAD" and status not in {204, 304}
            if has_body and not self._to_client.body(head[1:]):
                self._to_client.until_close()
            if request.protocol:
                self.to_server(b"")

    def _answered(self) -> _Request:
        request = self._waiting.popleft()
        self._waiting_bytes -= request.kept_bytes
        return request

    @property
    def client_rest(self) -> bytes:
        """What the client sent after a request that asked for an upgrade, and its body."""
        self._to_server.step_over()
        return self._to_server.rest


def _value(head: list[bytes], name: bytes) -> bytes:
    for line in head[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def _is_grpc(head: list[bytes]) -> bool:
    return any(_GRPC.match(line) for line in head)

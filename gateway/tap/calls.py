"""The tapped calls of one connection: their headers, pieces of DATA and ends in, records out.

Which methods are tapped, and what is taken out of their messages, is the table METHODS. Untapped streams never get here, except
for their headers: all that an admin call needs, which over TLS is one of HTTP/2 (curl's own choice).
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from gateway.tap import headers, records
from gateway.tap.bounds import Budget, Holding, UnreadableError
from gateway.tap.grpc import PREFIX, MessageReader
from gateway.tap.http1 import ADMIN
from gateway.tap.inflate import InflateError, TooLargeError, UnknownEncodingError, inflate
from gateway.tap.records import TO_CLIENT, TO_SERVER, Recorder, Totals
from gateway.tap.redact import EXECUTE_RESULT, OPERATION, UPDATE_FOR_SCHEDULER, Plan, TooManyFieldsError, redact
from gateway.tap.wire import MalformedError

#: UpdateForScheduler { keep_alive_request {} } and nothing else.
KEEP_ALIVE = b"\x12\x00"
#: A worker's keep-alive is recorded at once when the last record of its kind is this old, otherwise with the next tick: real
#: workers send one in 2.5 s, and are seen as up to date as they are.
_COALESCE_NS = 1_000_000_000
#: More calls than this are never open at once in a cluster that one tap serves; their state is what a hostile peer could grow.
MAX_OPEN_CALLS = 200_000
#: Longer header values are cut: no method needs them, and the state of an open call keeps them.
MAX_VALUE_BYTES = 16 * 1024
#: Admin calls of one connection that may wait for their answers, and what their paths may have; others are not read.
MAX_ADMIN_CALLS = 16
MAX_ADMIN_BYTES = 4 * 1024
#: What looking at an open call, a message of no bytes, or a byte of a message that may be a field costs in bytes of messages.
_CALL_WORK = 64
_MESSAGE_WORK = 256
_FIELD_WORK = 16


@dataclass(frozen=True, slots=True)
class Method:
    """A tapped method."""

    #: The :path.
    path: str
    #: By Message.Direction: what is taken out of its messages.
    plans: tuple[None, Plan | None, Plan | None] = (None, None, None)
    #: Keep-alives to the server are coalesced.
    keeps_alive: bool = False

    def __reduce__(self) -> tuple[Callable[[str], Method], tuple[str]]:
        """A copy elsewhere is that process's own."""
        return method_of, (self.path,)


_EXECUTION = "/build.bazel.remote.execution.v2.Execution/"
_WORKER_API = "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/"
METHODS: Mapping[bytes, Method] = {
    method.path.encode(): method
    for method in (
        Method(_EXECUTION + "Execute", (None, None, OPERATION)),
        Method(_EXECUTION + "WaitExecution", (None, None, OPERATION)),
        Method(_WORKER_API + "ConnectWorker", (None, UPDATE_FOR_SCHEDULER, None), keeps_alive=True),
        # Releases before 0.7.4 (nativelink-facts, end of 7).
        Method(_WORKER_API + "KeepAlive"),
        Method(_WORKER_API + "GoingAway"),
        Method(_WORKER_API + "ExecutionResponse", (None, EXECUTE_RESULT, None)),
    )
}


def method_of(path: str) -> Method:
    """The tapped method of that path, which there must be."""
    return METHODS[path.encode()]


class Call:
    """One open stream of a tapped method."""

    __slots__ = (
        "encodings",
        "first_seen",
        "keep_alives",
        "last_keep_alive_ns",
        "method",
        "open",
        "readers",
        "recorded_ns",
        "stream",
    )

    def __init__(self, stream: int, method: Method, encoding: bytes) -> None:
        self.stream = stream
        self.method = method
        #: By direction: grpc-encoding.
        self.encodings = [b"", encoding, b""]
        #: By direction; made for the first message that does not come in one piece.
        self.readers: list[MessageReader | None] = [None, None, None]
        #: A message to the server was seen.
        self.first_seen = False
        #: Not yet recorded.
        self.keep_alives = 0
        self.last_keep_alive_ns = 0
        #: When keep-alives were recorded last.
        self.recorded_ns = -_COALESCE_NS
        self.open = True


class Shared:
    """What the connections of a tap share."""

    __slots__ = ("budget", "kept_alive", "message_bytes", "open_calls", "recorder")

    def __init__(self, recorder: Recorder, budget: Budget, message_bytes: int) -> None:
        self.recorder = recorder
        self.budget = budget
        #: A longer message is recorded with its length only.
        self.message_bytes = message_bytes
        self.open_calls = 0
        #: Calls with keep-alives that are not yet recorded: (connection, stream) -> call.
        self.kept_alive: dict[tuple[int, int], Call] = {}

    def flush_keep_alives(self, now: int) -> None:
        """Records the keep-alives that were counted and not recorded; once a second."""
        for (connection, _), call in self.kept_alive.items():
            self.record_keep_alives(now, connection, call)
        self.kept_alive.clear()

    def record_keep_alives(self, now: int, connection: int, call: Call) -> None:
        """Records those of one call."""
        self.recorder.keep_alives(now, connection, call.stream, call.keep_alives, call.last_keep_alive_ns)
        call.keep_alives = 0
        call.recorded_ns = now


class Calls:
    """The tapped calls of one connection."""

    __slots__ = ("_admin", "_connection", "_holding", "_recorder", "_shared", "_totals", "open", "worked")

    def __init__(self, connection: int, shared: Shared, totals: Totals, holding: Holding) -> None:
        self._connection = connection
        self._holding = holding
        self._shared = shared
        self._recorder = shared.recorder
        self._totals = totals
        #: By stream id. Who steps over DATA looks here.
        self.open: dict[int, Call] = {}
        #: Paths of admin calls that were not answered yet, by stream id.
        self._admin: dict[int, bytes] = {}
        #: Bytes of messages and of headers read so far, inflated: a measure of work done.
        self.worked = 0

    def headers(self, now: int, direction: int, stream: int, fields: dict[bytes, bytes], *, end: bool) -> None:
        """A header block ended: a request, the beginning of an answer, or trailers."""
        call = self.open.get(stream)
        if call is None:
            path = fields.get(headers.PATH, b"")
            if direction == TO_CLIENT:
                if stream in self._admin:
                    self._admin_answered(now, stream, fields)
            elif path in METHODS:
                self._begin(now, stream, fields)
            elif len(path) <= MAX_ADMIN_BYTES and ADMIN in path and fields.get(headers.METHOD) == b"POST":
                self._admin_asked(stream, path)
            return
        encoding = fields.get(headers.GRPC_ENCODING)
        if encoding is not None:
            call.encodings[direction] = encoding
        if end and direction == TO_CLIENT:
            status, message = fields.get(headers.GRPC_STATUS, b""), fields.get(headers.GRPC_MESSAGE, b"")
            if status == b"0" and not message:
                self._close(now, call, records.STREAM_CLOSED_OK)
                return
            code = int(status) if status.isdigit() and len(status) < 10 else None
            words = unquote_to_bytes(message[:MAX_VALUE_BYTES]).decode("utf-8", "replace")
            self._close(now, call, records.stream_closed(code, words, None, 0))

    def data(self, now: int, call: Call, direction: int, data: bytes, pos: int, end: int) -> None:
        """A piece of DATA of a tapped call arrived."""
        self._totals.tapped_bytes += end - pos
        if not call.open:
            return
        reader = call.readers[direction]
        if (reader is None or reader.idle) and end - pos >= PREFIX.size:
            # Nearly always: one whole message in one piece.
            compressed, length = PREFIX.unpack_from(data, pos)
            if length == end - pos - PREFIX.size and length <= self._shared.message_bytes:
                self._message(now, call, direction, compressed, data[pos + PREFIX.size : end], length)
                return
        if reader is None:
            reader = call.readers[direction] = MessageReader(self._shared.message_bytes)
        held = reader.held
        framed = reader.feed(data, pos, end)
        if reader.held > held:
            self._holding.take(reader.held - held)
        else:
            self._holding.give(held - reader.held)
        for each in framed:
            self._message(now, call, direction, each.compressed, each.payload, each.length)

    def end(self, now: int, stream: int, direction: int) -> None:
        """END_STREAM on DATA. What the server ends is over; a client may end its side long before."""
        call = self.open.get(stream)
        if call is not None and direction == TO_CLIENT:
            self._close(now, call)

    def reset(self, now: int, stream: int, direction: int, code: int) -> None:
        """RST_STREAM."""
        if stream in self._admin:
            self._holding.give(len(self._admin.pop(stream)))
        call = self.open.get(stream)
        if call is not None:
            self._close(now, call, records.stream_closed(None, "", code, direction))

    def go_away(self, now: int, last_stream: int) -> None:
        """The server will not answer streams above `last_stream` (RFC 9113 6.8)."""
        self.worked += len(self.open) * _CALL_WORK
        for call in [call for stream, call in self.open.items() if stream > last_stream]:
            self._close(now, call)

    def close(self, now: int) -> None:
        """The connection went away."""
        for call in list(self.open.values()):
            self._close(now, call)

    def forget(self) -> None:
        """The connection is not read any further, and its holding given back. Its calls stay open until it ends."""
        self._admin.clear()
        for call in self.open.values():
            call.readers = [None, None, None]

    def _admin_asked(self, stream: int, path: bytes) -> None:
        if stream not in self._admin and len(self._admin) < MAX_ADMIN_CALLS:
            self._holding.take(len(path))
            self._admin[stream] = path

    def _admin_answered(self, now: int, stream: int, fields: dict[bytes, bytes]) -> None:
        status = fields.get(headers.STATUS, b"")
        if status.startswith(b"1"):
            return  # the answer itself is still to come
        path = self._admin.pop(stream)
        self._holding.give(len(path))
        if len(status) == 3 and status.isdigit():
            request = "POST " + path.decode("utf-8", "replace")
            body = records.admin_call(request, int(status), is_grpc=headers.GRPC_STATUS in fields)
            # As of a tapped call, see _begin.
            self.worked += len(body)
            self._recorder.record(now, self._connection, 0, records.ADMIN_CALL, body)

    def _begin(self, now: int, stream: int, fields: dict[bytes, bytes]) -> None:
        if self._shared.open_calls >= MAX_OPEN_CALLS:
            raise UnreadableError(records.OVERLOADED, f"more than {MAX_OPEN_CALLS} calls are open")
        self._shared.open_calls += 1
        self._totals.streams += 1
        method = METHODS[fields[headers.PATH]]
        self.open[stream] = Call(stream, method, fields.get(headers.GRPC_ENCODING, b""))
        metadata = _binary(fields.get(headers.REQUEST_METADATA, b""))
        user_agent = fields.get(headers.USER_AGENT, b"")[:MAX_VALUE_BYTES].decode("utf-8", "replace")
        body = records.stream_opened(method.path, metadata, user_agent)
        # A byte of the wire may name a long value in the table.
        self.worked += len(body)
        self._recorder.record(now, self._connection, stream, records.STREAM_OPENED, body)

    def _close(self, now: int, call: Call, body: bytes = b"") -> None:
        """Ends a call; `body` is of StreamClosed, without anything where nothing was said."""
        if call.keep_alives:
            del self._shared.kept_alive[self._connection, call.stream]
            self._shared.record_keep_alives(now, self._connection, call)
        self._recorder.record(now, self._connection, call.stream, records.STREAM_CLOSED, body)
        for reader in call.readers:
            if reader is not None:
                self._holding.give(reader.held)
        call.open = False
        self._shared.open_calls -= 1
        del self.open[call.stream]

    def _message(self, now: int, call: Call, direction: int, compressed: int, payload: bytes | None, length: int) -> None:
        self._totals.messages += 1
        self.worked += length + _MESSAGE_WORK
        omission = records.NOT_OMITTED
        if payload is None:
            omission = records.TOO_LARGE
        elif compressed:
            payload, omission = self._inflate(call.encodings[direction], payload)
        if payload is not None:
            if payload == KEEP_ALIVE and call.first_seen and call.method.keeps_alive and direction == TO_SERVER:
                self._keep_alive(now, call)
                return
            plan = call.method.plans[direction]
            if plan is not None:
                payload, omission = self._redact(payload, plan)
        if direction == TO_SERVER:
            call.first_seen = True
        if payload is None:
            self._recorder.omitted(now, self._connection, call.stream, direction, omission, length)
        else:
            self._recorder.message(now, self._connection, call.stream, direction, payload)

    def _keep_alive(self, now: int, call: Call) -> None:
        call.keep_alives += 1
        call.last_keep_alive_ns = now
        if call.keep_alives == 1 and now - call.recorded_ns >= _COALESCE_NS:
            self._shared.record_keep_alives(now, self._connection, call)
        else:
            self._shared.kept_alive[self._connection, call.stream] = call

    def _redact(self, payload: bytes, plan: Plan) -> tuple[bytes | None, int]:
        """The message, or why it is not there."""
        self.worked += len(payload) * _FIELD_WORK
        try:
            return redact(payload, plan), records.NOT_OMITTED
        except TooManyFieldsError:
            return None, records.TOO_LARGE
        except MalformedError:
            return None, records.MALFORMED

    def _inflate(self, encoding: bytes, payload: bytes) -> tuple[bytes | None, int]:
        """The message, or why it is not there."""
        try:
            inflated = inflate(encoding, payload, self._shared.message_bytes)
        except TooLargeError:
            self.worked += self._shared.message_bytes
            return None, records.TOO_LARGE
        except UnknownEncodingError:
            return None, records.UNKNOWN_ENCODING
        except InflateError:
            return None, records.INFLATE_FAILED
        self.worked += len(inflated)
        return inflated, records.NOT_OMITTED


def _binary(value: bytes) -> bytes:
    """A -bin header (gRPC over HTTP/2, "Binary-Header"): base64, padded or not; empty when it is none, or too long.

    Peers that are both gRPC core agree by a setting of their own (GRPC_ALLOW_TRUE_BINARY_METADATA) to send the bytes behind a NUL.
    """
    if value.startswith(b"\0"):
        return value[1:] if len(value) <= MAX_VALUE_BYTES else b""
    value = value.partition(b",")[0]
    if len(value) > MAX_VALUE_BYTES:
        return b""
    try:
        return binascii.a2b_base64(value + b"=" * (-len(value) % 4))
    except binascii.Error:
        return b""

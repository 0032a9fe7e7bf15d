"""One run of a tap: its connections, their calls, and what each record about them means.

Records' contents in, events out. It keeps what a record alone does not say: whose connection and call a message belongs to.
Traffic of other schedulers is counted and goes no further.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from google.protobuf.message import DecodeError

from gateway.config.types import Carries
from gateway.model.events import (
    ConnectionClosed,
    ConnectionOpened,
    ConnectRefused,
    DrainSet,
    Event,
    MessageUnread,
    ReadingStopped,
    RequestMetadata,
    StreamsConfirmed,
)
from gateway.model.identity import ConnectionId, StreamId
from gateway.observe import decoding, execution, worker_api
from gateway.observe.cacheability import Cacheability
from gateway.observe.calls import Call, Origin
from gateway.observe.schedulers import Schedulers
from gateway.observe.taps import ListenerState, TapRun
from gateway.pb import tap_pb2
from gateway.words import shared

#: `services.admin.path` of NativeLink's configuration comes before it (nativelink-facts 1 and 7).
_SET_DRAIN: Final = re.compile(r"^POST \S*/scheduler/([^/\s]+)/set_drain_worker/([^/\s]+)/([01])(?:\?\S*)?$")

#: A connection that was opened after the last refusal and is still open after this long has reached upstream: longer than a dial
#: may take.
_REACHED_NS: Final = 15_000_000_000

_READ: Final = {Carries.EXECUTION.value, Carries.WORKER_API.value}


@dataclass(slots=True)
class _Connection:
    id: ConnectionId
    listener: ListenerState
    peer: str
    #: The scheduler, if its listener belongs to another one than is shown; "": ours.
    foreign: str
    opened_at: int
    #: HTTP/2 stream -> call
    calls: dict[int, Call] = field(default_factory=dict)


class Conversations:
    """The connections and calls of one run that are open."""

    __slots__ = ("_cacheability", "_connections", "_foreign", "_listed", "_schedulers", "run")

    def __init__(self, run: TapRun, schedulers: Schedulers, cacheability: Cacheability, foreign: Counter[str]) -> None:
        self.run = run
        self._schedulers = schedulers
        self._cacheability = cacheability
        self._foreign = foreign
        self._connections: dict[int, _Connection] = {}
        #: What came since StateBegin.
        self._listed: set[tuple[int, int]] = set()

    # --- connections --------------------------------------------------------------------------------------------------

    def connection_opened(self, at: int, number: int, opened: tap_pb2.ConnectionOpened) -> list[Event]:
        """A peer came; upstream is being dialled."""
        run = self.run
        listener = run.listeners.get(opened.listener)
        if listener is None:
            listener = run.listeners[opened.listener] = ListenerState(opened.listener, "", "", ())
        foreign = listener.scheduler if listener.scheduler not in {"", self._schedulers.shown} else ""
        connection = _Connection(ConnectionId(run.id, number), listener, opened.peer, foreign, at)
        self._connections[number] = connection
        return [] if foreign else [ConnectionOpened(at, connection.id, listener.name)]

    def connection_closed(self, at: int, number: int, closed: tap_pb2.ConnectionClosed) -> list[Event]:
        """The connection is gone, and with it any stream whose end was not told."""
        connection = self._connections.pop(number, None)
        if connection is None:
            return []
        connection.listener.blind.pop(number, None)
        by_upstream = closed.by == tap_pb2.ConnectionClosed.UPSTREAM
        if by_upstream:
            connection.listener.answered()
        if connection.foreign:
            return []
        events = [event for call in connection.calls.values() for event in call.closed(at, tap_pb2.StreamClosed())]
        events.append(ConnectionClosed(at, connection.id, by_upstream))
        return events

    def upstream_refused(self, at: int, number: int, refused: tap_pb2.UpstreamRefused) -> list[Event]:
        """NativeLink did not answer the dial for this connection."""
        connection = self._connections.get(number)
        if connection is None:
            return []
        connection.listener.refused(at, refused.reason)
        return [] if connection.foreign else [ConnectRefused(at, connection.listener.name)]

    def blinded(self, at: int, number: int, blinded: tap_pb2.Blinded) -> list[Event]:
        """From here on nothing is known of the connection but its end."""
        connection = self._connections.get(number)
        if connection is None or number in connection.listener.blind:
            return []
        reason = tap_pb2.Blinded.Reason.Name(blinded.reason) if blinded.reason in tap_pb2.Blinded.Reason.values() else "UNKNOWN"
        text = f"{reason}: {blinded.detail}" if blinded.detail else reason
        connection.listener.blind[number] = text
        carried = bool(connection.calls) or not _READ.isdisjoint(connection.listener.carries)
        connection.calls.clear()
        return [ReadingStopped(at, connection.id, text)] if carried and not connection.foreign else []

    def tick(self, at: int, tick: tap_pb2.Tick) -> list[Event]:
        """Totals. Time goes on whatever the traffic."""
        self.run.last_tick_at = at
        self.run.last_tick = tick
        for totals in tick.listeners:
            listener = self.run.listeners.get(totals.name)
            if listener is not None:
                listener.totals = totals
        for connection in self._connections.values():
            refusals = connection.listener.refusals
            if refusals is not None and connection.opened_at > refusals.last_at and at - connection.opened_at > _REACHED_NS:
                connection.listener.answered()
        return []

    def admin_call(self, at: int, number: int, admin: tap_pb2.AdminCall) -> list[Event]:
        """Drain and undrain that NativeLink's admin service answered with success; others change nothing that is kept."""
        connection = self._connections.get(number)
        if connection is not None:
            connection.listener.answered()
        match = _SET_DRAIN.match(admin.request)
        if match is None or admin.is_grpc or not 200 <= admin.status < 300:
            return []
        scheduler = unquote(match[1])
        if scheduler != self._schedulers.shown:
            self._foreign[scheduler] += 1
            return []
        return [DrainSet(at, unquote(match[2]), match[3] == "1")]

    # --- calls --------------------------------------------------------------------------------------------------------

    def stream_opened(self, number: int, stream: int, opened: tap_pb2.StreamOpened) -> list[Event]:
        """A tapped call began; what it is about comes with its first message."""
        connection = self._connections.get(number)
        if connection is None:
            connection = self._unseen(number)
        call = None if connection.foreign else self._call(connection, stream, opened)
        if call is not None:
            connection.calls[stream] = call
        return []

    def message(self, at: int, number: int, stream: int, message: tap_pb2.Message) -> list[Event]:
        """A message of a tapped call."""
        connection = self._connections.get(number)
        if connection is not None and connection.foreign:
            self._foreign[connection.foreign] += 1
            return []
        call = connection.calls.get(stream) if connection is not None else None
        if call is None:
            return [self._unread(at, number, stream, "the beginning of its call was not seen")]
        if connection is not None and connection.listener.refusals is not None and message.direction == tap_pb2.Message.TO_CLIENT:
            connection.listener.answered()
        if message.omitted:
            return [self._unread(at, number, stream, _omission(message))]
        read = call.to_server if message.direction == tap_pb2.Message.TO_SERVER else call.to_client
        if not call.foreign:
            try:
                events = read(at, message.payload)
            except (DecodeError, worker_api.UnplacedError) as error:
                return [self._unread(at, number, stream, _unreadable(error))]
            if not call.foreign:
                return events
        self._foreign[call.foreign] += 1
        return []

    def keep_alives(self, at: int, number: int, stream: int, keep_alives: tap_pb2.KeepAlives) -> list[Event]:
        """Keep-alives of a worker since the last record of this kind."""
        connection = self._connections.get(number)
        call = connection.calls.get(stream) if connection is not None else None
        if call is None:
            if connection is not None and connection.foreign:
                return []
            return [self._unread(at, number, stream, "keep-alives of a call whose beginning was not seen")]
        return call.kept_alive(at, keep_alives.last_monotonic_ns + self.run.offset, keep_alives.count)

    def stream_closed(self, at: int, number: int, stream: int, closed: tap_pb2.StreamClosed) -> list[Event]:
        """A tapped call is over."""
        connection = self._connections.get(number)
        call = connection.calls.pop(stream, None) if connection is not None else None
        return call.closed(at, closed) if call is not None else []

    # --- after a gap --------------------------------------------------------------------------------------------------

    def state_begin(self) -> list[Event]:
        """What is open follows."""
        self._listed = set()
        return []

    def open_stream(self, at: int, number: int, stream: int, state: tap_pb2.OpenStream) -> list[Event]:
        """A connection, or one of its streams, that is open; tells what was not known."""
        self._listed.add((number, stream))
        opened_at = state.opened_monotonic_ns + self.run.offset
        if not stream:
            known = number in self._connections
            events = [] if known else self.connection_opened(opened_at, number, state.connection_opened)
            return events + self.blinded(at, number, state.blinded) if state.HasField("blinded") else events
        connection = self._connections.get(number) or self._unseen(number)
        if stream not in connection.calls:
            self.stream_opened(number, stream, state.stream_opened)
        call = connection.calls.get(stream)
        if call is None or call.foreign:
            return []
        kept_alive = state.last_keep_alive_monotonic_ns
        kept_alive_at = kept_alive + self.run.offset if kept_alive else None
        try:
            return call.restored(at, opened_at, kept_alive_at, state)
        except (DecodeError, worker_api.UnplacedError) as error:
            return [self._unread(at, number, stream, _unreadable(error))]

    def state_end(self, at: int) -> list[Event]:
        """That was all: what was not listed ended unseen. Streams of other schedulers are none of the model's."""
        listed = self._listed
        for number in [number for number in self._connections if (number, 0) not in listed]:
            self._connections.pop(number).listener.blind.pop(number, None)
        streams: set[StreamId] = set()
        connections: set[ConnectionId] = set()
        for number, connection in self._connections.items():
            connection.calls = {stream: call for stream, call in connection.calls.items() if (number, stream) in listed}
            if not connection.foreign:
                connections.add(connection.id)
                streams.update(
                    StreamId(self.run.id, number, stream) for stream, call in connection.calls.items() if not call.foreign
                )
        self._listed = set()
        return [StreamsConfirmed(at, self.run.id, frozenset(streams), frozenset(connections))]

    # --- inside -------------------------------------------------------------------------------------------------------

    def _unread(self, at: int, number: int, stream: int, reason: str) -> MessageUnread:
        return MessageUnread(at, StreamId(self.run.id, number, stream), reason)

    def _unseen(self, number: int) -> _Connection:
        """A connection whose ConnectionOpened was lost: whose it is cannot be known, so it is taken as ours."""
        listener = ListenerState("", "", "", ())
        connection = self._connections[number] = _Connection(ConnectionId(self.run.id, number), listener, "", "", 0)
        return connection

    def _call(self, connection: _Connection, stream: int, opened: tap_pb2.StreamOpened) -> Call | None:
        method = opened.method
        try:
            metadata = decoding.request_metadata(opened.request_metadata)
        except DecodeError:
            metadata = RequestMetadata()
        origin = Origin(
            StreamId(self.run.id, connection.id.connection, stream), connection.peer, shared(opened.user_agent), metadata
        )
        match method:
            case execution.EXECUTE | execution.WAIT_EXECUTION:
                waits = method == execution.WAIT_EXECUTION
                return execution.ExecutionCall(origin, waits=waits, schedulers=self._schedulers, cacheability=self._cacheability)
            case worker_api.CONNECT_WORKER:
                return worker_api.WorkerCall(origin, self._cacheability)
            case worker_api.KEEP_ALIVE | worker_api.GOING_AWAY | worker_api.EXECUTION_RESPONSE:
                return worker_api.LegacyCall(method)
            case _:
                return None


def _unreadable(error: DecodeError | worker_api.UnplacedError) -> str:
    return str(error) if isinstance(error, worker_api.UnplacedError) else "it does not parse"


def _omission(message: tap_pb2.Message) -> str:
    known = message.omitted in tap_pb2.Message.Omission.values()
    reason = tap_pb2.Message.Omission.Name(message.omitted).lower().replace("_", " ") if known else "left out by the tap"
    return f"{reason}, {message.omitted_length} bytes"

"""Clients' streams: what was asked, what each client_operation_id was told, who follows, and until when that keeps it alive.

Nothing is listed before a stream's first update: a refused Execute queued nothing, and the scheduler answers at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gateway.model.correlation import Correlation
from gateway.model.events import ExecuteRequested, FollowerLeft, OperationUpdated, RequestMetadata, Stage, WaitRequested
from gateway.model.halves import ClientHalf, Row
from gateway.model.identity import ActionKey, StreamId
from gateway.model.lifecycle import Work
from gateway.model.register import Register
from gateway.model.retention import NS_PER_S
from gateway.model.workforce import Workforce

#: A client that follows is a keep-alive when it subscribes and every so often (nativelink-facts 7).
_KEEP_ALIVE_NS = 10 * NS_PER_S
#: More than any time in Unix nanoseconds.
_WAITS = 1 << 64
_OK = 0
_NOT_FOUND = 5


@dataclass(slots=True)
class _Stream:
    """An open Execute or WaitExecution."""

    opened_at: int
    #: None: WaitExecution, or the request was not seen.
    key: ActionKey | None
    priority: int | None
    #: WaitExecution: Operation.name.
    waits_for: str
    metadata: RequestMetadata | None
    peer: str
    user_agent: str
    #: None: no update came yet.
    half: ClientHalf | None = None
    #: When the first update came.
    subscribed_at: int = 0
    #: A message of it could not be read.
    is_unread: bool = False

    @property
    def rank(self) -> int:
        """Of two streams about one name the later has the higher: WaitExecution comes after Execute."""
        return self.opened_at if self.key is not None else self.opened_at + _WAITS


class Followers:
    """Every open stream of clients. Bounded by what is open."""

    __slots__ = ("_correlation", "_register", "_streams", "_workforce")

    def __init__(self, register: Register, correlation: Correlation, workforce: Workforce) -> None:
        self._register = register
        self._correlation = correlation
        self._workforce = workforce
        self._streams: dict[StreamId, _Stream] = {}

    def execute_requested(self, event: ExecuteRequested) -> None:
        """A client asks. Said again after a gap."""
        if event.stream not in self._streams:
            self._streams[event.stream] = _Stream(
                event.at, event.key, event.priority, "", event.metadata, event.peer, event.user_agent
            )

    def wait_requested(self, event: WaitRequested) -> None:
        """A client comes back."""
        if event.stream not in self._streams:
            self._streams[event.stream] = _Stream(event.at, None, None, event.name, event.metadata, event.peer, event.user_agent)

    def updated(self, event: OperationUpdated) -> bool:
        """The scheduler tells a client; whether it is the first answer on its stream."""
        instance_name, slash, client_id = event.name.rpartition("/")
        if not client_id:
            self._register.anomaly("unnamed", "", f"an Operation without a name on stream {event.stream}")
            return False
        stream = self._streams.get(event.stream)
        if stream is None:
            self._register.anomaly("update_without_request", event.name, f"an Operation on stream {event.stream}")
            stream = self._streams[event.stream] = _Stream(self._register.now, None, None, event.name, None, "", "")
        half = stream.half
        is_first = half is None
        named = (instance_name if slash else None), client_id
        if half is not None and (half.instance_name, half.client_operation_id) != named:
            self._register.anomaly("renamed", event.name, f"stream {event.stream} was about {half.name}")
            self._unfollow(stream, half)
            half = None
        if half is None or half.row is None:
            half = self._register.half(*named) or self._new_half(stream, *named)
            stream.half = half
            stream.subscribed_at = self._register.now
            half.followers += 1
        self._tell(half, stream, event)
        return is_first

    def left(self, event: FollowerLeft) -> bool:
        """A stream ended; whether the scheduler answered on it for the first time by that."""
        return self.leave(event.stream, event.status_code)

    def leave(self, stream_id: StreamId, status_code: int | None) -> bool:
        """A stream ended, with the status of its trailers if it had any; as for `left`."""
        stream = self._streams.pop(stream_id, None)
        if stream is None:
            return False
        half = stream.half
        if half is not None:
            if status_code == _OK and stream.is_unread and not half.done:
                # gRPC ends a stream of updates with OK only after the last of them.
                half.done = True
                half.stage = Stage.COMPLETED
                if half.row is not None:
                    half.row.hears_no_more(half)
                    self._correlation.done(half)
            self._unfollow(stream, half)
        elif status_code == _NOT_FOUND:
            known = self._register.half_named(stream.waits_for)
            if known is not None and not known.done and not known.followers:
                self._correlation.lost(known)
        return half is None and status_code is not None

    def leave_all(self, ended: Callable[[StreamId], bool]) -> None:
        """Every stream for which `ended` is true ended unseen."""
        for stream_id in [stream_id for stream_id in self._streams if ended(stream_id)]:
            self.leave(stream_id, None)

    def unread(self, stream_id: StreamId) -> None:
        """A message on a stream, if it is a client's, could not be read."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.is_unread = True

    def name(self, stream_id: StreamId) -> str:
        """Operation.name that the stream is about; `""` while that is not known."""
        stream = self._streams.get(stream_id)
        return "" if stream is None else stream.half.name if stream.half is not None else stream.waits_for

    def waits_unnamed(self, since: int) -> bool:
        """Whether a stream of before `since` is open, and it is not known which operation it is about."""
        return any(stream.half is None and stream.opened_at <= since for stream in self._streams.values())

    # --- abandonment --------------------------------------------------------------------------------------------------

    def abandon(self, row: Row) -> bool:
        """The deadline of an operation was reached; whether it is to be dropped. If a worker runs it, it waits for the report."""
        register = self._register
        row.has_abandoned_timer = False
        if row.is_over or row.live:
            return False
        deadline = register.abandoned_at(row)
        if deadline is None or deadline > register.now:
            register.abandon_later(row)
            return False
        row.is_abandoned = True
        return row.work is not Work.RUNNING or row.is_doubtful

    # --- inside -------------------------------------------------------------------------------------------------------

    def _new_half(self, stream: _Stream, instance_name: str | None, client_id: str) -> ClientHalf:
        register, key = self._register, stream.key
        if key is not None and key.instance_name == instance_name:
            # One text for both.
            instance_name = key.instance_name
        half = ClientHalf(
            client_operation_id=client_id,
            instance_name=instance_name,
            peer=stream.peer,
            user_agent=stream.user_agent,
            metadata=stream.metadata,
            order=register.event,
            key=key,
            is_cacheable_known=key is not None,
            priority=stream.priority,
            load_at=stream.opened_at,
            first_update_at=register.now,
        )
        register.add_half(half)
        return half

    def _tell(self, half: ClientHalf, stream: _Stream, event: OperationUpdated) -> None:
        register, stage = self._register, event.stage
        row = half.row
        if row is not None and half.done:
            if stage is not Stage.COMPLETED:
                register.anomaly("update_after_done", event.name, f"{stage.value} after it was completed")
            register.touch(row)
            return
        half.done = event.outcome is not None or stage is Stage.COMPLETED
        if stream.rank < half.teller and not half.done:
            # The client came back on another connection, and this one is behind.
            self._correlation.told(half)
            return
        half.teller = stream.rank
        half.told = register.event
        half.was_requeued = stage is Stage.QUEUED and (half.stage is Stage.EXECUTING or half.was_requeued)
        half.stage = stage
        half.outcome = event.outcome
        if half.key is None and event.digest is not None:
            key = register.pools.guess(event.name.rpartition("/")[0], event.digest)
            if row is None:
                half.key = key
            else:
                row = self._correlation.named(half, key)
        if row is not None:
            if row.is_doubtful and stage is Stage.QUEUED:
                self._workforce.release_doubtful(row, counts=False)
            if half.done:
                row.hears_no_more(half)
            else:
                row.hears(half)
        if half.done:
            half.stage = Stage.COMPLETED
            self._correlation.done(half)
        else:
            self._correlation.told(half)

    def _unfollow(self, stream: _Stream, half: ClientHalf) -> None:
        """The stream follows it no longer."""
        now = self._register.now
        half.followers -= 1
        if half.teller == stream.rank:
            half.teller = 0
        steps = (now - stream.subscribed_at) // _KEEP_ALIVE_NS
        kept_alive_at = stream.subscribed_at + steps * _KEEP_ALIVE_NS if steps else stream.subscribed_at
        half.kept_alive_at = max(half.kept_alive_at, kept_alive_at)
        row = half.row
        if row is None:
            return
        row.kept_alive_at = max(row.kept_alive_at, half.kept_alive_at)
        if half.followers:
            self._register.touch(row)
        elif not half.done:
            row.hears_no_more(half)
            self._correlation.told(half)

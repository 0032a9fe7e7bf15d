"""What the translator asks of every tapped call: the shape that `execution` and `worker_api` fill.

A call is told its messages in order and its end; it answers with events. It may raise `DecodeError` on a payload, which leaves its
state as it was.
"""

from __future__ import annotations

from typing import Protocol

from gateway.model.events import Event, RequestMetadata
from gateway.model.identity import StreamId
from gateway.model.value import value
from gateway.pb import tap_pb2


@value
class Origin:
    """Whose call it is."""

    stream: StreamId
    #: host:port as the tap saw it.
    peer: str
    user_agent: str
    #: None: no header was sent, or it could not be read.
    metadata: RequestMetadata | None


class Call(Protocol):
    """One stream of a tapped method."""

    @property
    def foreign(self) -> str:
        """The other scheduler that it turned out to belong to, and then it has no events; "": it is ours as far as known."""
        ...

    def to_server(self, at: int, payload: bytes) -> list[Event]:
        """The side that connected sent a message."""
        ...

    def to_client(self, at: int, payload: bytes) -> list[Event]:
        """The scheduler sent a message."""
        ...

    def kept_alive(self, at: int, last_at: int, count: int) -> list[Event]:
        """Keep-alives, which the tap coalesces."""
        ...

    def restored(self, at: int, opened_at: int, last_keep_alive_at: int | None, state: tap_pb2.OpenStream) -> list[Event]:
        """What the tap kept of the stream, after a gap; tells only what was not known. All times in Unix nanoseconds."""
        ...

    def closed(self, at: int, closed: tap_pb2.StreamClosed) -> list[Event]:
        """The call is over."""
        ...


def status_code(closed: tap_pb2.StreamClosed) -> int | None:
    """grpc-status; None where there were no trailers."""
    return closed.grpc_status if closed.HasField("grpc_status") else None

"""Wire: what is to be told comes in, a block of the event stream goes out (WHATWG HTML, 9.2.5 and 9.2.6).

JSON has no line breaks of its own, so that every block has one `data` line.
"""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

import msgspec

from gateway.serve.replica import AnyDifference
from gateway.serve.rows import Row, WorkerRow
from gateway.serve.shape import to_json

MEDIA_TYPE = "text/event-stream"
#: Milliseconds after which a client that lost its connection comes again.
RETRY_MS = 2_000
RETRY = b"retry: %d\n\n" % RETRY_MS
#: Why a client has to begin anew: another state came instead of changes; its place is not in the log; it took too little.
NOT_CONTINUED, NOT_IN_LOG, TOO_SLOW = RESETS = ("not_continued", "not_in_log", "too_slow")

_POSITION = re.compile(r"([!-~]{1,300})-([0-9]{1,20})")


class SnapshotEvent(msgspec.Struct, frozen=True, gc=False):
    """`snapshot`: what is told from here on continues the state of this revision."""

    epoch: str
    revision: int


class ResetEvent(msgspec.Struct, frozen=True, gc=False):
    """`reset`: what is told from here on does not continue what was told before; `reason` is one of RESETS."""

    reason: str


class WorkerEvent(msgspec.Struct, frozen=True, gc=False):
    """`worker` and `worker_removed`."""

    #: The number of the revision.
    revision: int
    #: Names the worker for as long as the epoch lasts.
    arrival: int
    #: As GET /api/v1/workers/{id} has it; of a removed one, as it is now or last was.
    worker: msgspec.Raw


class OperationEvent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """`operation` and `operation_removed`; as WorkerEvent."""

    revision: int
    arrival: int
    operation: msgspec.Raw
    #: With the change of `operation_id` only: what it was before.
    previous_operation_id: str | None = None


class SchedulerEvent(msgspec.Struct, frozen=True, gc=False):
    """`scheduler`: the body of GET /api/v1/scheduler/status."""

    revision: int
    scheduler: msgspec.Raw


class HealthEvent(msgspec.Struct, frozen=True, gc=False):
    """`health`: the body of GET /api/v1/system/health."""

    revision: int
    health: msgspec.Raw


class DrainEvent(msgspec.Struct, frozen=True, gc=False):
    """`drain`: an element of GET /api/v1/drains."""

    revision: int
    drain: msgspec.Raw


def position(epoch: str, number: int) -> str:
    """A revision as an id: one word of visible ASCII, whatever the epoch is called."""
    return f"{_quoted(epoch)}-{number}"


def parse_position(text: str) -> tuple[str, int] | None:
    """The revision that an id stands for; None: it is none of ours."""
    found = _POSITION.fullmatch(text)
    if found is None:
        return None
    return unquote_to_bytes(found[1]).decode(errors="replace"), int(found[2])


def snapshot(epoch: str, number: int) -> bytes:
    """The marker that a client begins with."""
    return _block("snapshot", SnapshotEvent(epoch, number), position(epoch, number))


def reset(reason: str) -> bytes:
    """The end of what could be continued. The empty id makes a browser forget where it was."""
    return _block("reset", ResetEvent(reason), "")


def heartbeat(epoch: str, number: int) -> bytes:
    """A comment, and where to come back to: a block without data is no event, and its id counts all the same."""
    return b":\nid: %s\n\n" % position(epoch, number).encode()


def scheduler(number: int, body: bytes) -> bytes:
    """It has no id: it is no part of what is continued."""
    return _block("scheduler", SchedulerEvent(number, msgspec.Raw(body)))


def health(number: int, body: bytes) -> bytes:
    """As `scheduler`."""
    return _block("health", HealthEvent(number, msgspec.Raw(body)))


def drain(number: int, body: bytes) -> bytes:
    """As `scheduler`."""
    return _block("drain", DrainEvent(number, msgspec.Raw(body)))


def entity(id_: str, number: int, row: Row, difference: AnyDifference, *, removed: bool) -> bytes:
    """A worker or an operation of which a revision made something else.

    Args:
        id_: where a client that was told this, and everything before, comes back to.
        number: of the revision.
        row: what is shown of it.
        difference: what became of it.
        removed: it is no longer among what the client sees.
    """
    body = msgspec.Raw(row.json)
    if isinstance(row, WorkerRow):
        return _block("worker_removed" if removed else "worker", WorkerEvent(number, row.arrival, body), id_)
    before = difference.before.ids[:1] if difference.before is not None else ()
    previous = before[0] if before and before != row.ids[:1] else None
    event = OperationEvent(number, row.arrival, body, previous)
    return _block("operation_removed" if removed else "operation", event, id_)


@lru_cache(16)
def _quoted(epoch: str) -> str:
    return quote(epoch, safe="")


def _block(event: str, data: msgspec.Struct, id_: str | None = None) -> bytes:
    line = "" if id_ is None else f"id: {id_}\n" if id_ else "id\n"
    return b"".join((f"{line}event: {event}\ndata: ".encode(), to_json(data), b"\n\n"))

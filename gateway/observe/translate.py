"""Records of a tap in, events of the model out. Sans I/O: no clock, no socket, no logging.

One translator follows one tap through its runs and keeps the sequence: what comes twice is said once, what is missing is told.
What records mean within a run is in `conversations`. Nothing raises: what cannot be read becomes `MessageUnread`.

Time: unix = RunStarted.unix_ns + (monotonic_ns - RunStarted.monotonic_ns); `now` is that of the latest record and never decreases.
"""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from gateway.config.types import Config
from gateway.model.events import Event, RecordsMissed, RunEnded
from gateway.observe.cacheability import Cacheability
from gateway.observe.conversations import Conversations
from gateway.observe.schedulers import configured
from gateway.observe.taps import TapRun, begun
from gateway.pb import tap_pb2


class Translator:
    """Follows one tap. `translate` is called with its records in their order."""

    __slots__ = (
        "_cacheability",
        "_conversations",
        "_missed_until",
        "_schedulers",
        "foreign",
        "next_sequence",
        "now",
        "unknown_records",
    )

    def __init__(self, config: Config, cacheability: Cacheability | None = None) -> None:
        self._schedulers = configured(config)
        self._cacheability = cacheability or Cacheability()
        self._conversations: Conversations | None = None
        #: Up to here losses were told; a link that breaks while the state is read hears of the same gap twice.
        self._missed_until = 0
        #: Unix nanoseconds of the latest record; 0: none yet.
        self.now = 0
        #: The first record that was not seen: what a reader asks for when it comes back.
        self.next_sequence = 0
        #: Messages and admin calls of other schedulers that went by, by scheduler.
        self.foreign: Counter[str] = Counter()
        #: Records without a kind that is known here, or before any RunStarted.
        self.unknown_records = 0

    @property
    def run(self) -> TapRun | None:
        """The run being followed; None: no record has come."""
        return self._conversations.run if self._conversations else None

    def translate(self, record: tap_pb2.TapRecord) -> list[Event]:
        """What the record says. An empty list still means that time went on to `now`."""
        kind = record.WhichOneof("record")
        if kind == "run_started":
            return self._begin(record.run_started)
        conversations = self._conversations
        if conversations is None or kind is None:
            self.unknown_records += 1
            return []
        at = record.monotonic_ns + conversations.run.offset
        self.now = max(self.now, at)
        lost: list[Event] = []
        if kind not in {"gap", "state_begin", "open_stream", "state_end"}:
            sequence, expected = record.sequence, self.next_sequence
            if sequence < expected:
                return []  # seen before the link broke
            if sequence > expected:
                # The tap would have said Gap: something between it and here lost records.
                lost = self._missed(at, expected, sequence - 1)
            self.next_sequence = sequence + 1
        events = self._read(conversations, at, record)
        return lost + events if lost else events

    def _read(  # noqa: C901 - a table: one line for every kind of record
        self, conversations: Conversations, at: int, record: tap_pb2.TapRecord
    ) -> list[Event]:
        """Every kind of record, so that a new one is a type error here."""
        kind = record.WhichOneof("record")
        match kind:
            case "message":
                return conversations.message(at, record.connection, record.stream, record.message)
            case "keep_alives":
                return conversations.keep_alives(at, record.connection, record.stream, record.keep_alives)
            case "stream_opened":
                return conversations.stream_opened(record.connection, record.stream, record.stream_opened)
            case "stream_closed":
                return conversations.stream_closed(at, record.connection, record.stream, record.stream_closed)
            case "tick":
                return conversations.tick(at, record.tick)
            case "connection_opened":
                return conversations.connection_opened(at, record.connection, record.connection_opened)
            case "connection_closed":
                return conversations.connection_closed(at, record.connection, record.connection_closed)
            case "upstream_refused":
                return conversations.upstream_refused(at, record.connection, record.upstream_refused)
            case "blinded":
                return conversations.blinded(at, record.connection, record.blinded)
            case "admin_call":
                return conversations.admin_call(at, record.connection, record.admin_call)
            case "gap":
                return self._missed(at, record.gap.first, record.gap.last)
            case "state_begin":
                return conversations.state_begin()
            case "open_stream":
                return conversations.open_stream(at, record.connection, record.stream, record.open_stream)
            case "state_end":
                self.next_sequence = max(self.next_sequence, record.sequence + 1)
                return conversations.state_end(at)
            case "run_started" | None:
                return []
            case _:
                assert_never(kind)

    def _begin(self, started: tap_pb2.RunStarted) -> list[Event]:
        """Said at the beginning of a run, and repeated to a reader that comes back."""
        before = self.run
        if before is not None and before.id == started.run:
            return []
        run = begun(started)
        # The clock was set back between two runs: time goes on from where it was, at its own pace, instead of standing still (P7).
        run.offset += max(0, self.now - started.unix_ns)
        self._conversations = Conversations(run, self._schedulers, self._cacheability, self.foreign)
        self.next_sequence = 2
        self._missed_until = 0
        ended: list[Event] = [RunEnded(self.now, before.id)] if before is not None else []
        self.now = max(self.now, started.unix_ns)
        return ended

    def _missed(self, at: int, first: int, last: int) -> list[Event]:
        conversations = self._conversations
        count = last - max(first, self._missed_until + 1) + 1
        if conversations is None or count <= 0:
            return []
        self._missed_until = last
        return [RecordsMissed(at, conversations.run.id, count)]

"""A recording's records come in, lines for a person or for a program go out, and a summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.message import DecodeError, Message

from gateway.observe.recording.payloads import Methods, message_class
from gateway.pb import tap_pb2

#: Characters of a line, unless everything is wanted.
_LINE = 200
_NS = 1_000_000_000
_ARROWS = {tap_pb2.Message.TO_SERVER: ">", tap_pb2.Message.TO_CLIENT: "<"}


class Inspection:
    """Follows the records of a recording in their order."""

    def __init__(self, *, is_full: bool) -> None:
        """`is_full`: lines are as long as they are."""
        self._is_full = is_full
        self._methods = Methods()
        #: Unix nanoseconds less monotonic ones, of the run.
        self._offset = 0
        #: Unix nanoseconds of the first record; 0: none yet.
        self._began = 0
        self._ended = 0
        self._runs: dict[str, None] = {}
        self._kinds: Counter[str] = Counter()
        self._streams: Counter[str] = Counter()
        self._omitted: Counter[str] = Counter()
        self._missing = 0

    def line(self, record: tap_pb2.TapRecord) -> str:
        """One record, readable: seconds since the beginning, connection and stream, kind, what it says."""
        method = self._follow(record)
        kind = record.WhichOneof("record") or "unknown"
        place = f"{record.connection}/{record.stream}" if record.stream else str(record.connection or "-")
        at = (record.monotonic_ns + self._offset - self._began) / _NS
        text = f"{at:12.6f}  {place:>9}  {kind:<18}  {self._said(record, method)}"
        if not self._is_full and len(text) > _LINE:
            text = f"{text[: _LINE - 1]}…"
        return text

    def as_json(self, record: tap_pb2.TapRecord) -> str:
        """One record as a JSON object, its payload decoded where that can be."""
        method = self._follow(record)
        shown: dict[str, Any] = json_format.MessageToDict(record, preserving_proto_field_name=True)
        shown["unix_ns"] = record.monotonic_ns + self._offset
        if record.HasField("message"):
            decoded = _decoded(method, record.message.direction, record.message.payload)
            if decoded is not None:
                shown["message"]["payload"] = json_format.MessageToDict(decoded, preserving_proto_field_name=True)
                shown["message"]["type"] = decoded.DESCRIPTOR.name
        return json.dumps(shown, ensure_ascii=False)

    def summary(self) -> Iterator[str]:
        """What there was, at the end."""
        span = (self._ended - self._began) / _NS
        yield f"{self._kinds.total()} records of {len(self._runs)} run{'s' * (len(self._runs) != 1)} in {span:.1f} s"
        if self._began:
            yield f"from {_clock(self._began)} to {_clock(self._ended)}"
        yield from _table("records", self._kinds)
        yield from _table("calls", self._streams)
        yield from _table("messages without payload", self._omitted)
        if self._missing:
            yield f"missing: {self._missing} records, in gaps"

    def _follow(self, record: tap_pb2.TapRecord) -> str:
        kind = record.WhichOneof("record") or "unknown"
        self._kinds[kind] += 1
        if kind == "run_started":
            started = record.run_started
            self._offset = started.unix_ns - started.monotonic_ns
            self._runs[started.run] = None
        elif kind == "stream_opened":
            self._streams[record.stream_opened.method] += 1
        elif kind == "gap":
            self._missing += max(record.gap.last - record.gap.first + 1, 0)
        elif kind == "message" and record.message.omitted:
            self._omitted[_word(tap_pb2.Message.Omission, record.message.omitted)] += 1
        at = record.monotonic_ns + self._offset
        self._began = self._began or at
        self._ended = max(self._ended, at)
        return self._methods.follow(record)

    def _said(self, record: tap_pb2.TapRecord, method: str) -> str:
        kind = record.WhichOneof("record")
        if kind is None:
            return ""
        if kind == "message":
            message = record.message
            arrow = _ARROWS.get(message.direction, "?")
            if message.omitted:
                return f"{arrow} {message.omitted_length} bytes ({_word(tap_pb2.Message.Omission, message.omitted)})"
            decoded = _decoded(method, message.direction, message.payload)
            if decoded is None:
                return f"{arrow} {len(message.payload)} bytes that cannot be read"
            return f"{arrow} {decoded.DESCRIPTOR.name} {{ {_text(decoded)} }}"
        if kind == "stream_opened":
            return f"{method} {record.stream_opened.user_agent}"
        return _text(getattr(record, kind))


def _decoded(method: str, direction: tap_pb2.Message.Direction.ValueType, payload: bytes) -> Message | None:
    found = message_class(method, direction, payload)
    if found is None:
        return None
    try:
        return found.FromString(payload)
    except DecodeError:
        return None


def _text(message: Message) -> str:
    return text_format.MessageToString(message, as_one_line=True, as_utf8=True)


def _word(enum: Any, number: int) -> str:
    return str(enum.Name(number)).lower().replace("_", " ") if number in enum.values() else str(number)


def _table(title: str, counts: Counter[str]) -> Iterator[str]:
    if counts:
        yield f"{title}:"
        for word, count in counts.most_common():
            yield f"{count:10}  {word}"


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / _NS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

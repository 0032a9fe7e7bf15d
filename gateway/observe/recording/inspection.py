"""A recording's records come in, lines for a person or for a program go out, and a summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format, text_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from gateway.observe.recording.payloads import Methods, message_class
from gateway.pb import remote_execution_pb2 as reapi
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
        """One record as a JSON object, what it carries decoded where that can be."""
        method = self._follow(record)
        shown = _as_dict(record)
        shown["unix_ns"] = record.monotonic_ns + self._offset
        for path, message in _carried(record, method):
            if message is not None:
                *outer, name = path
                holder: dict[str, Any] = shown
                for each in outer:
                    holder = holder[each]
                holder[name] = _as_dict(message)
                holder["type" if name == "payload" else f"{name}_type"] = message.DESCRIPTOR.name
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
            return _message(record, method)
        rest = tap_pb2.TapRecord()
        rest.CopyFrom(record)
        carried = ""
        for path, message in _carried(record, method):
            if message is not None:
                *outer, name = path
                holder: Message = rest
                for each in outer:
                    holder = getattr(holder, each)
                holder.ClearField(name)
                carried += f" {name} {message.DESCRIPTOR.name} {{ {_text(message)} }}"
        return _text(getattr(rest, kind)) + carried


def _message(record: tap_pb2.TapRecord, method: str) -> str:
    message = record.message
    arrow = _ARROWS.get(message.direction, "?")
    if message.omitted:
        return f"{arrow} {message.omitted_length} bytes ({_word(tap_pb2.Message.Omission, message.omitted)})"
    ((_, decoded),) = _carried(record, method)
    if decoded is None:
        return f"{arrow} {len(message.payload)} bytes that cannot be read"
    return f"{arrow} {decoded.DESCRIPTOR.name} {{ {_text(decoded)} }}"


def _carried(record: tap_pb2.TapRecord, method: str) -> Iterator[tuple[tuple[str, ...], Message | None]]:
    """Messages that a record carries as bytes, by the names that lead to them; None: cannot be read."""
    kind = record.WhichOneof("record")
    if kind == "message" and not record.message.omitted:
        yield ("message", "payload"), _decoded(method, record.message.direction, record.message.payload)
    elif kind == "stream_opened":
        yield (kind, "request_metadata"), _metadata(record.stream_opened)
    elif kind == "open_stream":
        state = record.open_stream
        yield (kind, "stream_opened", "request_metadata"), _metadata(state.stream_opened)
        if state.HasField("first_to_server"):
            yield (kind, "first_to_server"), _decoded(method, tap_pb2.Message.TO_SERVER, state.first_to_server)
        if state.HasField("first_to_client"):
            yield (kind, "first_to_client"), _decoded(method, tap_pb2.Message.TO_CLIENT, state.first_to_client)
        if state.HasField("latest_to_client"):
            yield (kind, "latest_to_client"), _decoded(method, tap_pb2.Message.TO_CLIENT, state.latest_to_client)


def _metadata(opened: tap_pb2.StreamOpened) -> Message | None:
    return _parsed(reapi.RequestMetadata, opened.request_metadata) if opened.request_metadata else None


def _decoded(method: str, direction: tap_pb2.Message.Direction.ValueType, payload: bytes) -> Message | None:
    found = message_class(method, direction, payload)
    return None if found is None else _parsed(found, payload)


def _parsed(kind: type[Message], payload: bytes) -> Message | None:
    try:
        return kind.FromString(payload)
    except DecodeError:
        return None


def _as_dict(message: Message) -> dict[str, Any]:
    try:
        shown: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    except (json_format.Error, DecodeError, TypeError, ValueError):
        # Whatever JSON has no form for: an Any of a type that is not ours, a time that is out of range.
        shown = {"text": _text(message)}
    return shown


def _text(message: Message) -> str:
    """On one line, unknown fields included, nothing in it that a terminal would obey."""
    try:
        text = text_format.MessageToString(message, as_one_line=True, as_utf8=True, print_unknown_fields=True)
    except DecodeError:
        # An Any whose value is not of its type.
        plain = type(message)()
        plain.CopyFrom(message)
        _spoil_types(plain)
        text = text_format.MessageToString(plain, as_one_line=True, as_utf8=True, print_unknown_fields=True)
    return _printable(text)


def _spoil_types(message: Message) -> None:
    """Keeps the values of Anys from being read as their types."""
    for field, value in message.ListFields():
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            for each in value if field.is_repeated else (value,):
                if isinstance(each, AnyMessage):
                    each.type_url = f"unreadable: {each.type_url.replace('/', ' ')}"
                else:
                    _spoil_types(each)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def _word(enum: Any, number: int) -> str:
    return str(enum.Name(number)).lower().replace("_", " ") if number in enum.values() else str(number)


def _table(title: str, counts: Counter[str]) -> Iterator[str]:
    if counts:
        yield f"{title}:"
        for word, count in counts.most_common():
            yield f"{count:10}  {_printable(word)}"


def _clock(at: int) -> str:
    return datetime.fromtimestamp(at / _NS, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

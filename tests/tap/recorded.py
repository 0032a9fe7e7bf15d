"""Recordings of a real NativeLink as events for a decoder."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.tap.offline import ChunkEvent
from tests.e2e.recordings import Entry

_KINDS = {">": "to_server", "<": "to_client", ">.": "eof_client", "<.": "eof_server", "refused": "refused", "close": "close"}


def events_of(entries: Iterable[Entry]) -> list[ChunkEvent]:
    events: list[ChunkEvent] = []
    for entry in entries:
        now = int(entry.at * 1e9)
        if entry.kind == "open":
            events.append((now, entry.connection, "open", (entry.text, f"10.0.0.{entry.connection}:1")))
        else:
            payload = entry.data if entry.kind in "<>" else entry.text or None
            events.append((now, entry.connection, _KINDS[entry.kind], payload))
    return events

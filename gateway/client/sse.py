"""Server-sent events: bytes of a stream come in as they arrive, events go out (WHATWG HTML, 9.2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

#: Of one event; the largest there are have some kilobytes.
MOST_BYTES = 16 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class NoEventsError(ValueError):
    """The stream is none of events: an event has no end."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened."""

    kind: str
    data: str
    #: Where a reader that has had this event comes back to; empty: nowhere.
    id: str


class Events:
    """One stream, from its beginning."""

    MEDIA_TYPE = "text/event-stream"

    def __init__(self, last_id: str = "") -> None:
        #: As of Event.id, of everything so far; also of what is no event.
        self.last_id = last_id
        #: Milliseconds after which the server wants to see a reader again; None: it did not say.
        self.retry_ms: int | None = None
        self._rest = b""
        self._is_begun = False
        self._kind = ""
        self._data: list[str] = []
        self._id = last_id
        self._bytes = 0

    def feed(self, more: bytes) -> Iterator[Event]:
        """The events that are complete with these bytes.

        Raises:
            NoEventsError: one is longer than MOST_BYTES.
        """
        self._rest += more
        if not self._is_begun:
            if _BYTE_ORDER_MARK.startswith(self._rest):
                return
            self._rest = self._rest.removeprefix(_BYTE_ORDER_MARK)
            self._is_begun = True
        *lines, self._rest = self._lines()
        for line in lines:
            self._bytes += len(line)
            event = self._line(line.decode(errors="replace"))
            if event is not None:
                yield event
        if self._bytes + len(self._rest) > MOST_BYTES:
            raise NoEventsError(f"an event of more than {MOST_BYTES} bytes")

    def _lines(self) -> list[bytes]:
        """Lines end with CR, LF or both; a CR at the end of what is there may have its LF still to come."""
        rest = self._rest
        held = b"\r" if rest.endswith(b"\r") else b""
        if held:
            rest = rest[:-1]
        lines = rest.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        lines[-1] += held
        return lines

    def _line(self, line: str) -> Event | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdecimal() and len(value) < 10:
                self.retry_ms = int(value)
            case _:
                # A comment, or what a later version says.
                pass
        return None

    def _end(self) -> Event | None:
        self.last_id = self._id
        event = Event(self._kind or "message", "\n".join(self._data), self.last_id) if self._data else None
        self._kind, self._bytes = "", 0
        self._data.clear()
        return event

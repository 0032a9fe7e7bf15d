"""The decoder alone: what happened on the wire, as events, in; the records of one run out. For recordings, without sockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from gateway.config.types import TapLimits
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.journal import Journal
from gateway.tap.records import BY_CLIENT, BY_TAP, BY_UPSTREAM, TO_CLIENT, TO_SERVER, Listener

#: monotonic_ns, connection, kind, payload. Kinds and payloads:
#:
#: - "open": (listener, peer)
#: - "to_server", "to_client": bytes
#: - "eof_client", "eof_server": None; that side sent FIN
#: - "refused": the operating system's words
#: - "close": None; both directions are over
#: - "tick": None, of connection 0
ChunkEvent = tuple[int, int, str, Any]

_DIRECTIONS = {"to_server": TO_SERVER, "to_client": TO_CLIENT, "eof_client": TO_SERVER, "eof_server": TO_CLIENT}


def decode_chunks(
    events: Iterable[ChunkEvent],
    *,
    run: str,
    unix_ns: int,
    monotonic_ns: int,
    listeners: Sequence[Listener],
    limits: TapLimits | None = None,
) -> Iterator[bytes]:
    """Yields length-delimited TapRecords, RunStarted first, as a live tap would publish them.

    Args:
        events: In order of time.
        run: RunStarted.run
        unix_ns: Unix time at `monotonic_ns`.
        monotonic_ns: When the run began.
        listeners: Every listener that an "open" names.
        limits: Bounds; the configuration's defaults if None.

    Raises:
        ValueError: An event of an unknown kind.
    """
    found: list[bytes] = []
    journal = Journal(run, unix_ns, monotonic_ns, listeners, limits or TapLimits(), found.append)
    connections: dict[int, _Connection] = {}
    yield from _taken(found)
    for now, number, kind, payload in events:
        if kind == "tick":
            journal.tick(now)
        elif kind == "open":
            listener, peer = payload
            connections[number] = _Connection(journal.connection(number, listener, peer))
            connections[number].decoder.opened(now)
        else:
            connections[number].apply(now, kind, payload)
            if kind == "close":
                del connections[number]
        yield from _taken(found)


def _taken(found: list[bytes]) -> list[bytes]:
    taken = found[:]
    found.clear()
    return taken


class _Connection:
    """A decoder, and who ended its connection."""

    def __init__(self, decoder: ConnectionDecoder) -> None:
        self.decoder = decoder
        self._by = 0

    def apply(self, now: int, kind: str, payload: Any) -> None:
        decoder = self.decoder
        match kind:
            case "to_server" | "to_client":
                decoder.feed(now, _DIRECTIONS[kind], payload)
                while not decoder.work():
                    pass
            case "eof_client" | "eof_server":
                self._by = self._by or (BY_CLIENT if kind == "eof_client" else BY_UPSTREAM)
                decoder.eof(now, _DIRECTIONS[kind])
            case "refused":
                self._by = BY_TAP
                decoder.refused(now, payload)
            case "close":
                # A recording does not say who reset; without a FIN it was the peer, as far as anybody can tell.
                decoder.closed(now, self._by or BY_CLIENT, reset=not self._by)
            case _:
                raise ValueError(f"no such event: {kind}")

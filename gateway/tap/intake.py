"""What was forwarded and waits to be decoded: chunks and ends of connections in, fed to decoders in order of arrival.

Decoding a moment later, together, is the tap's largest single gain (tap-cost.md): code and caches are warm, and no forwarding
waits for it. The queue is bounded in memory; over the bound the connections that have most of it are not read any more. Decoding
goes in slices, so that forwarding never waits longer than one slice. Nothing raises into whoever forwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from time import monotonic_ns

from gateway.tap.connection import ConnectionDecoder
from gateway.tap.delays import Delays
from gateway.tap.records import OVERLOADED

_log = logging.getLogger(__name__)

#: A chunk of bulk; messages of the tapped methods are far smaller.
_LARGE_BYTES = 32 * 1024
#: What a chunk costs in memory besides its bytes: a peer that says one byte at a time must not get the queue for nothing.
CHUNK_BYTES = 192
#: Over the bound this part of it is made free, so that letting go, which looks at all that waits, is rare.
_SHED_PART = 8
#: How long the loop is held at a time.
_SLICE_NS = 2_000_000

#: Something other than bytes that happened at a time.
Happening = Callable[[int], None]


class Intake:
    """One queue for all connections: so order and time are those of arrival, also between connections."""

    __slots__ = ("_chunks", "_decoded", "_handle", "_interval_s", "_limit", "_loop", "_working", "delays", "queued_bytes")

    def __init__(self, loop: asyncio.AbstractEventLoop, limit_bytes: int, interval_s: float, decoded: Callable[[], None]) -> None:
        """Decodes `interval_s` after something came, keeps `limit_bytes` until then, CHUNK_BYTES of each chunk among them.

        `decoded` is called after each slice.
        """
        self._loop = loop
        self.delays = Delays(loop)
        self._limit = limit_bytes
        #: Memory of the chunks that wait.
        self.queued_bytes = 0
        self._interval_s = interval_s
        self._decoded = decoded
        #: When, whose, direction and bytes; or when and what else happened.
        self._chunks: deque[tuple[int, ConnectionDecoder | Happening, int, bytes]] = deque()
        #: In the middle of a chunk.
        self._working: ConnectionDecoder | None = None
        self._handle: asyncio.Handle | None = None

    def chunk(self, now: int, decoder: ConnectionDecoder, direction: int, data: bytes) -> None:
        """Bytes arrived `now`, and were forwarded. The decoder `reads`."""
        size = len(data)
        if size >= _LARGE_BYTES and (self._is_idle or self._run(now + _SLICE_NS)):
            # Bulk is stepped over while it is in the processor's cache, and its memory is used again: waiting would cost more.
            self._take(now, decoder, direction, data)
            self.delays.worked()
        else:
            self._chunks.append((now, decoder, direction, data))
            size += CHUNK_BYTES
            decoder.pending_bytes += size
            self.queued_bytes += size
            if self.queued_bytes > self._limit:
                self._shed()
        if self._handle is None:
            self._handle = self._loop.call_later(self._interval_s, self._decode)

    @property
    def _is_idle(self) -> bool:
        return not self._chunks and self._working is None

    def happened(self, what: Happening) -> None:
        """Something other than bytes happened now; `what` is called with the time, in its turn."""
        self._chunks.append((monotonic_ns(), what, 0, b""))
        if self._handle is None:
            self._handle = self._loop.call_later(self._interval_s, self._decode)

    def drain(self, within_s: float) -> None:
        """Decodes what waits, for so long at most; at the end."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._run(monotonic_ns() + int(within_s * 1e9))
        self._decoded()

    def catch_up(self, within_s: float) -> bool:
        """Decodes what waits, for so long at most; whether nothing is left."""
        done = self._run(monotonic_ns() + int(within_s * 1e9))
        self._decoded()
        return done

    def _decode(self) -> None:
        self._handle = None
        done = self._run(monotonic_ns() + _SLICE_NS)
        self._decoded()
        self.delays.worked()
        if not done:
            # The loop looks at its sockets first.
            self._handle = self._loop.call_soon(self._decode)

    def _run(self, until: int) -> bool:
        """Decodes until then; whether nothing is left."""
        chunks = self._chunks
        while monotonic_ns() < until:
            if self._working is not None:
                if not self._goes_on(self._working):
                    continue
                self._working = None
            if not chunks:
                break
            now, what, direction, data = chunks.popleft()
            if isinstance(what, ConnectionDecoder):
                size = len(data) + CHUNK_BYTES
                what.pending_bytes -= size
                self.queued_bytes -= size
                self._take(now, what, direction, data)
            else:
                self._tell(now, what)
        return self._is_idle

    def _take(self, now: int, decoder: ConnectionDecoder, direction: int, data: bytes) -> None:
        if not decoder.reads:
            decoder.forwarded(len(data))
            return
        try:
            decoder.feed(now, direction, data)
            if not decoder.work():
                self._working = decoder
        except Exception:  # forwarding goes on whatever fails here  # noqa: BLE001 - P1
            self._give_up(decoder)

    def _goes_on(self, decoder: ConnectionDecoder) -> bool:
        """Another slice of what the decoder has taken: whether that was all."""
        try:
            return decoder.work()
        except Exception:  # as above  # noqa: BLE001 - P1
            self._give_up(decoder)
            return True

    @staticmethod
    def _give_up(decoder: ConnectionDecoder) -> None:
        """Not even a record could be made of it."""
        _log.exception("connection %d is not read any more: the tap failed to record that", decoder.number)
        decoder.give_up()

    def _tell(self, now: int, what: Happening) -> None:
        try:
            what(now)
        except Exception:  # forwarding goes on whatever fails here  # noqa: BLE001 - P1
            _log.exception("the tap failed to record what happened")

    def _shed(self) -> None:
        """More waits than may: those that have most of it are not read any more, and their bytes are let go."""
        waiting = {whose for _, whose, _, _ in self._chunks if isinstance(whose, ConnectionDecoder)}
        surplus = self.queued_bytes - self._limit + self._limit // _SHED_PART
        gone: set[ConnectionDecoder | Happening] = set()
        now = monotonic_ns()
        for decoder in sorted(waiting, key=lambda each: each.pending_bytes, reverse=True):
            if surplus <= 0:
                break
            surplus -= decoder.pending_bytes
            self.queued_bytes -= decoder.pending_bytes
            decoder.pending_bytes = 0
            gone.add(decoder)
        kept: deque[tuple[int, ConnectionDecoder | Happening, int, bytes]] = deque()
        for chunk in self._chunks:
            _, whose, _, data = chunk
            if whose not in gone:
                kept.append(chunk)
            elif isinstance(whose, ConnectionDecoder):
                whose.forwarded(len(data))
        self._chunks = kept
        if self._working in gone:
            self._working = None
        for decoder in waiting & gone:
            self._overloaded(decoder, now)

    def _overloaded(self, decoder: ConnectionDecoder, now: int) -> None:
        self.happened(lambda _: decoder.blind(now, OVERLOADED, f"more than {self._limit} bytes wait to be decoded"))

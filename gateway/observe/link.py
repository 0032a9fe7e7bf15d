"""The record link: a tap is read for ever, batches of TapRecords go to whoever follows the tap.

The reader asks for the first record that it has not seen, so a link that breaks loses nothing that the tap still has. It never
waits for anything but the socket; what it hands on is processed between two reads, so the tap's ring is the only queue.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from gateway.observe.dialling import Dial
from gateway.observe.wire import FramingError, Splitter, delimited
from gateway.pb import tap_pb2

#: Design 7: fresh is a Tick within this.
FRESH_S = 5.0
#: A tap ticks once a second. One that has said nothing for this long may have a successor behind the same path.
SILENCE_LIMIT_S = 10.0

#: Bytes of one read, which are processed before anything else gets a turn: some milliseconds of work.
_READ_BYTES = 64 * 1024
#: A record has at most three messages of the tap's limit (OpenStream), 4 MiB each unless configured otherwise.
_RECORD_BYTES = 256 * 1024 * 1024
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 2.0
_CONNECT_TIMEOUT_S = 5.0
#: How often the tap is told how far its records have been read.
_ACKNOWLEDGE_S = 1.0
#: All roles start together: for so long it is not worth a warning that the tap is not there yet.
STARTING_S = 3.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a reader goes on."""

    #: Empty: no run is known.
    run: str
    next_sequence: int


class RecordLink:
    """Follows one tap's socket. `follow` runs until it is cancelled."""

    def __init__(
        self,
        dial: Dial,
        position: Callable[[], Position],
        receive: Callable[[list[tap_pb2.TapRecord]], None],
        *,
        processed: Callable[[], Position] | None = None,
        clock: Callable[[], float] = time.monotonic,
        unix_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """`position`: after all that was received, asked at a connect. `processed`: what the tap is told of it; None: the same."""
        self._dial = dial
        self._position = position
        self._processed = processed or position
        self._receive = receive
        self._clock = clock
        self._unix_ns = unix_ns
        #: Why the link is down; None: it is up.
        self.problem: str | None = "not connected yet"
        self._began = clock()
        #: The problem that was logged last; None: the link was up since.
        self._logged: str | None = None
        #: Clock at the last Tick; None: there was none.
        self._last_tick: float | None = None
        #: How far the tap's clock was behind this one's at the last Tick that came by itself; None: there was none.
        self.behind_s: float | None = None
        #: Records that are none. The sequence shows the loss.
        self.malformed = 0

    def silence_s(self) -> float | None:
        """Seconds since the last Tick arrived; None: none ever did."""
        return None if self._last_tick is None else self._clock() - self._last_tick

    @property
    def is_fresh(self) -> bool:
        """The link is up and says so itself."""
        silence_s = self.silence_s()
        return self.problem is None and silence_s is not None and silence_s <= FRESH_S

    async def follow(self) -> None:
        """Connect, read, and connect again."""
        wait_s = _FIRST_WAIT_S
        while True:
            ticks_before = self._last_tick
            self._lost(await self._follow_once())
            if self._last_tick != ticks_before:
                wait_s = _FIRST_WAIT_S
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    async def _follow_once(self) -> str:
        """Read one connection to its end; returns why it is over."""
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                reader, writer = await self._dial.open(_READ_BYTES)
        except (OSError, TimeoutError) as error:
            return f"nobody answers at {self._dial}: {_words(error)}"
        try:
            position = self._position()
            writer.write(delimited(tap_pb2.ReadRequest(run=position.run, next_sequence=position.next_sequence).SerializeToString()))
            has_said_something = await self._read(reader, writer)
        except (OSError, FramingError, TimeoutError) as error:
            return f"the record link at {self._dial} broke: {_words(error)}"
        finally:
            writer.close()
        return f"the tap at {self._dial} closed the record link{'' if has_said_something else self._dial.hint}"

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """To the end; whether there was any record."""
        has_said_something = False
        run = ""
        #: Nanoseconds between the tap's monotonic clock and Unix time.
        offset = 0
        splitter = Splitter(_RECORD_BYTES)
        acknowledged_at = self._clock()
        while data := await _read_some(reader):
            records = []
            for message in splitter.feed(data):
                try:
                    # upb takes any buffer; its stubs say bytes.
                    records.append(tap_pb2.TapRecord.FromString(message))  # type: ignore[arg-type]
                except DecodeError:
                    self.malformed += 1
            if not records:
                continue
            self._up()
            has_said_something = True
            for record in records:
                if record.HasField("run_started"):
                    run = record.run_started.run
                    offset = record.run_started.unix_ns - record.run_started.monotonic_ns
                elif record.HasField("tick"):
                    self._last_tick = self._clock()
                    if len(data) < _READ_BYTES:
                        # Of a backlog it would say how old that is.
                        self.behind_s = (self._unix_ns() - record.monotonic_ns - offset) / 1e9
            self._receive(records)
            if self._clock() - acknowledged_at >= _ACKNOWLEDGE_S:
                acknowledged_at = self._clock()
                processed = self._processed()
                if processed.run == run:
                    acknowledgement = tap_pb2.Acknowledgement(sequence=max(processed.next_sequence - 1, 0))
                    writer.write(delimited(acknowledgement.SerializeToString()))
            # A backlog is read without ever waiting for the socket: others get their turn.
            await asyncio.sleep(0)
        return has_said_something

    def _up(self) -> None:
        if self.problem is not None:
            self.problem = self._logged = None
            logger.info("reading the tap at %s", self._dial)

    def _lost(self, problem: str) -> None:
        self.problem = problem
        is_starting = self._last_tick is None and self._clock() - self._began < STARTING_S
        if problem != self._logged and not is_starting:
            self._logged = problem
            logger.warning("not reading the tap: %s", problem)


async def _read_some(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SILENCE_LIMIT_S):
        return await reader.read(_READ_BYTES)


def _words(error: BaseException) -> str:
    return str(error) or "no answer in time"

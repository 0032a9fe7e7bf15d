"""Replay: a recording's records come in, batches in the pace of their times go out, as a record link would bring them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from gateway.observe.recording.files import RecordingFiles
from gateway.pb import tap_pb2

#: Records that are folded in before others get their turn.
_BATCH = 500
_NS = 1_000_000_000
#: What is due within this is not waited for.
_GRAIN_S = 0.001
#: A pause of the recording that is longer, as between two runs of a tap, is played as this.
_LONGEST_PAUSE_S = 2.0

logger = logging.getLogger(__name__)


class Replay:
    """Plays a recording once."""

    def __init__(self, files: RecordingFiles, speed: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`speed`: times that of the recording; 0: as fast as it goes."""
        self.files = files
        self.is_over = False
        self._speed = speed
        self._clock = clock

    def describe(self) -> str:
        """For health."""
        what = f"a replay of {self.files.files[-1]}"
        return f"This is {what}, which is over: time stands still." if self.is_over else f"This is {what}, which goes on."

    async def play(self, receive: Callable[[list[tap_pb2.TapRecord]], None]) -> None:
        """Hands all records on, each not before its time has come."""
        batch: list[tap_pb2.TapRecord] = []
        pace = _Pace(self._speed, self._clock)
        for record in self.files.records():
            wait_s = pace.wait_s(record)
            if batch and (wait_s > _GRAIN_S or len(batch) >= _BATCH):
                receive(batch)
                batch = []
                await asyncio.sleep(0)
            if wait_s > _GRAIN_S:
                await asyncio.sleep(wait_s)
            batch.append(record)
        if batch:
            receive(batch)
        self.is_over = True
        for damage in self.files.damage:
            logger.warning("%s", damage)
        logger.info("the replay of %s is over; its last state is shown until this process is stopped", self.files.files[-1])


class _Pace:
    """When each record is due."""

    def __init__(self, speed: float, clock: Callable[[], float]) -> None:
        self._speed = speed
        self._clock = clock
        #: Of the record before, nanoseconds of its run's clock; None: a run began.
        self._before: int | None = None
        #: By the clock, when that one was due.
        self._due = clock()

    def wait_s(self, record: tap_pb2.TapRecord) -> float:
        """Seconds until the record is due, negative where it is late."""
        if not self._speed:
            return 0.0
        if record.HasField("run_started"):
            self._before = record.monotonic_ns
            return 0.0
        if self._before is not None and record.monotonic_ns > self._before:
            pause_s = (record.monotonic_ns - self._before) / _NS
            self._due += min(pause_s, _LONGEST_PAUSE_S) / self._speed
            self._before = record.monotonic_ns
        return self._due - self._clock()

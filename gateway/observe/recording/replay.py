"""Replay: a recording's records come in, batches in the pace of their times go out, as the record links would bring them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path

from gateway.observe import merge
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

    def __init__(self, recordings: Sequence[RecordingFiles], speed: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """What to play.

        Args:
            recordings: of the processes of one tap, by their numbers; one at least.
            speed: times that of the recording; 0: as fast as it goes.
            clock: seconds.
        """
        self.recordings = recordings
        #: The tap processes, by the names of their record links.
        self.sources = [f"tap-{number}" for number in range(len(recordings))]
        self.is_over = False
        self._speed = speed
        self._clock = clock

    def describe(self) -> str:
        """For health."""
        what = f"a replay of {self._file}"
        return f"This is {what}, which is over: time stands still." if self.is_over else f"This is {what}, which goes on."

    async def play(self, receive: Callable[[str, list[tap_pb2.TapRecord]], None], settle: Callable[[], None]) -> None:
        """Hands all records on, with their source, each not before its time has come.

        Args:
            receive: takes them.
            settle: is called after the last.
        """
        batch: list[tuple[int, tap_pb2.TapRecord]] = []
        pace = _Pace(self._speed, self._clock)
        for placed in merge.in_order([(0, files.records()) for files in self.recordings]):
            wait_s = pace.wait_s(placed[1])
            if batch and (wait_s > _GRAIN_S or len(batch) >= _BATCH):
                self._hand_on(batch, receive)
                batch = []
                await asyncio.sleep(0)
            if wait_s > _GRAIN_S:
                await asyncio.sleep(wait_s)
            batch.append(placed)
        self._hand_on(batch, receive)
        settle()
        self.is_over = True
        for damage in chain.from_iterable(files.damage for files in self.recordings):
            logger.warning("%s", damage)
        logger.info("the replay of %s is over; its last state is shown until this process is stopped", self._file)

    def _hand_on(self, batch: list[tuple[int, tap_pb2.TapRecord]], receive: Callable[[str, list[tap_pb2.TapRecord]], None]) -> None:
        for number, source in enumerate(self.sources):
            records = [record for which, record in batch if which == number]
            if records:
                receive(source, records)

    @property
    def _file(self) -> Path:
        return self.recordings[0].files[-1]


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

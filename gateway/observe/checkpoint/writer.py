"""When checkpoints are written: a state at any moment in, files out, and sentences where they cannot be written.

At most every `checkpoint_interval_s`, and so that writing takes a fifth of the time at most, where states are huge; only when
something was seen since the last one. While observe runs a copy of it writes (`child`); at stop it does so itself, as nobody waits,
within its share of `stop_timeout_s`: with some ten thousand operations that is enough, with a hundred thousand the last one stays.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import BinaryIO, cast

from gateway.config.types import Config
from gateway.observe.checkpoint import codec, file
from gateway.observe.checkpoint.child import do_in_child
from gateway.observe.checkpoint.state import State
from gateway.observe.introspection.history import History

#: A copy that takes longer is ended.
WITHIN_S = 30.0
#: Of the time, the part that may be spent with writing.
_SHARE = 5
#: Of the time that stopping may take, the part that the last one may.
_AT_STOP = 0.4

logger = logging.getLogger(__name__)


class _InTime:
    """A file that can be written to up to a time of the monotonic clock."""

    def __init__(self, file: BinaryIO, ends: float) -> None:
        self._file = file
        self._ends = ends

    def write(self, data: bytes) -> int:
        """As files do; TimeoutError is an OSError as any of theirs."""
        if time.monotonic() > self._ends:
            raise TimeoutError(errno.ETIMEDOUT, "it takes too long for a stop")
        return self._file.write(data)


class CheckpointWriter:
    """Writes the checkpoints of one process. `run` does so until it is cancelled, `finish` writes the last."""

    def __init__(self, config: Config, state: State, batches: Callable[[], int]) -> None:
        self._folder = config.state_dir
        self._interval_s = config.observe.checkpoint_interval_s
        self._stop_within_s = config.stop_timeout_s * _AT_STOP
        self._state = state
        #: Counts what was seen.
        self._batches = batches
        self._written = 0
        #: Why the latest one could not be written; None: it could.
        self.problem: str | None = None

    async def run(self) -> None:
        """Write now and then; with an interval of 0 never."""
        if not self._interval_s:
            return
        wait_s = self._interval_s
        while True:
            await asyncio.sleep(wait_s)
            began = time.monotonic()
            batches = self._batches()
            if batches != self._written:
                self._told(await do_in_child(partial(self._write, self._state), WITHIN_S), batches)
            wait_s = max(self._interval_s, (time.monotonic() - began) * (_SHARE - 1))

    def finish(self, history: History) -> None:
        """Write the last one. Nothing may be seen or published after it, so that the epoch of `history` can go on."""
        batches = self._batches()
        ends = time.monotonic() + self._stop_within_s
        if batches:
            try:
                self._write(replace(self._state, history=history), ends)
            except OSError as error:
                self._told(error.strerror or str(error), batches)
            else:
                self._told(None, batches)

    def _write(self, state: State, ends: float = math.inf) -> None:
        def dump(target: BinaryIO) -> None:
            codec.dump(state, cast("BinaryIO", _InTime(target, ends)))

        file.write(self._folder, dump, written_at=time.time_ns(), continues=state.history is not None)

    def _told(self, problem: str | None, batches: int) -> None:
        """Said once, and again when it has changed."""
        if problem is None:
            self._written = batches
            if self.problem is not None:
                logger.info("checkpoints can be written again: %s", self._folder / file.NAME)
        elif problem != self.problem:
            logger.warning(
                "cannot write the checkpoint %s (gateway.state_dir): %s; observe goes on, and after a restart knows only what the "
                "last one and the tap still have",
                self._folder / file.NAME,
                problem,
            )
        self.problem = problem

"""One clock for the taps of one machine: their records come in, with RunStarted saying the same for all of them.

They share CLOCK_MONOTONIC, but each run reads Unix time once, at its own beginning, and that clock may have been set in between.
What the latest run has read holds for all, so that the order between them is that of the clock they share.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gateway.observe.translate import Translator
from gateway.pb import tap_pb2


class MachineClock:
    """Of this machine's taps."""

    def __init__(self, translators: Mapping[str, Translator], sources: Collection[str]) -> None:
        """`sources`: names of those translators whose taps are on this machine."""
        self._translators = {source: translators[source] for source in sources}
        #: When the latest run began, by CLOCK_MONOTONIC; -1: none was heard of.
        self._began = -1
        #: Nanoseconds between CLOCK_MONOTONIC and Unix time, as that run read it.
        self._offset = 0

    def agree(self, batches: Mapping[str, Sequence[tap_pb2.TapRecord]]) -> None:
        """Changes RunStarted in what comes next of each source, and what was taken from those before."""
        if len(self._translators) < 2:
            return
        begun = [
            record.run_started
            for source, records in batches.items()
            if source in self._translators
            for record in records
            if record.HasField("run_started")
        ]
        for started in begun:
            if started.monotonic_ns > self._began:
                self._began = started.monotonic_ns
                self._offset = started.unix_ns - started.monotonic_ns
                for translator in self._translators.values():
                    if translator.run is not None:
                        translator.run.offset = self._offset
        # All of them only now: the latest may be the last.
        for started in begun:
            started.unix_ns = max(started.monotonic_ns + self._offset, 0)

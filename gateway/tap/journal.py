"""One run of the tap: its beginning, its ticks and the decoders of its connections. Records go to a sink."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gateway.config.types import TapLimits
from gateway.tap import records
from gateway.tap.bounds import Budget
from gateway.tap.calls import Shared
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.records import Listener, ProcessTotals, Recorder, Sink, Totals

_NOTHING = ProcessTotals()


class Journal:
    """Numbers everything that one run sees."""

    __slots__ = ("_budget", "_recorder", "_shared", "_totals", "connections", "monotonic_ns", "run", "started")

    def __init__(
        self, run: str, unix_ns: int, monotonic_ns: int, listeners: Sequence[Listener], limits: TapLimits, sink: Sink
    ) -> None:
        """Begins the run: `unix_ns` is Unix time at `monotonic_ns`; RunStarted goes to the sink."""
        self.run = run
        self._budget = Budget(limits.undecoded_bytes)
        self._recorder = Recorder(sink)
        self._shared = Shared(self._recorder, self._budget, limits.message_bytes)
        self._totals = {each.name: Totals(each.name) for each in listeners}
        #: Body of RunStarted, which every reader is told again.
        self.started = records.run_started(run, unix_ns, monotonic_ns, listeners)
        self.monotonic_ns = monotonic_ns
        #: Accepted so far, the number of the last.
        self.connections = 0
        self._recorder.record(monotonic_ns, 0, 0, records.RUN_STARTED, self.started)

    def accepted(self, listener: str, peer: str) -> ConnectionDecoder:
        """A decoder for the next connection of a listener by name; `peer` is host:port."""
        self.connections += 1
        return self.connection(self.connections, listener, peer)

    def connection(self, number: int, listener: str, peer: str) -> ConnectionDecoder:
        """A decoder for connection `number`, counted from 1, of a listener by name; `peer` is host:port."""
        return ConnectionDecoder(number, peer, self._shared, self._totals[listener])

    def resume(self, limits: TapLimits, sink: Sink) -> None:
        """Goes on with the same run in another process, whose limits these are."""
        self._budget.limit = limits.undecoded_bytes
        self._shared.message_bytes = limits.message_bytes
        self._recorder.write_to(sink)

    def tick(self, now: int, process: ProcessTotals = _NOTHING) -> None:
        """A second has passed; `process.undecoded_bytes` wait to be given to decoders, besides what those hold themselves."""
        self._shared.flush_keep_alives(now)
        process = replace(process, undecoded_bytes=process.undecoded_bytes + self._budget.used)
        body = records.tick(list(self._totals.values()), process)
        self._recorder.record(now, 0, 0, records.TICK, body)

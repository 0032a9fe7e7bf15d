"""What is known of the taps themselves: listeners, their totals, refusals, connections that are not being read.

Written by the translator from records, read by `health`. All times are Unix nanoseconds of records.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.pb import tap_pb2


@dataclass(slots=True)
class Refusals:
    """NativeLink did not answer a listener's dials, and nothing has shown since that it does."""

    since: int
    last_at: int
    #: The operating system's words, of the last.
    reason: str


@dataclass(slots=True)
class ListenerState:
    """One of a run's listeners."""

    name: str
    #: host:port, as bound.
    listen: str
    #: host:port
    upstream: str
    #: Words of `gateway.config.types.Carries`, in the order of the record.
    carries: tuple[str, ...]
    #: Empty: the monitoring block's.
    scheduler: str = ""
    #: Of the last Tick; None: there was none.
    totals: tap_pb2.ListenerTotals | None = None
    #: None: upstream answers, as far as was seen.
    refusals: Refusals | None = None
    #: Open connections that are not being read: number -> why.
    blind: dict[int, str] = field(default_factory=dict)

    def refused(self, at: int, reason: str) -> None:
        """A dial failed."""
        since = self.refusals.since if self.refusals else at
        self.refusals = Refusals(since, at, reason)

    def answered(self) -> None:
        """Something came from upstream."""
        self.refusals = None


@dataclass(slots=True)
class TapRun:
    """One process of a tap, from its RunStarted on."""

    #: RunStarted.run
    id: str
    #: Nanoseconds between the tap's monotonic clock and Unix time.
    offset: int
    #: By name, in the order of the record.
    listeners: dict[str, ListenerState]
    #: None: no Tick yet.
    last_tick_at: int | None = None
    #: What it said; None: no Tick yet.
    last_tick: tap_pb2.Tick | None = None


def begun(started: tap_pb2.RunStarted) -> TapRun:
    """The state at the beginning of a run."""
    return TapRun(
        id=started.run,
        offset=started.unix_ns - started.monotonic_ns,
        listeners={
            each.name: ListenerState(each.name, each.listen, each.upstream, tuple(each.carries), each.scheduler)
            for each in started.listeners
        },
    )

"""How the record links of several tap processes are, as one: what health says of taps does not depend on how many share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gateway.observe.taps import ListenerState, TapRun
from gateway.pb import tap_pb2

#: A clock that is off by more than this makes times that people notice.
ASTRAY_S = 1.0


@dataclass(frozen=True, slots=True)
class TapProcesses:
    """Those that have one tap."""

    #: All of them; not while there is one whose taps are not known.
    are_attached: bool
    #: The oldest of their last Ticks; None: one never ticked.
    ticked_at: int | None


@dataclass(frozen=True, slots=True)
class LinkState:
    """How the record link of one tap process is, or of all of them together."""

    #: Seconds since the last Tick; None: none ever came.
    silence_s: float | None
    #: Up, and a Tick within 5 s; of several: of any.
    is_fresh: bool
    #: Why it is down; None: it is up.
    problem: str | None
    #: None: nothing was ever read.
    run: TapRun | None
    #: How far the tap's clock is behind this one's, in seconds, seen at the last Tick; None: not measured, the clock is the same.
    behind_s: float | None = None
    #: What is played instead of followed, a sentence; None: a tap is followed.
    replay: str | None = None
    #: Of several: those that are not fresh while others are: name and why.
    detached: tuple[tuple[str, str], ...] = ()
    #: Of all: those whose clock is off: name and `behind_s`.
    astray: tuple[tuple[str, float], ...] = ()
    #: Of several: for each tap, the processes that it has.
    taps: Mapping[str, TapProcesses] = field(default_factory=dict)

    def is_attached(self, tap: str) -> bool:
        """Every process that has this tap is attached."""
        return self.is_fresh and (tap not in self.taps or self.taps[tap].are_attached)

    def ticked_at(self, tap: str) -> int | None:
        """When the process of this tap that is furthest behind last ticked; None: one never did."""
        if tap in self.taps:
            return self.taps[tap].ticked_at
        return self.run.last_tick_at if self.run is not None else None

    @property
    def why(self) -> str:
        """Why it is not fresh."""
        if self.problem is not None:
            return self.problem
        return "nothing has come yet" if self.silence_s is None else f"silent for {self.silence_s:.0f} s"


def together(links: Mapping[str, LinkState]) -> LinkState:
    """All of them as one; there is at least one."""
    states = list(links.values())
    astray = tuple(
        (name, state.behind_s) for name, state in links.items() if state.behind_s is not None and abs(state.behind_s) > ASTRAY_S
    )
    if len(states) == 1:
        return replace(states[0], astray=astray)
    fresh = [state for state in states if state.is_fresh]
    detached = tuple((name, state.why) for name, state in links.items() if not state.is_fresh) if fresh else ()
    worst = next((state for state in states if state.problem is not None), states[0])
    silences = [state.silence_s for state in states if state.silence_s is not None]
    return LinkState(
        silence_s=min(silences, default=None),
        is_fresh=bool(fresh),
        problem=None if fresh else worst.problem,
        run=_one_run(_runs(states), _runs(fresh)),
        replay=states[0].replay,
        detached=detached,
        astray=astray,
        taps=_by_tap(states),
    )


def _runs(states: Sequence[LinkState]) -> list[TapRun]:
    return [state.run for state in states if state.run is not None]


def _by_tap(states: Sequence[LinkState]) -> dict[str, TapProcesses]:
    known = [(state, state.run) for state in states if state.run is not None]
    all_known = len(known) == len(states)
    found: dict[str, TapProcesses] = {}
    for name in dict.fromkeys(name for _, run in known for name in run.listeners):
        having = [(state, run) for state, run in known if name in run.listeners]
        ticks = [run.last_tick_at for _, run in having]
        found[name] = TapProcesses(all_known and all(state.is_fresh for state, _ in having), _oldest(ticks))
    return found


def _oldest(ticks: Sequence[int | None]) -> int | None:
    return None if None in ticks else min(at for at in ticks if at is not None)


def _one_run(runs: Sequence[TapRun], attached: Sequence[TapRun]) -> TapRun | None:
    if not runs:
        return None
    by_name: dict[str, list[ListenerState]] = {}
    for run in runs:
        for name, listener in run.listeners.items():
            by_name.setdefault(name, []).append(listener)
    return TapRun(
        id="",
        offset=0,
        listeners={name: _one_listener(listeners) for name, listeners in by_name.items()},
        last_tick_at=_oldest([run.last_tick_at for run in runs]),
        # The one that has most to say of how late it was, of those that still say it.
        last_tick=max(
            (run.last_tick for run in attached if run.last_tick is not None), key=lambda tick: tick.loop_lag_ns, default=None
        ),
    )


def _one_listener(listeners: Sequence[ListenerState]) -> ListenerState:
    first = listeners[0]
    blind = [why for listener in listeners for why in listener.blind.values()]
    refusals = [listener.refusals for listener in listeners if listener.refusals is not None]
    return ListenerState(
        name=first.name,
        listen=first.listen,
        upstream=first.upstream,
        carries=first.carries,
        scheduler=first.scheduler,
        totals=_sum([listener.totals for listener in listeners if listener.totals is not None]),
        refusals=max(refusals, key=lambda each: each.last_at, default=None),
        blind=dict(enumerate(blind)),
    )


def _sum(totals: Sequence[tap_pb2.ListenerTotals]) -> tap_pb2.ListenerTotals | None:
    if not totals:
        return None
    blinded: dict[tap_pb2.Blinded.Reason.ValueType, int] = {}
    for each in (each for total in totals for each in total.blinded):
        blinded[each.reason] = blinded.get(each.reason, 0) + each.connections
    return tap_pb2.ListenerTotals(
        name=totals[0].name,
        connections=sum(each.connections for each in totals),
        open_connections=sum(each.open_connections for each in totals),
        bytes=sum(each.bytes for each in totals),
        tapped_bytes=sum(each.tapped_bytes for each in totals),
        messages=sum(each.messages for each in totals),
        blind_connections=sum(each.blind_connections for each in totals),
        upstream_refused=sum(each.upstream_refused for each in totals),
        streams=sum(each.streams for each in totals),
        blinded=[tap_pb2.BlindedCount(reason=reason, connections=count) for reason, count in blinded.items()],
    )

"""Whether the answers can be trusted, in sentences that say what to do: state of links, taps and model in, Health and Taps out.

Pure, and without memory: what has recovered is not mentioned any more.

UNHEALTHY: no tap is attached, so nothing is current. DEGRADED: the answers are there, and something about them needs a person.
Notes are for what is not wrong and still surprises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gateway.config.types import Carries, Config, Tap
from gateway.observe.links import LinkState
from gateway.observe.processes import HELD_UP_NS, describe_blinded, describe_process
from gateway.observe.taps import ListenerState, Refusals
from gateway.observe.timestamps import timestamp
from gateway.pb import introspection_pb2 as pb

_SECOND = 1_000_000_000

#: For so long a refusal tells how NativeLink is now: workers come back every 0.5 s (facts, 7), clients when somebody builds.
_REFUSAL_NS = 60 * _SECOND

#: Below this many bytes nobody minds what they are.
_BULK_BYTES = 64 * 1024 * 1024

_BLIND_ADVICE = {
    "TLS": "give the tap certificates (gateway.taps[].tls, upstream_tls towards NativeLink), or point its peer at it without TLS",
    "OVERLOADED": "the machine is too slow for the traffic: give the tap more CPU or send bulk traffic past it",
    "HANDED_OVER": "its calls show again when the peer reconnects",
}
_BLIND_ADVICE_OTHERWISE = "its calls show again when the peer reconnects; if it happens again, report it with the tap's log"


@dataclass(frozen=True, slots=True)
class ModelState:
    """What health wants to know of the model."""

    #: Records were missed, and what they said has not been made good yet.
    is_partial: bool
    records_missed: int
    #: Messages of other schedulers, by scheduler.
    foreign: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class KeptState:
    """How what observe keeps in state_dir is: the checkpoint, from which it began and which it writes, and drains."""

    #: What is shown was written then, Unix nanoseconds, and no tap has confirmed it; None: taps have.
    shown_from: int | None = None
    #: Why no checkpoint can be written; None: they can.
    checkpoint_problem: str | None = None
    #: The same of drains.
    drains_problem: str | None = None


def assess(config: Config, link: LinkState, model: ModelState, kept: KeptState = KeptState()) -> pb.Health:
    """The health of what is shown."""
    reasons = list(_reasons(config, link, model, kept))
    status = pb.Health.DEGRADED if reasons else pb.Health.HEALTHY
    if not link.is_fresh:
        status = pb.Health.UNHEALTHY
    return pb.Health(status=status, reasons=reasons, notes=list(_notes(config, link, model, kept)))


def describe_taps(config: Config, link: LinkState) -> list[pb.Tap]:
    """Every tap: as it says of itself, or as configured while nothing was heard of it."""
    run = link.run
    if run is None:
        return [
            pb.Tap(name=tap.name, listen=str(tap.listen), upstream=str(tap.upstream), carries=_words(tap.carries))
            for tap in config.taps
        ]
    return [_describe(listener, link) for listener in run.listeners.values()]


def describe_processes(links: Mapping[str, LinkState]) -> list[pb.TapProcess]:
    """Every tap process, by the name of its record link."""
    return [
        describe_process(name, link.run.last_tick if link.run else None, attached=link.is_fresh) for name, link in links.items()
    ]


def _describe(listener: ListenerState, link: LinkState) -> pb.Tap:
    totals = listener.totals
    ticked_at = link.ticked_at(listener.name)
    return pb.Tap(
        name=listener.name,
        listen=listener.listen,
        upstream=listener.upstream,
        carries=listener.carries,
        attached=link.is_attached(listener.name),
        last_tick=timestamp(ticked_at) if ticked_at is not None else None,
        connections=totals.connections if totals else 0,
        open_connections=totals.open_connections if totals else 0,
        blind_connections=len(listener.blind),
        bytes=totals.bytes if totals else 0,
        tapped_bytes=totals.tapped_bytes if totals else 0,
        streams=totals.streams if totals else 0,
        messages=totals.messages if totals else 0,
        upstream_refused=totals.upstream_refused if totals else 0,
        blinded=describe_blinded(totals) if totals else [],
    )


def _reasons(config: Config, link: LinkState, model: ModelState, kept: KeptState) -> Iterator[str]:
    if not link.is_fresh:
        yield _unattached(link)
        if kept.shown_from is not None:
            yield f"What is shown is the checkpoint of {_clock(kept.shown_from)}: it is corrected when a tap is attached."
    if link.detached and kept.shown_from is not None:
        yield (
            f"Of what goes by a tap process that is not attached, the checkpoint of {_clock(kept.shown_from)} is shown: "
            "it is corrected when that is attached."
        )
    for name, why in link.detached:
        yield f"Tap process {name} is not attached ({why}), and what goes by there is not shown: see whether it runs."
    if link.is_fresh and link.run and link.run.last_tick and link.run.last_tick.loop_lag_ns >= HELD_UP_NS:
        yield (
            f"The tap was held up for {link.run.last_tick.loop_lag_ns / 1e9:.1f} s within the last second, and so was what goes "
            "through it: give it more CPU, or send bulk traffic past it."
        )
    for listener in _listeners(link):
        refusals = listener.refusals
        if refusals is not None and _is_recent(refusals, listener, link):
            tap = _configured(config, listener)
            settings = "upstream and upstream_tls" if tap is not None and tap.upstream_tls is not None else "upstream"
            yield (
                f"Tap {listener.name!r} cannot reach NativeLink at {listener.upstream} since {_clock(refusals.since)} "
                f"({refusals.reason}): start NativeLink, or correct gateway.taps[].{settings} of this tap."
            )
        for reason, count in _grouped(listener.blind).items():
            advice = _BLIND_ADVICE.get(reason.partition(":")[0], _BLIND_ADVICE_OTHERWISE)
            connections = "1 open connection" if count == 1 else f"{count} open connections"
            yield f"Tap {listener.name!r} cannot read {connections} ({reason}), and what goes by there is not shown: {advice}."
    if model.is_partial:
        yield (
            f"{model.records_missed} records were missed: workers and operations of that time may be shown wrongly until they "
            "end or reconnect. If this happens often, give the gateway more CPU or a larger gateway.tap.ring_bytes."
        )


def _is_recent(refusals: Refusals, listener: ListenerState, link: LinkState) -> bool:
    ticked_at = link.ticked_at(listener.name)
    return ticked_at is None or ticked_at - refusals.last_at <= _REFUSAL_NS


def _unattached(link: LinkState) -> str:
    if link.problem is not None:
        return f"No tap is attached ({link.problem}): see whether the tap process runs, with the same state_dir."
    if link.silence_s is None:
        return "No tap is attached: its record link is up and nothing has come yet. If this stays, restart the tap."
    return f"No tap is attached: its record link is silent for {link.silence_s:.0f} s. See whether the tap process is stopped."


def _notes(config: Config, link: LinkState, model: ModelState, kept: KeptState) -> Iterator[str]:
    if link.replay is not None:
        yield link.replay
    carried = {carries for tap in config.taps for carries in tap.carries}
    if Carries.EXECUTION not in carried:
        yield (
            "No tap carries 'execution': clients, priorities and queued operations are not known. "
            "Add a tap in front of NativeLink's client port to see them."
        )
    if Carries.WORKER_API not in carried:
        yield (
            "No tap carries 'worker_api': workers and which operation they run are not known. "
            "Add a tap in front of NativeLink's worker port to see them."
        )
    for tap in config.taps:
        if tap.trust_all_peers and tap.upstream_tls is not None and tap.upstream_tls.cert_file is not None:
            yield (
                f"Tap {tap.name!r} trusts all peers: everyone who reaches {tap.listen} speaks to NativeLink with the gateway's "
                "certificate. To ask them for their own, set gateway.taps[].tls.client_ca_file instead of trust_all_peers."
            )
    for listener in _listeners(link):
        yield from _notes_of(listener, _configured(config, listener), link)
    for name, behind_s in link.astray:
        way = "behind" if behind_s > 0 else "before"
        yield (
            f"The clock of the tap at {name} is {abs(behind_s):.0f} s {way} the one here, and so are the times that it brings: "
            "synchronise the clocks of both machines, then restart that tap."
        )
    if kept.checkpoint_problem is not None:
        yield (
            f"The checkpoint in {config.state_dir} (gateway.state_dir) cannot be written ({kept.checkpoint_problem}): when observe "
            "restarts, what the tap no longer has will be missing. See whether the disk is full, and who may write there."
        )
    if kept.drains_problem is not None:
        yield (
            f"The drains in {config.state_dir} (gateway.state_dir) cannot be written ({kept.drains_problem}): new ones are "
            "refused, and what became of the others may be forgotten when observe restarts. See whether the disk is full, and who "
            "may write there."
        )
    for scheduler, count in sorted(model.foreign.items()):
        yield f"{count} messages belong to scheduler {scheduler!r}, which is not the one shown here ({config.scheduler_name!r})."


def _notes_of(listener: ListenerState, tap: Tap | None, link: LinkState) -> Iterator[str]:
    refusals = listener.refusals
    if refusals is not None and not _is_recent(refusals, listener, link):
        yield (
            f"Tap {listener.name!r} could not reach NativeLink at {listener.upstream} at {_clock(refusals.last_at)} "
            f"({refusals.reason}), and nothing has connected since: whether NativeLink is back there is not known."
        )
    totals = listener.totals
    if totals is None:
        return
    if not totals.connections:
        yield _unused(listener, has_tls=tap is not None and tap.tls is not None)
    if Carries.EXECUTION.value in listener.carries and totals.bytes > _BULK_BYTES and totals.tapped_bytes * 2 < totals.bytes:
        share = 100 - 100 * totals.tapped_bytes // totals.bytes
        yield (
            f"{share} % of the bytes through tap {listener.name!r} are not execution traffic: point clients' --remote_cache "
            f"straight at NativeLink ({listener.upstream}) to keep bulk transfers off the tap."
        )


def _unused(listener: ListenerState, *, has_tls: bool) -> str:
    s = "s" if has_tls else ""
    advice = []
    if Carries.EXECUTION.value in listener.carries:
        advice.append(f"Bazel's --remote_executor=grpc{s}://{listener.listen}")
    if Carries.WORKER_API.value in listener.carries:
        beside = " (and tls_config beside it)" if has_tls else ""
        advice.append(f"the NativeLink workers' worker_api_endpoint.uri: grpc{s}://{listener.listen}{beside}")
    if not advice and Carries.ADMIN.value in listener.carries:
        advice.append(f"whoever calls NativeLink's admin API at http{s}://{listener.listen}")
    pointed = f": set {' and '.join(advice)}" if advice else ""
    return f"Tap {listener.name!r} has seen no connection yet{pointed}."


def _configured(config: Config, listener: ListenerState) -> Tap | None:
    """What this file says of a listener; a tap of another machine may be in another file."""
    return next((tap for tap in config.taps if tap.name == listener.name), None)


def _listeners(link: LinkState) -> Sequence[ListenerState]:
    return list(link.run.listeners.values()) if link.run else []


def _grouped(blind: Mapping[int, str]) -> dict[str, int]:
    """Reasons with how many connections have them, the first five: a sentence each."""
    counts: dict[str, int] = {}
    for reason in blind.values():
        if reason in counts or len(counts) < 5:
            counts[reason] = counts.get(reason, 0) + 1
    return counts


def _words(carries: frozenset[Carries]) -> list[str]:
    return sorted(each.value for each in carries)


def _clock(at: int) -> str:
    """RFC 3339, whole seconds, as people and other logs write it."""
    return timestamp(at // _SECOND * _SECOND).ToJsonString()

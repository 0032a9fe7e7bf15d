"""Overview: what upstream says of itself and how old that is come in; status, metrics and health go out, encoded.

A body is rendered once for every second and every state that it is asked in, so that it is never behind the lists.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence

from gateway.pb import introspection_pb2 as pb
from gateway.serve.shape import HealthJson, metrics_json, nanoseconds, status_json, to_json
from gateway.serve.upstream import Upstream

_NS_PER_S = 1_000_000_000
_NOTHING_KNOWN = pb.Scheduler()


def nothing_known(upstream: Upstream) -> str:
    """The sentence for everything that is asked before the first snapshot."""
    return f"Nothing is known yet: no snapshot came from {upstream.name} ({upstream.problem}). Start it, or see its log"


class Overview:
    """Renders the three documents that are about everything."""

    def __init__(
        self,
        upstream: Upstream,
        own_notes: Callable[[], Sequence[str]] = tuple,
        *,
        now: Callable[[], float] = time.time,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """What it is made of.

        Args:
            upstream: who is followed.
            own_notes: what this process has to say besides.
            now: the clock of uptimes, in Unix seconds.
            wall: that of the machine, for the time of an answer.
        """
        self._upstream = upstream
        self._own_notes = own_notes
        self._now = now
        self._wall = wall
        #: {document: (the Scheduler message and what else it was rendered from, the document)}
        self._rendered: dict[str, tuple[pb.Scheduler, Hashable, bytes]] = {}

    def status(self, scheduler: pb.Scheduler) -> bytes:
        """The body of GET /api/v1/scheduler/status."""
        now = self._now()
        return self._once("status", scheduler, int(now), lambda: status_json(scheduler, _uptime_seconds(scheduler, now)))

    def metrics(self, scheduler: pb.Scheduler) -> bytes:
        """The body of GET /api/v1/scheduler/metrics."""
        now = self._now()
        return self._once("metrics", scheduler, int(now), lambda: metrics_json(scheduler, _uptime_seconds(scheduler, now)))

    def health(self) -> tuple[bool, bytes]:
        """Whether the answers can be used at all, and the body of GET /api/v1/system/health."""
        now, wall = self._now(), int(self._wall())
        replica = self._upstream.replica
        scheduler = replica.scheduler if replica is not None else _NOTHING_KNOWN
        status, reasons = self.judge()
        notes = self.notes(scheduler)

        def render() -> bytes:
            return to_json(
                HealthJson(
                    status=status,
                    timestamp=wall,
                    uptime_seconds=_uptime_seconds(scheduler, now),
                    reasons=reasons,
                    notes=notes,
                )
            )

        return status != "unhealthy", self._once("health", scheduler, (int(now), wall, status, *reasons, "", *notes), render)

    def judge(self) -> tuple[str, list[str]]:
        """The status word and why it is not "healthy"."""
        upstream = self._upstream
        if upstream.replica is None:
            return "unhealthy", [nothing_known(upstream)]
        health = upstream.replica.scheduler.health
        reasons = list(health.reasons)
        if stale := upstream.is_stale:
            why = upstream.problem or "it sends nothing"
            age_s = int(upstream.silence_s())
            reasons.insert(0, f"Answers are {age_s} s old: {upstream.name} is away ({why}). Start it, or see its log")
        if health.status == pb.Health.UNHEALTHY:
            return "unhealthy", reasons
        if stale or health.status == pb.Health.DEGRADED:
            return "degraded", reasons
        return "healthy", []

    def notes(self, scheduler: pb.Scheduler) -> list[str]:
        """What a person should know although nothing is wrong."""
        return [*scheduler.health.notes, *self._own_notes()]

    def _once(self, document: str, scheduler: pb.Scheduler, basis: Hashable, render: Callable[[], bytes]) -> bytes:
        kept = self._rendered.get(document)
        if kept is None or kept[0] is not scheduler or kept[1] != basis:
            kept = self._rendered[document] = (scheduler, basis, render())
        return kept[2]


def _uptime_seconds(scheduler: pb.Scheduler, now: float) -> int | None:
    if not scheduler.HasField("up_since"):
        return None
    return max(0, int(now * _NS_PER_S) - nanoseconds(scheduler.up_since)) // _NS_PER_S

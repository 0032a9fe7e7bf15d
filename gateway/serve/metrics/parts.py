"""Parts of a scrape: what each serve process knows comes in, one scrape that any of them may answer with goes out.

Processes share an address, and Prometheus cannot choose which of them it asks. Each process tells of itself, with its name as a
label; of NativeLink and the taps they all know the same, one of them some milliseconds later than the other, and only the latest is
told: a counter that went back would be a wrong number for as long as rates look back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from gateway.serve.metrics import families
from gateway.serve.metrics.families import FAMILIES, Kind
from gateway.serve.metrics.scrape import Sample, Scrape

#: What observe counts for as long as its epoch lasts: of two states of an epoch the later one has counted no less.
_COUNTERS = frozenset(
    each.name for each in FAMILIES if each.kind is Kind.COUNTER and not each.name.startswith("nativelink_gateway_tap_")
)


class Part(msgspec.Struct, frozen=True):
    """What one process tells at a scrape."""

    #: Its name.
    process: str
    #: It follows upstream.
    is_current: bool
    #: Seconds since its state was made current.
    silence_s: float
    #: Of its state; "": it has none.
    epoch: str
    number: int
    #: Of its state.
    state: list[Sample]
    #: Of itself.
    own: list[Sample]


def merged(parts: Sequence[Part], missing: Iterable[str]) -> Scrape:
    """All together.

    Args:
        parts: one or more.
        missing: names of processes that told nothing.
    """
    scrape = Scrape()
    scrape.take(_latest(parts).state)
    for part in parts:
        scrape.take(part.own)
    for process in missing:
        scrape.put(families.CONNECTED, 0, process)
    return scrape


def _latest(parts: Sequence[Part]) -> Part:
    """Of one epoch the one that has come furthest; revisions are not told apart by their number alone (introspection.proto)."""
    current = [part for part in parts if part.is_current] or parts
    epoch = min(current, key=lambda part: part.silence_s).epoch
    return max((part for part in current if part.epoch == epoch), key=lambda part: (part.number, _counted(part)))


def _counted(part: Part) -> float:
    return sum(value for family, _, _, value in part.state if family in _COUNTERS)

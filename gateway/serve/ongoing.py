"""Requests that go on for long: whoever answers them counts here, and /metrics tells it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.serve.events.wire import RESETS


@dataclass(slots=True)
class Ongoing:
    """Of this process; totals since it started."""

    #: Requests that wait for an operation now.
    waiting: int = 0
    #: Clients that events are sent to now.
    clients: int = 0
    #: Events that were sent, each as often as there were clients that got it.
    events: int = 0
    #: Clients that had to begin anew: {one of RESETS: times}
    resets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(RESETS, 0))
    #: Clients that were one too many.
    refused: int = 0

"""Requests that go on for long: whoever answers them counts here, and /metrics tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Ongoing:
    """Of this process; totals since it started."""

    #: Requests that wait for an operation now.
    waiting: int = 0

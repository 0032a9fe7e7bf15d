"""The overview: health and the scheduler's counts come in, a screen for a person goes out."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from gateway.client.document import Document
from gateway.client.sheet import style_of
from gateway.client.times import UNKNOWN, duration

_COUNTS = {
    "workers": (
        ("total_workers", "total"),
        ("active_workers", "active"),
        ("paused_workers", "paused"),
        ("draining_workers", "draining"),
    ),
    "operations": (
        *(("total_operations", "total"), ("queued_operations", "queued"), ("executing_operations", "executing")),
        ("completed_operations", "completed"),
    ),
}


def overview(health: Document, status: Document, url: str) -> list[Text | Table]:
    """Args: GET /api/v1/system/health; /api/v1/scheduler/status, empty where there is none; where they came from."""
    word = health.text("status") or "unknown"
    first = Text.assemble((word, f"bold {style_of(word)}"), f"  {url}, scheduler up {duration(_uptime_s(health, status))}")
    reasons = [Text(f"! {each}", style="yellow") for each in health.texts("reasons")]
    notes = [Text(f"  {each}", style="dim") for each in health.texts("notes")]
    return [first, *reasons, *notes, _counts(status)]


def _uptime_s(health: Document, status: Document) -> float | None:
    uptime_s = status.number("uptime_seconds")
    return health.number("uptime_seconds") if uptime_s is None else uptime_s


def _counts(status: Document) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(5):
        grid.add_column(no_wrap=True)
    for what, counts in _COUNTS.items():
        grid.add_row(Text(what, style="bold"), *(Text(f"{_count(status.number(name))} {word}") for name, word in counts))
    return grid


def _count(number: float | None) -> str:
    return UNKNOWN if number is None else f"{int(number)}"

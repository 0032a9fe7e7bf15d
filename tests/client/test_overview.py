import io

from rich.console import Console

from gateway.client.document import Document
from gateway.client.overview import overview

STATUS = {
    "total_workers": 5,
    "active_workers": 4,
    "paused_workers": 1,
    "draining_workers": 0,
    "total_operations": 25,
    "queued_operations": 10,
    "executing_operations": 12,
    "completed_operations": 3,
    "uptime_seconds": 3600,
}


def drawn(health: dict[str, object], status: dict[str, object]) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=80, markup=False)
    for each in overview(Document(health), Document(status), "http://gateway:1"):
        console.print(each)
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_healthy_gateway_in_one_screen() -> None:
    assert drawn({"status": "healthy", "uptime_seconds": 3600}, dict(STATUS)) == [
        "healthy  http://gateway:1, scheduler up 60m00s",
        "workers     5 total   4 active   1 paused      0 draining",
        "operations  25 total  10 queued  12 executing  3 completed",
    ]


def test_why_it_is_not_healthy_and_what_is_not_known() -> None:
    health = {"status": "degraded", "uptime_seconds": 7, "reasons": ["No [b]tap.\x1b[2J"], "notes": ["By the way."]}
    assert drawn(health, {}) == [
        "degraded  http://gateway:1, scheduler up 7s",
        "! No [b]tap.\\x1b[2J",
        "  By the way.",
        "workers     - total  - active  - paused     - draining",
        "operations  - total  - queued  - executing  - completed",
    ]
    assert drawn({}, {})[0] == "unknown  http://gateway:1, scheduler up -"

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.happenings import in_json, in_words
from gateway.client.sse import Event


def words(kind: str, data: dict[str, Any]) -> str:
    return in_words(Event(kind, json.dumps(data), "e-1"), 0.0).plain[10:]


ID = "0196a3f2-7c5e-7d11-9a52-000000000001"
COUNTS = {"workers": 2, "running_operations": 1}
OPERATION = {"operation_id": ID, "stage": "Executing", "worker_id": "w-1"}


@pytest.mark.parametrize(
    ("kind", "data", "line"),
    [
        ("snapshot", {"epoch": "e", "revision": 7}, "from here  every change after revision 7"),
        ("reset", {"reason": "too_slow"}, "reset      what happened until here is not told (too_slow)"),
        ("operation", {"operation": OPERATION}, f"operation  {ID}  Executing on w-1"),
        (
            "operation",
            {"operation": {"operation_id": "op-1", "stage": "Queued"}, "previous_operation_id": "c-1"},
            f"operation  {'op-1':<36}  Queued (was c-1)",
        ),
        ("operation_removed", {"operation": OPERATION}, f"operation  {ID}  no longer listed: Executing on w-1"),
        (
            "worker",
            {"worker": {"id": "w-1", "can_accept_work": True, "running_operations": ["a"]}},
            f"worker     {'w-1':<36}  active runs 1",
        ),
        (
            "worker_removed",
            {"worker": {"id": "w-1", "is_paused": True}},
            f"worker     {'w-1':<36}  no longer listed: paused runs 0",
        ),
        (
            "scheduler",
            {"scheduler": {"total_workers": 5, "active_workers": 4, "paused_workers": 1, "queued_operations": 10}},
            "scheduler  5 workers: 4 active, 1 paused, - draining; - operations: 10 queued, - executing, - completed",
        ),
        ("health", {"health": {"status": "degraded", "reasons": ["No tap.", "\x1b"]}}, "health     degraded; No tap.; \\x1b"),
        (
            "drain",
            {
                "drain": {
                    "id": "d",
                    "state": "active",
                    "selector": {"id_prefix": "w-"},
                    "counts": {"workers": 2, "running_operations": 1},
                }
            },
            "drain      drain d of w-* is active: 0 of 2 workers safe to delete, 1 operation running",
        ),
        ("something\x1b", {"new": "[red]"}, 'something\\x1b  {"new": "[red]"}'),
        ("operation", {}, f"operation  {'-':<36}  -"),
    ],
)
def test_what_happened_in_words(kind: str, data: dict[str, Any], line: str) -> None:
    assert words(kind, data) == line


def test_what_is_no_json_is_shown_as_it_is_but_printable() -> None:
    assert in_words(Event("operation", "\x1b[2J", ""), 0.0).plain[10:] == "operation  \\x1b[2J"


@pytest.mark.parametrize("data", ['{"a":[1,\n 2]}', "\x1b", "[]", ""])
def test_json_is_one_line_whatever_came(data: str) -> None:
    line = in_json(Event("kind", data, 'e"1'))
    assert "\n" not in line
    told = json.loads(line)
    assert (told["event"], told["id"]) == ("kind", 'e"1')
    assert told["data"] == (json.loads(data) if data.startswith("{") else data)


@given(st.sampled_from(["operation", "worker", "scheduler", "health", "snapshot", "reset", "x"]), st.text())
def test_any_data_makes_one_printable_line(kind: str, data: str) -> None:
    assert in_words(Event(kind, data, ""), 0.0).plain.isprintable()
    assert "\n" not in in_json(Event(kind, data, ""))

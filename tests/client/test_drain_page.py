from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.document import Document
from gateway.client.drain_page import drained_table, drains_table, selected, summary

FEW = "drain 0c6b2f9d41aa of worker-* is active"
NOW = 1_640_995_260.0
DRAIN: dict[str, Any] = {
    "id": "0c6b2f9d41aa",
    "selector": {"worker_id": None, "id_prefix": "worker-", "property": None},
    "state": "active",
    "safe_to_delete": False,
    "counts": {"workers": 2, "draining": 2, "safe": 1, "failed": 0, "gone": 0, "running_operations": 1},
    "created_timestamp": 1_640_995_200,
    "created_by": "token deployer",
}


def test_drains_are_told_with_how_far_they_are() -> None:
    other = {"id": "d-2", "state": "ended", "safe_to_delete": True, "selector": {"property": {"pool": "a b"}}}
    assert list(drains_table(map(Document, [DRAIN, other]), NOW).lines()) == [
        "DRAIN         OF        STATE   SAFE TO DELETE  WORKERS  SAFE  RUNNING  AGE  BY",
        "0c6b2f9d41aa  worker-*  active  no                    2     1        1  60s  token deployer",
        "d-2           pool=a b  ended   yes                   -     -        -    -  -",
    ]


def test_workers_of_a_drain_are_told_with_what_keeps_them() -> None:
    workers: list[dict[str, Any]] = [
        {"id": "w-1", "state": "draining", "running_operations": ["a", "b"], "error": None},
        {"id": "w-2", "state": "failed", "running_operations": [], "error": "NativeLink answered 500"},
    ]
    assert list(drained_table(map(Document, workers)).lines()) == [
        "WORKER  STATE     RUNNING  ERROR",
        "w-1     draining        2  -",
        "w-2     failed          0  NativeLink answered 500",
    ]
    assert next(iter(drained_table(map(Document, workers[:1])).lines())) == "WORKER  STATE     RUNNING"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "drain 0c6b2f9d41aa of worker-* is active: 1 of 2 workers safe to delete, 1 operation running"),
        ({"safe_to_delete": True}, "drain 0c6b2f9d41aa of worker-* is active: safe to delete"),
        ({"state": "cancelled"}, "drain 0c6b2f9d41aa of worker-* is cancelled"),
        (
            {"safe_to_delete": True, "counts": {"workers": 0}},
            "drain 0c6b2f9d41aa of worker-* is active: no connected worker is meant",
        ),
        (
            {"counts": {"workers": 1, "failed": 1}, "problem": "No tap"},
            f"{FEW}: 0 of 1 worker safe to delete, 0 operations running; NativeLink was asked in vain for 1 worker; No tap",
        ),
    ],
)
def test_a_sentence_says_how_far_one_is(changes: dict[str, Any], told: str) -> None:
    assert summary(Document({**DRAIN, **changes})) == told


def test_who_is_meant() -> None:
    assert selected(Document({"selector": {"worker_id": "w-1"}})) == "w-1"
    assert selected(Document({})) == "-"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*DRAIN, "workers", "error"]), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*DRAIN, "problem"]), _JSON, max_size=8))
def test_whatever_answers_is_told_somehow(fields: dict[str, Any]) -> None:
    found = Document(fields)
    assert summary(found)
    assert len(list(drains_table([found], NOW).lines())) == 2
    assert len(list(drained_table([found]).lines())) == 2

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from gateway.client.document import Document
from gateway.client.operation import operation_page
from gateway.client.overview import overview
from gateway.client.tables import operations_table, result, worker_state, workers_table

NOW = 1_640_995_300.0


def test_workers_are_told_with_their_state_and_what_they_offer() -> None:
    workers: list[dict[str, Any]] = [
        {
            "id": "worker-123",
            "platform_properties": {"cpu_count": "8", "OSFamily": "Linux"},
            "is_paused": False,
            "is_draining": False,
            "can_accept_work": True,
            "running_operations": ["op-456", "op-789"],
            "connected_timestamp": 1_640_995_000,
            "actions_completed": 42,
        },
        {"id": "worker-6", "platform_properties": None, "running_operations": [], "actions_completed": None},
    ]
    assert list(workers_table(map(Document, workers), NOW).lines()) == [
        "WORKER      STATE   RUNNING  DONE  CONNECTED  PROPERTIES",
        "worker-123  active        2    42      5m00s  OSFamily=Linux cpu_count=8",
        "worker-6    -             0     -          -  -",
    ]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "-"),
        ({"can_accept_work": True}, "active"),
        ({"can_accept_work": False}, "full"),
        ({"can_accept_work": False, "is_paused": True}, "paused"),
        ({"can_accept_work": False, "is_paused": True, "is_draining": True}, "paused,draining"),
        ({"can_accept_work": True, "is_draining": True}, "active,draining"),
    ],
)
def test_states_are_the_words_of_the_filter(flags: dict[str, bool], words: str) -> None:
    assert worker_state(Document(flags)) == words


OPERATIONS: list[dict[str, Any]] = [
    {
        "operation_id": "op-1",
        "stage": "Executing",
        "worker_id": "w-1",
        "insert_timestamp": 1_640_995_200,
        "assigned_timestamp": 1_640_995_230.5,
        "queue_seconds": 30.25,
        "execution_seconds": None,
        "is_finished": False,
    },
    {
        "operation_id": None,
        "client_operation_id": "client-2",
        "stage": "Queued",
        "worker_id": None,
        "insert_timestamp": 1_640_995_299,
        "is_finished": False,
    },
]


def test_operations_are_told_with_how_long_they_wait_and_run() -> None:
    assert list(operations_table(map(Document, OPERATIONS), NOW).lines()) == [
        "OPERATION  STAGE        AGE  QUEUED  RAN  WORKER",
        "op-1       Executing  1m40s     30s  69s  w-1",
        "client-2   Queued        1s      1s    -  -",
    ]


def test_results_and_names_get_columns_where_there_are_any() -> None:
    done: dict[str, Any] = {
        "operation_id": "op-3",
        "stage": "Completed",
        "worker_id": "w-1",
        "is_finished": True,
        "exit_code": 2,
        "queue_seconds": 0.5,
        "execution_seconds": 9.75,
        "clients": [{}, {"target_id": "//a:b", "action_mnemonic": "Javac"}],
    }
    assert list(operations_table(map(Document, [*OPERATIONS, done]), NOW).lines()) == [
        "OPERATION  STAGE        AGE  QUEUED   RAN  RESULT  WORKER  MNEMONIC  TARGET",
        "op-1       Executing  1m40s     30s   69s  -       w-1     -         -",
        "client-2   Queued        1s      1s     -  -       -       -         -",
        "op-3       Completed      -    0.5s  9.7s  exit 2  w-1     Javac     //a:b",
    ]


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        ({}, "-"),
        ({"exit_code": 0}, "ok"),
        ({"exit_code": 0, "status_code": 0, "cached_result": True}, "cached"),
        ({"exit_code": 0, "status_code": 4}, "DEADLINE_EXCEEDED"),
        ({"status_code": 16}, "UNAUTHENTICATED"),
        ({"status_code": 17}, "code 17"),
        ({"status_code": -1}, "code -1"),
        ({"exit_code": -9}, "exit -9"),
    ],
)
def test_how_an_operation_ended(ended: dict[str, Any], words: str) -> None:
    assert result(Document({"is_finished": True, **ended})) == words
    assert result(Document({"is_finished": False, **ended})) == "-"


_NAMES = [
    *("id", "platform_properties", "is_paused", "can_accept_work", "running_operations", "connected_timestamp", "clients", "stage"),
    *("operation_id", "worker_id", "insert_timestamp", "assigned_timestamp", "queue_seconds", "execution_seconds", "target_id"),
    *("is_finished", "status_code", "exit_code", "cached_result", "story", "at", "text", "anomalies", "timeout", "cpu_time_ms"),
]
_ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([10**400, 1e308, "Executing", "Queued", "\x1b[2J"]) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=6),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.lists(st.dictionaries(st.sampled_from(_NAMES), _ANYTHING), max_size=3), st.integers(1, 200))
def test_whatever_a_server_says_there_is_a_table_of_printable_characters(rows: list[dict[str, Any]], width: int) -> None:
    documents = [Document(row) for row in rows]
    text = io.StringIO()
    console = Console(file=text, width=width, markup=False)
    for sheet in (workers_table(documents, NOW), operations_table(documents, NOW)):
        assert all(line.isprintable() for line in sheet.lines())
        console.print(sheet.table(width))
    for document in documents:
        for each in (*operation_page(document, NOW), *overview(document, document, "http://x")):
            console.print(each)
    assert text.getvalue().replace("\n", "").isprintable()


def test_of_nothing_known_nothing_is_told() -> None:
    assert list(operations_table([Document({})], NOW).lines())[1].split() == ["-"] * 6
    assert list(workers_table([Document({})], NOW).lines())[1].split() == ["-", "-", "0", "-", "-", "-"]

import io
import time
from collections.abc import Iterator

import pytest
from rich.console import Console

from gateway.client.document import Document
from gateway.client.operation import operation_page


@pytest.fixture
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC0")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def drawn(operation: dict[str, object]) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=80, markup=False)
    for each in operation_page(Document(operation), 1_640_995_300.0):
        console.print(each)
    return [line.rstrip() for line in text.getvalue().splitlines()]


@pytest.mark.usefixtures("utc")
def test_everything_that_is_known_is_told() -> None:
    assert drawn(
        {
            "operation_id": "op-4",
            "client_operation_id": "c-4",
            "other_ids": ["c-4", "c-5"],
            "stage": "Completed",
            "worker_id": "w-1",
            "insert_timestamp": 1_640_995_200,
            "assigned_timestamp": 1_640_995_201.5,
            "finished_timestamp": 1_640_995_203.0,
            "queue_seconds": 1.5,
            "execution_seconds": 1.5,
            "attempts": 2,
            "priority": 0,
            "timeout": 3600,
            "instance_name": "main",
            "action_digest": "sha256:ab",
            "cacheable": True,
            "action_digest_size_bytes": 142,
            "command_digest": "sha256:cd",
            "platform_properties": {"cpu": "1"},
            "assigned_properties": {},
            "peak_memory_kb": 1024,
            "cpu_time_ms": 1500,
            "join": "tentative",
            "is_finished": True,
            "exit_code": 1,
            "status_message": "bad\x1b[2J",
            "clients": [{"client_operation_id": "c-4", "peer": "10.0.0.1:5", "target_id": "//[red]a", "followers": 0}],
            "story": [{"at": 1_640_995_200.25, "text": "Queued"}],
            "anomalies": [{"at": 1_640_995_203.0, "kind": "late", "text": "came late"}],
        }
    ) == [
        "operation      op-4",
        "client's id    c-4",
        "other ids      c-5",
        "stage          Completed",
        "result         exit 1",
        "message        bad\\x1b[2J",
        "worker         w-1",
        "inserted       2022-01-01 00:00:00 UTC+00:00, 1m40s ago",
        "assigned       2022-01-01 00:00:01.500",
        "finished       2022-01-01 00:00:03.000",
        "queued for     1.5s",
        "ran for        1.5s",
        "attempts       2",
        "priority       0",
        "timeout        60m00s",
        "instance       main",
        "action         sha256:ab (142 bytes)",
        "command        sha256:cd",
        "cacheable      yes",
        "properties     cpu=1",
        "assigned with  -",
        "peak memory    1024 kB",
        "CPU time       1.5s",
        "worker's half  of this operation as far as is known, not proven",
        "",
        "client",
        "id         c-4",
        "peer       10.0.0.1:5",
        "target     //[red]a",
        "followers  0",
        "",
        "history (UTC+00:00)",
        "2022-01-01 00:00:00.250  Queued",
        "",
        "anomalies (UTC+00:00)",
        "2022-01-01 00:00:03.000  late: came late",
    ]


def test_of_nothing_known_little_is_told() -> None:
    told = drawn({})
    assert [line.split("  ")[0] for line in told] == ["operation", "stage", "worker", "queued for", "ran for", "properties"]
    assert all(line.endswith(" -") for line in told)

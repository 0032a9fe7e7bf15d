"""The translator on recordings of a real NativeLink, decoded by the tap. The scheduler's own state is compared in tests/e2e."""

from __future__ import annotations

import base64
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gateway.model.events import (
    DrainSet,
    Event,
    ExecuteRequested,
    OperationAssigned,
    OperationUpdated,
    ResultReported,
    WorkerConnected,
    WorkerKeptAlive,
    WorkerRefused,
)
from gateway.observe.translate import Translator
from gateway.observe.wire import Splitter
from gateway.pb import tap_pb2
from gateway.tap.offline import decode_chunks
from gateway.tap.records import Listener
from tests.observe.records import config

FOLDER = Path(__file__).parent.parent / "recordings"
NAMES = sorted(path.name.removesuffix(".jsonl.gz") for path in FOLDER.glob("*.jsonl.gz"))
KINDS = {">": "to_server", "<": "to_client", ">.": "eof_client", "<.": "eof_server"}
LISTENERS = (
    Listener("execution", "127.0.0.1:50151", "127.0.0.1:50051", ("execution",)),
    Listener("workers", "127.0.0.1:50161", "127.0.0.1:50061", ("worker_api", "admin")),
)


def chunks(name: str) -> tuple[int, list[tuple[int, int, str, Any]]]:
    """Unix nanoseconds of the beginning, and what passed."""
    began = 0
    found: list[tuple[int, int, str, Any]] = []
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt") as lines:
        for seconds, connection, kind, payload in map(json.loads, lines):
            at = round(seconds * 1e9)
            if kind == "start":
                began = round(payload["unix_time"] * 1e9)
            elif kind == "open":
                found.append((at, connection, "open", (payload, f"10.0.0.1:{connection}")))
            elif kind != "note":
                found.append((at, connection, KINDS.get(kind, kind), base64.b64decode(payload) if kind in {">", "<"} else payload))
    return began, found


def records(name: str) -> Iterator[tap_pb2.TapRecord]:
    began, found = chunks(name)
    splitter = Splitter(1 << 30)
    for data in decode_chunks(found, run="run-1", unix_ns=began, monotonic_ns=0, listeners=LISTENERS):
        for message in splitter.feed(data):
            yield tap_pb2.TapRecord.FromString(bytes(message))


@cache
def events(name: str) -> list[Event]:
    translator = Translator(config())
    return [event for record in records(name) for event in translator.translate(record)]


def of_kind(name: str, kind: type[Event]) -> list[Any]:
    return [event for event in events(name) if isinstance(event, kind)]


@pytest.mark.parametrize("name", NAMES)
def test_everything_is_read_and_in_the_order_of_time(name: str) -> None:
    kinds = Counter(type(event).__name__ for event in events(name))
    assert not kinds.keys() & {"MessageUnread", "ReadingStopped", "RecordsMissed"}
    times = [event.at for event in events(name)]
    assert times == sorted(times)


@pytest.mark.parametrize("name", NAMES)
def test_the_workers_are_those_that_the_scheduler_knew(name: str) -> None:
    known = {worker.worker_id: worker for worker in of_kind(name, WorkerConnected)}
    if name == "legacy":
        answers = [json.loads(answer["/api/v1/workers"][1]) for answer in json.loads((FOLDER / "legacy.rest.json").read_text())]
        assert {worker["id"] for answer in answers for worker in answer} == set(known)
        return
    for checkpoint in json.loads((FOLDER / f"{name}.truth.json").read_text()):
        for worker in checkpoint["workers"]:
            assert known[worker["id"]].max_inflight_tasks == worker["max_inflight_tasks"]
            assert abs(known[worker["id"]].at / 1e9 - worker["connected_timestamp"]) < 1.1


@pytest.mark.parametrize("name", NAMES)
def test_both_halves_of_an_operation_have_one_key(name: str) -> None:
    asked = {event.key for event in of_kind(name, ExecuteRequested)}
    assert {event.key for event in of_kind(name, OperationAssigned)} <= asked


@pytest.mark.parametrize("name", NAMES)
def test_a_result_repeats_when_its_operation_was_queued(name: str) -> None:
    assigned = {event.operation_id: event for event in of_kind(name, OperationAssigned)}
    for reported in of_kind(name, ResultReported):
        outcome = reported.outcome
        assert outcome.queued_at in {None, assigned[reported.operation_id].queued_at}
        assert outcome.queued_at is not None or outcome.internal_error or outcome.status_code


def test_refused_workers_are_told_with_the_schedulers_words() -> None:
    refusals = of_kind("refused", WorkerRefused)
    assert refusals
    assert {event.status_code for event in refusals} == {3}
    assert all("Bad Property" in event.status_message for event in refusals)


def test_draining_is_told() -> None:
    assert [event.draining for event in of_kind("drain", DrainSet)] == [True, False]


def test_the_older_release_says_the_same_things() -> None:
    assert len(of_kind("legacy", WorkerConnected)) == 2
    assert all(event.properties for event in of_kind("legacy", WorkerConnected))
    assert of_kind("legacy", WorkerKeptAlive)
    assert len(of_kind("legacy", ResultReported)) == 6
    assert of_kind("legacy", OperationUpdated)[-1].outcome is not None


def test_priorities_come_from_the_clients() -> None:
    assert [event.priority for event in of_kind("queue", ExecuteRequested)] == [0, 1, 2, 0, 1, 2]

"""Drains as JSON."""

from __future__ import annotations

import json

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb
from gateway.serve.description import examples
from gateway.serve.drains.shape import DRAIN_STATES, WORKER_STATES, drain_full_json, drain_json, undrained_json
from gateway.serve.shape import to_json
from tests.serve.builders import documented_drain


def test_the_example_is_what_is_made_of_it() -> None:
    assert drain_full_json(documented_drain()) == to_json(examples.DRAIN_FULL)
    assert drain_json(documented_drain()) == to_json(examples.DRAIN)


@pytest.mark.parametrize(
    ("drain", "selector"),
    [
        (pb.Drain(worker_id="w"), {"worker_id": "w", "id_prefix": None, "property": None}),
        (pb.Drain(id_prefix="w"), {"worker_id": None, "id_prefix": "w", "property": None}),
        (
            pb.Drain(property=pb.Property(name="pool", value="")),
            {"worker_id": None, "id_prefix": None, "property": {"pool": ""}},
        ),
        (pb.Drain(), {"worker_id": None, "id_prefix": None, "property": None}),
    ],
)
def test_a_selector_says_what_is_meant(drain: pb.Drain, selector: dict[str, object]) -> None:
    assert json.loads(drain_json(drain))["selector"] == selector


def test_every_state_has_its_word() -> None:
    drains = [number for number in pb.Drain.State.values() if number]
    assert [json.loads(drain_json(pb.Drain(state=number)))["state"] for number in drains] == [*DRAIN_STATES]
    workers = [number for number in pb.DrainedWorker.State.values() if number]
    answers = [pb.UndrainResponse(worker=pb.DrainedWorker(state=number)) for number in workers]
    assert [json.loads(undrained_json(answer))["worker"]["state"] for answer in answers] == [*WORKER_STATES]


def test_what_is_over_says_when_and_by_whom() -> None:
    over = pb.Drain(state=pb.Drain.CANCELLED, ended=Timestamp(seconds=5, nanos=9), ended_by="me", problem="why", gone=3)
    made = json.loads(drain_json(over))
    assert (made["ended_timestamp"], made["ended_by"], made["problem"], made["counts"]["gone"]) == (5, "me", "why", 3)


def test_undraining_says_which_drain_it_ended() -> None:
    worker = pb.DrainedWorker(id="w", state=pb.DrainedWorker.UNDRAINED, error="")
    made = json.loads(undrained_json(pb.UndrainResponse(worker=worker, drain_id="d")))
    assert made["drain_id"] == "d"
    assert made["worker"] == {"id": "w", "state": "undrained", "safe_to_delete": False, "running_operations": [], "error": None}

"""Entities as filters see them: the same as published."""

from __future__ import annotations

from gateway.model.events import Outcome, RequestMetadata, Stage
from gateway.model.records import Client
from gateway.observe.introspection import shape
from gateway.observe.introspection.views import OperationView, WorkerView
from tests.observe.introspection.observed import Observed
from tests.observe.introspection.test_shape import operation, worker
from tests.observe.records import EPOCH


def test_an_operation_is_seen_as_it_is_published() -> None:
    metadata = RequestMetadata(tool_invocation_id="i", target_id="//a", action_mnemonic="Cpp")
    entity = operation(
        stage=Stage.COMPLETED,
        worker_id="w-1",
        clients=[Client("c", "main", "", "", metadata)],
        reserved=(("pool", "a"), ("pool", "b")),
        queued_at=EPOCH,
        outcome=Outcome(status_code=4),
    )
    view, message = OperationView(entity), shape.operation(Observed().model, entity)
    assert (view.stage, view.worker_id, view.instance_name) == ("Completed", message.worker_id, message.instance_name)
    assert view.digest_hash == message.action_digest.hash
    assert view.invocation_ids == list(message.tool_invocation_ids) == ["i"]
    assert view.targets == list(message.target_ids) == ["//a"]
    assert view.mnemonics == list(message.action_mnemonics) == ["Cpp"]
    assert view.properties == {"pool": "b"}
    assert view.insert_at == message.insert.ToNanoseconds()
    assert view.status_code == message.status_code == 4


def test_of_what_is_known_by_name_only_there_is_no_digest() -> None:
    view = OperationView(operation(key=None, clients=[Client("c", "deep", "", "", None)]))
    assert (view.digest_hash, view.instance_name, view.properties, view.status_code) == ("", "deep", {}, None)


def test_a_worker_is_seen_as_it_is_published() -> None:
    view = WorkerView(worker(running={"op-1": ()}))
    assert (view.id, view.states, view.properties) == ("w-1", ("full",), {"pool": "b"})
    assert WorkerView(worker(max_inflight_tasks=None)).states == ()

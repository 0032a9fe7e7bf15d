"""Entities of the model as the rows that `gateway.query.filter` looks at; every attribute is made when a filter asks for it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from gateway.model.identity import Properties
from gateway.model.records import Operation, Worker
from gateway.observe.introspection import shape
from gateway.query.filter import worker_states


class OperationView:
    """An `OperationRow`."""

    __slots__ = ("_operation",)

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    @property
    def stage(self) -> str:
        """As published."""
        return self._operation.stage.value

    @property
    def worker_id(self) -> str | None:
        """As published; so with everything below."""
        return self._operation.worker_id

    @property
    def digest_hash(self) -> str:
        """Of the action."""
        key = self._operation.key
        return key.digest.hash if key is not None else ""

    @property
    def instance_name(self) -> str:
        """REAPI's."""
        return shape.instance_name(self._operation)

    @property
    def invocation_ids(self) -> Collection[str]:
        """Of its clients."""
        return shape.invocation_ids(self._operation)

    @property
    def targets(self) -> Collection[str]:
        """Of its clients."""
        return shape.targets(self._operation)

    @property
    def mnemonics(self) -> Collection[str]:
        """Of its clients."""
        return shape.mnemonics(self._operation)

    @property
    def properties(self) -> Mapping[str, str]:
        """The action's."""
        return _last(self._operation.platform_properties)

    @property
    def insert_at(self) -> int | None:
        """Unix nanoseconds."""
        return self._operation.insert_at

    @property
    def status_code(self) -> int | None:
        """google.rpc.Code."""
        return shape.status_code(self._operation)


class WorkerView:
    """A `WorkerRow`."""

    __slots__ = ("_worker",)

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    @property
    def id(self) -> str:
        """As the scheduler names it."""
        return self._worker.id

    @property
    def states(self) -> Collection[str]:
        """As published."""
        worker = self._worker
        return worker_states(accepts=shape.can_accept_work(worker), is_paused=worker.is_paused, is_draining=worker.is_draining)

    @property
    def properties(self) -> Mapping[str, str]:
        """As declared."""
        return _last(self._worker.properties)


def _last(properties: Properties | None) -> Mapping[str, str]:
    return dict(properties or ())

"""Get and List: requests in, encoded answers out, from the model and from what is published of it.

Lists go through `gateway.query`, as `serve`'s do, so both answer alike. BASIC answers are put together from bytes that exist
already; FULL ones are made for the request, a slice at a time, each entity as it is at its turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple

from gateway.model.events import Stage
from gateway.model.records import Operation, Worker
from gateway.model.scheduler import SchedulerModel
from gateway.observe.introspection import shape
from gateway.observe.introspection.errors import InvalidError, NotFoundError
from gateway.observe.introspection.feed import Feed
from gateway.observe.introspection.views import OperationView, WorkerView
from gateway.observe.wire import field
from gateway.pb import introspection_pb2 as pb
from gateway.query.filter import OperationFilter, WorkerFilter
from gateway.query.order import (
    OPERATION_KEY_LENGTH,
    WORKER_KEY_LENGTH,
    OrderKey,
    operation_order,
    worker_order,
)
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT, BadPageTokenError, decode_token, page

#: Entities of a FULL page made before others get their turn: some milliseconds, as stories are long.
_FULL_SLICE = 50
#: Entities that are looked at by a filter before others get their turn: about a millisecond.
_FILTER_SLICE = 1_000

_STAGE_WORDS = {
    pb.STAGE_UNKNOWN: Stage.UNKNOWN.value,
    pb.STAGE_CACHE_CHECK: Stage.CACHE_CHECK.value,
    pb.STAGE_QUEUED: Stage.QUEUED.value,
    pb.STAGE_EXECUTING: Stage.EXECUTING.value,
    pb.STAGE_COMPLETED: Stage.COMPLETED.value,
}
_WORKER_STATE_WORDS = {pb.ACTIVE: "active", pb.PAUSED: "paused", pb.DRAINING: "draining", pb.FULL_UP: "full"}


class _Row(NamedTuple):
    """An entity in its list."""

    key: OrderKey
    arrival: int


_key = attrgetter("key")


class Answers:
    """Answers of the unary calls. Errors are `RefusedError`s."""

    def __init__(self, model: SchedulerModel, feed: Feed) -> None:
        self._model = model
        self._feed = feed
        self._state = feed.state
        #: The operations in order, as of a revision: under load a list is asked for more often than it is sorted.
        self._sorted: tuple[int, list[_Row]] = (-1, [])

    async def get_scheduler(self, _request: pb.GetSchedulerRequest) -> bytes:
        """A Scheduler."""
        await self._feed.catch_up()
        return self._state.scheduler.message

    async def list_workers(self, request: pb.ListWorkersRequest) -> bytes:
        """A ListWorkersResponse."""
        limit, after = _cursor(request.page_size, request.page_token, WORKER_KEY_LENGTH)
        await self._feed.catch_up()
        wanted, arrivals = _worker_filter(request), frozenset(request.arrivals)
        workers = self._model.workers
        ids = {worker.arrival: worker.id for worker in workers.values()}
        rows = [
            _Row(worker_order(each.connected_at, each.arrival), each.arrival)
            for each in workers.values()
            if (not arrivals or each.arrival in arrivals) and (not wanted.looks_at_rows or wanted.matches(WorkerView(each)))
        ]
        rows.sort()
        found = page(rows, _key, limit=limit, after=after)
        frame = pb.ListWorkersResponse(next_page_token=found.next_token, total=found.total, revision=self._revision())
        if request.view == pb.FULL:
            encoded = await _slowly(found.rows, lambda row: self._full_worker(ids[row.arrival], row.arrival))
        else:
            encoded = [self._state.workers[row.arrival] for row in found.rows]
        return frame.SerializeToString() + b"".join(field(pb.ListWorkersResponse.WORKERS_FIELD_NUMBER, encoded))

    async def get_worker(self, request: pb.GetWorkerRequest) -> bytes:
        """A Worker."""
        worker = self._model.workers.get(request.id)
        if worker is None:
            raise NotFoundError(f"Worker {request.id} not found")
        message = shape.worker_full(self._model, worker) if request.view == pb.FULL else shape.worker(worker)
        return message.SerializeToString()

    async def list_operations(self, request: pb.ListOperationsRequest) -> bytes:
        """A ListOperationsResponse."""
        limit, after = _cursor(request.page_size, request.page_token, OPERATION_KEY_LENGTH)
        wanted, arrivals = _operation_filter(request), frozenset(request.arrivals)
        await self._feed.catch_up()
        rows = self._operations()
        if arrivals:
            rows = [row for row in rows if row.arrival in arrivals]
        if wanted != OperationFilter():
            rows = await self._matching(rows, wanted)
        found = page(rows, _key, limit=limit, after=after)
        frame = pb.ListOperationsResponse(next_page_token=found.next_token, total=found.total, revision=self._revision())
        if request.view == pb.FULL:
            encoded = await _slowly(found.rows, lambda row: self._full_operation(row.arrival))
        else:
            encoded = [self._state.operations[row.arrival] for row in found.rows]
        return frame.SerializeToString() + b"".join(field(pb.ListOperationsResponse.OPERATIONS_FIELD_NUMBER, encoded))

    async def get_operation(self, request: pb.GetOperationRequest) -> bytes:
        """An Operation."""
        operation = self._model.operation(request.id)
        if operation is None:
            raise NotFoundError(f"Operation {request.id} not found")
        full = request.view == pb.FULL
        message = shape.operation_full(self._model, operation) if full else shape.operation(self._model, operation)
        return message.SerializeToString()

    def _revision(self) -> pb.Revision:
        return pb.Revision(epoch=self._state.epoch, number=self._state.number)

    def _operations(self) -> list[_Row]:
        """All operations in order. Right after `catch_up`: there the published number stands for the model's state."""
        number, rows = self._sorted
        if number != self._state.number:
            rows = [_operation_row(each) for each in self._model.operations.values()]
            rows.sort()
            self._sorted = (self._state.number, rows)
        return rows

    async def _matching(self, rows: Sequence[_Row], wanted: OperationFilter) -> list[_Row]:
        """Those that the filter lets through; others get their turn in between."""
        operations = self._model.operations
        found: list[_Row] = []
        for start in range(0, len(rows), _FILTER_SLICE):
            for row in rows[start : start + _FILTER_SLICE]:
                operation = operations.get(row.arrival)
                if operation is not None and wanted.matches(OperationView(operation)):
                    found.append(row)
            if len(rows) > _FILTER_SLICE:
                await asyncio.sleep(0)
        return found

    def _full_worker(self, worker_id: str, arrival: int) -> bytes | None:
        worker: Worker | None = self._model.workers.get(worker_id)
        if worker is None or worker.arrival != arrival:
            return None
        return shape.worker_full(self._model, worker).SerializeToString()

    def _full_operation(self, arrival: int) -> bytes | None:
        operation = self._model.operations.get(arrival)
        return shape.operation_full(self._model, operation).SerializeToString() if operation is not None else None


def _operation_row(operation: Operation) -> _Row:
    key = operation_order(
        operation.stage.value,
        priority=operation.priority,
        insert_at=operation.insert_at,
        assigned_at=operation.assigned_at,
        finished_at=operation.finished_at,
        arrival=operation.arrival,
    )
    return _Row(key, operation.arrival)


def _stages(numbers: Sequence[pb.Stage.ValueType]) -> frozenset[str] | None:
    if not numbers:
        return None
    unknown = [number for number in numbers if number not in _STAGE_WORDS]
    if unknown:
        raise InvalidError(f"stages: {unknown[0]} is no Stage")
    return frozenset(_STAGE_WORDS[number] for number in numbers)


def _operation_filter(request: pb.ListOperationsRequest) -> OperationFilter:
    return OperationFilter(
        stages=_stages(request.stages),
        worker_id=request.worker_id or None,
        digest_hash=request.digest_hash or None,
        instance_name=request.instance_name if request.HasField("instance_name") else None,
        invocation_id=request.tool_invocation_id or None,
        target=request.target_prefix or None,
        mnemonic=request.action_mnemonic or None,
        properties=tuple((each.name, each.value) for each in request.properties),
        inserted_by=request.inserted_by.ToNanoseconds() if request.HasField("inserted_by") else None,
        status_code=request.status_code if request.HasField("status_code") else None,
    )


def _worker_filter(request: pb.ListWorkersRequest) -> WorkerFilter:
    unknown = [state for state in request.states if state not in _WORKER_STATE_WORDS]
    if unknown:
        raise InvalidError(f"states: {unknown[0]} is no WorkerState")
    return WorkerFilter(
        states=frozenset(_WORKER_STATE_WORDS[state] for state in request.states) or None,
        properties=tuple((each.name, each.value) for each in request.properties),
        id_prefix=request.id_prefix or None,
    )


def _cursor(page_size: int, page_token: str, key_length: int) -> tuple[int, OrderKey | None]:
    if page_size > MAX_LIMIT:
        raise InvalidError(f"page_size: {page_size} is over {MAX_LIMIT}")
    try:
        return page_size or DEFAULT_LIMIT, decode_token(page_token, key_length)
    except BadPageTokenError as error:
        raise InvalidError("page_token: not a next_page_token of this list") from error


async def _slowly(rows: Sequence[_Row], make: Callable[[_Row], bytes | None]) -> list[bytes]:
    """Of every row that is still there what `make` makes of it; others get their turn in between."""
    encoded = []
    for start in range(0, len(rows), _FULL_SLICE):
        encoded += [message for row in rows[start : start + _FULL_SLICE] if (message := make(row)) is not None]
        await asyncio.sleep(0)
    return encoded

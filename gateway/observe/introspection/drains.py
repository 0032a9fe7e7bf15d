"""The calls of introspection.proto about drains: requests in, checked; encoded drains out. The doing is `coordinator`'s."""

from __future__ import annotations

from gateway.observe.draining.coordinator import Coordinator
from gateway.observe.draining.records import Drain, DrainState, Kind, Selector, Target, TargetState
from gateway.observe.introspection.errors import InvalidError
from gateway.observe.timestamps import optional_timestamp, timestamp
from gateway.pb import introspection_pb2 as pb

#: Of what people and programs call themselves, and of keys.
NAME_CHARACTERS = 200
#: Of a selector; NativeLink's ids are a prefix and a UUID.
_SELECTOR_CHARACTERS = 1_000
#: Operations of a worker that are shown.
_OPERATIONS_SHOWN = 1_000

_STATES = {
    DrainState.ACTIVE: pb.Drain.ACTIVE,
    DrainState.CANCELLED: pb.Drain.CANCELLED,
    DrainState.ENDED: pb.Drain.ENDED,
}
_TARGET_STATES = {
    TargetState.REQUESTED: pb.DrainedWorker.REQUESTED,
    TargetState.DRAINING: pb.DrainedWorker.DRAINING,
    TargetState.SAFE: pb.DrainedWorker.SAFE,
    TargetState.GONE: pb.DrainedWorker.GONE,
    TargetState.FAILED: pb.DrainedWorker.FAILED,
    TargetState.UNDRAINED: pb.DrainedWorker.UNDRAINED,
    TargetState.UNKNOWN: pb.DrainedWorker.UNKNOWN,
}


class DrainAnswers:
    """Answers of the calls about drains. Errors are `RefusedError`s."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    async def drain(self, request: pb.DrainRequest) -> bytes:
        """A Drain."""
        by, key = _asker(request)
        return self._whole(await self._coordinator.drain(_selector(request), by, key, until_gone=request.until_gone))

    async def undrain(self, request: pb.UndrainRequest) -> bytes:
        """An UndrainResponse."""
        by, key = _asker(request)
        worker_id = _named("worker_id", request.worker_id)
        target, drain_id = await self._coordinator.undrain(worker_id, by, key)
        return pb.UndrainResponse(worker=self._worker(target), drain_id=drain_id).SerializeToString()

    async def cancel_drain(self, request: pb.CancelDrainRequest) -> bytes:
        """A Drain."""
        by, key = _asker(request)
        return self._whole(await self._coordinator.cancel(request.id, by, key, undrain=request.undrain))

    async def list_drains(self, _request: pb.ListDrainsRequest) -> bytes:
        """A ListDrainsResponse."""
        return pb.ListDrainsResponse(drains=[self._drain(drain) for drain in self._coordinator.register]).SerializeToString()

    async def get_drain(self, request: pb.GetDrainRequest) -> bytes:
        """A Drain."""
        return self._whole(self._coordinator.register.get(request.id))

    def published(self) -> bytes:
        """A Drains."""
        return pb.Drains(
            drains=[self._drain(drain) for drain in self._coordinator.register],
            admin_calls=[pb.WordCount(word=word, count=count) for word, count in self._coordinator.admin.counts.items()],
        ).SerializeToString()

    def _whole(self, drain: Drain) -> bytes:
        message = self._drain(drain)
        targets = sorted(drain.targets.values(), key=lambda target: target.state is TargetState.GONE)
        message.drained_workers.extend(map(self._worker, targets))
        return message.SerializeToString()

    def _drain(self, drain: Drain) -> pb.Drain:
        counts, selector = drain.counts(), drain.selector
        message = pb.Drain(
            id=drain.id,
            state=_STATES[drain.state],
            created=timestamp(drain.created_at),
            created_by=drain.created_by,
            ended=optional_timestamp(drain.ended_at),
            ended_by=drain.ended_by,
            workers=counts.workers,
            draining=counts.draining,
            safe=counts.safe,
            failed=counts.failed,
            running_operations=counts.running,
            gone=drain.gone,
            safe_to_delete=self._coordinator.is_safe(drain),
            problem=self._coordinator.problem_of(drain),
            until_gone=drain.until_gone,
        )
        match selector.kind:
            case Kind.WORKER:
                message.worker_id = selector.value
            case Kind.PREFIX:
                message.id_prefix = selector.value
            case Kind.PROPERTY:
                message.property.name, message.property.value = selector.name, selector.value
        return message

    def _worker(self, target: Target) -> pb.DrainedWorker:
        is_observed = self._coordinator.problem is None
        return pb.DrainedWorker(
            id=target.worker_id,
            state=_TARGET_STATES[target.state],
            running_operations=target.running[:_OPERATIONS_SHOWN],
            safe_to_delete=target.state is TargetState.GONE or (target.state is TargetState.SAFE and is_observed),
            error=target.error,
        )


def _selector(request: pb.DrainRequest) -> Selector:
    match request.WhichOneof("selector"):
        case "worker_id":
            return Selector(Kind.WORKER, _named("worker_id", request.worker_id))
        case "id_prefix":
            return Selector(Kind.PREFIX, _named("id_prefix", request.id_prefix))
        case "property":
            name, value = request.property.name, request.property.value
            return Selector(Kind.PROPERTY, _bounded("property.value", value), _named("property.name", name))
        case None:
            raise InvalidError("selector: one of worker_id, id_prefix, property")


def _asker(request: pb.DrainRequest | pb.UndrainRequest | pb.CancelDrainRequest) -> tuple[str, str]:
    for name, text in (("requested_by", request.requested_by), ("idempotency_key", request.idempotency_key)):
        if len(text) > NAME_CHARACTERS:
            raise InvalidError(f"{name}: {len(text)} characters, and at most {NAME_CHARACTERS} are kept")
    return request.requested_by, request.idempotency_key


def _named(name: str, text: str) -> str:
    if not text:
        raise InvalidError(f"{name}: it is empty, and would be about every worker or none")
    return _bounded(name, text)


def _bounded(name: str, text: str) -> str:
    if len(text) > _SELECTOR_CHARACTERS:
        raise InvalidError(f"{name}: {len(text)} characters, and at most {_SELECTOR_CHARACTERS} are looked for")
    return text

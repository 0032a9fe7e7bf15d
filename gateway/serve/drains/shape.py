"""Drains of introspection.proto come in, their JSON goes out, encoded; what is absent or empty there is null."""

from __future__ import annotations

from typing import Annotated

import msgspec

from gateway.pb import introspection_pb2 as pb
from gateway.serve.shape import says, to_json

#: In the order of a drain's life.
DRAIN_STATES = ("active", "cancelled", "ended")
WORKER_STATES = ("requested", "draining", "safe", "gone", "failed", "undrained", "unknown")

_DRAIN_WORDS = {pb.Drain.ACTIVE: "active", pb.Drain.CANCELLED: "cancelled", pb.Drain.ENDED: "ended"}
_WORKER_WORDS = {
    pb.DrainedWorker.REQUESTED: "requested",
    pb.DrainedWorker.DRAINING: "draining",
    pb.DrainedWorker.SAFE: "safe",
    pb.DrainedWorker.GONE: "gone",
    pb.DrainedWorker.FAILED: "failed",
    pb.DrainedWorker.UNDRAINED: "undrained",
}


class SelectorJson(msgspec.Struct, frozen=True, gc=False):
    """`selector` of a drain: one is not null."""

    worker_id: Annotated[str | None, says("This worker, until it is no longer connected: then it has another id.")]
    id_prefix: Annotated[str | None, says("Workers whose ids begin so, also those that connect later.")]
    property: Annotated[dict[str, str] | None, says("Workers that declare it, also those that connect later.")]


class DrainCountsJson(msgspec.Struct, frozen=True, gc=False):
    """`counts` of a drain; of one that is not active, as it ended."""

    workers: Annotated[int, says("That are meant and connected.")]
    draining: Annotated[int, says("Of those, the ones that get no more work.")]
    safe: Annotated[int, says("Of those, the ones that run nothing any more.")]
    failed: Annotated[int, says("Of which NativeLink was asked in vain; it is asked again.")]
    gone: Annotated[int, says("That were meant and are no longer connected.")]
    running_operations: Annotated[int, says("That its workers run.")]


class DrainJson(msgspec.Struct, frozen=True, gc=False):
    """An element of GET /api/v1/drains."""

    id: Annotated[str, says("Unique.")]
    selector: Annotated[SelectorJson, says("Which workers are meant.")]
    state: Annotated[
        str,
        says("active until somebody cancels it; with `until_gone` ended once none of its workers is connected.", *DRAIN_STATES),
    ]
    until_gone: Annotated[bool, says("It ends once none of its workers is connected, as one of a single worker always does.")]
    safe_to_delete: Annotated[
        bool, says("Every worker that is meant may be removed now without a build noticing; true as well where there is none.")
    ]
    counts: Annotated[DrainCountsJson, says("How far it is.")]
    created_timestamp: Annotated[int, says("Unix seconds.")]
    created_by: Annotated[str | None, says("Who asked for it; null: not known.")]
    ended_timestamp: Annotated[int | None, says("Unix seconds; null: it is active.")]
    ended_by: Annotated[str | None, says("Who cancelled it; null: nobody.")]
    problem: Annotated[str | None, says("What a person should know; null: nothing.")]


class DrainedWorkerJson(msgspec.Struct, frozen=True, gc=False):
    """A worker of a drain."""

    id: Annotated[str, says("As the scheduler names it.")]
    state: Annotated[
        str,
        says(
            "requested: NativeLink is being asked; draining: it finishes what it runs; safe: it runs nothing; gone: it is no "
            "longer connected; failed: NativeLink was asked in vain, see error; undrained: it gets work, as somebody wanted; "
            "unknown: it gets none, and what it runs was not all seen.",
            *WORKER_STATES,
        ),
    ]
    safe_to_delete: Annotated[bool, says("It may be removed now without a build noticing.")]
    running_operations: Annotated[list[str], says("Ids of what it runs, in the order of assignment, a thousand at most.")]
    error: Annotated[str | None, says("Why NativeLink was asked in vain, the last time; null: it was not.")]


class DrainFullJson(DrainJson, frozen=True, gc=False):
    """A drain with its workers."""

    workers: Annotated[
        list[DrainedWorkerJson],
        says("All that are meant; of those that are gone, and of a drain that is not active, the latest hundred."),
    ]


class UndrainedJson(msgspec.Struct, frozen=True, gc=False):
    """The answer to POST /api/v1/workers/{id}/undrain."""

    worker: Annotated[DrainedWorkerJson, says("As it is now.")]
    drain_id: Annotated[str | None, says("The drain of this worker that is cancelled by it; null: there was none.")]


def drain_json(drain: pb.Drain) -> bytes:
    """Without its workers."""
    return to_json(_basic(drain))


def drain_full_json(drain: pb.Drain) -> bytes:
    """With them."""
    workers = [_worker(worker) for worker in drain.drained_workers]
    return to_json(DrainFullJson(**msgspec.structs.asdict(_basic(drain)), workers=workers))


def undrained_json(answer: pb.UndrainResponse) -> bytes:
    """What undraining came to."""
    return to_json(UndrainedJson(_worker(answer.worker), answer.drain_id or None))


def _basic(drain: pb.Drain) -> DrainJson:
    kind = drain.WhichOneof("selector")
    return DrainJson(
        id=drain.id,
        selector=SelectorJson(
            drain.worker_id if kind == "worker_id" else None,
            drain.id_prefix if kind == "id_prefix" else None,
            {drain.property.name: drain.property.value} if kind == "property" else None,
        ),
        state=_DRAIN_WORDS.get(drain.state, "ended"),
        until_gone=drain.until_gone,
        safe_to_delete=drain.safe_to_delete,
        counts=DrainCountsJson(drain.workers, drain.draining, drain.safe, drain.failed, drain.gone, drain.running_operations),
        created_timestamp=drain.created.seconds,
        created_by=drain.created_by or None,
        ended_timestamp=drain.ended.seconds if drain.HasField("ended") else None,
        ended_by=drain.ended_by or None,
        problem=drain.problem or None,
    )


def _worker(worker: pb.DrainedWorker) -> DrainedWorkerJson:
    return DrainedWorkerJson(
        id=worker.id,
        state=_WORKER_WORDS.get(worker.state, "unknown"),
        safe_to_delete=worker.safe_to_delete,
        running_operations=list(worker.running_operations),
        error=worker.error or None,
    )

"""Workers of a model, as drains look at them."""

from __future__ import annotations

from gateway.model.identity import StreamId
from gateway.model.records import Worker
from gateway.observe.draining.records import Drain, Kind, Selector

SECOND = 1_000_000_000


def worker(id_: str, *, arrival: int = 1, is_draining: bool = False, running: tuple[str, ...] = (), **properties: str) -> Worker:
    """One that is connected."""
    return Worker(
        id=id_,
        arrival=arrival,
        stream=StreamId("run", 1, 1),
        connected_at=0,
        last_update_at=0,
        properties=tuple(properties.items()),
        id_prefix="",
        max_inflight_tasks=0,
        peer="",
        user_agent="",
        is_draining=is_draining,
        running=dict.fromkeys(running, ()),
    )


def workers(*found: Worker) -> dict[str, Worker]:
    """By id."""
    return {each.id: each for each in found}


def drain(id_: str = "d-1", kind: Kind = Kind.PREFIX, value: str = "w", name: str = "") -> Drain:
    """An active one."""
    return Drain(id_, Selector(kind, value, name), created_at=1, created_by="tests", until_gone=kind is Kind.WORKER)

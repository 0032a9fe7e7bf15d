"""Queries: what the two lists can be asked for, as hashable values, so that an answer is kept under its question."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from gateway.query.filter import OperationFilter, WorkerFilter
from gateway.query.order import OrderKey
from gateway.query.page import DEFAULT_LIMIT, MAX_LIMIT

_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class WorkersQuery:
    """GET /api/v1/workers; documented to list all."""

    filter: WorkerFilter = field(default_factory=WorkerFilter)
    limit: int = MAX_LIMIT
    after: OrderKey | None = None
    #: Everything that is known of each, not only what is documented.
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class OperationsQuery:
    """GET /api/v1/operations."""

    filter: OperationFilter = field(default_factory=OperationFilter)
    limit: int = DEFAULT_LIMIT
    after: OrderKey | None = None
    is_full: bool = False
    #: Seconds since it was inserted, at least; None: any.
    min_age_s: float | None = None

    def at(self, now: float) -> OperationsQuery:
        """The same question asked at a time, Unix seconds: an age is counted to the second, as a time of insertion."""
        if self.min_age_s is None:
            return self
        inserted_by = int((int(now) - self.min_age_s) * _NS_PER_S)
        return replace(self, filter=replace(self.filter, inserted_by=inserted_by), min_age_s=None)


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """GET /api/v1/events."""

    #: None: no workers; so with `operations`.
    workers: WorkerFilter | None = field(default_factory=WorkerFilter)
    operations: OperationFilter | None = field(default_factory=OperationFilter)
    scheduler: bool = True
    health: bool = True
    drains: bool = True
    #: Epoch and number of the revision to go on from; None: from now on.
    since: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """For how long an operation is waited for, and until it is in which stages."""

    stages: frozenset[str]
    timeout_s: float

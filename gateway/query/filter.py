"""Filter: what was asked for comes in, whether a row belongs to the answer goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class OperationRow(Protocol):
    """What a filter looks at."""

    @property
    def stage(self) -> str:
        """One of `gateway.query.order.STAGES`."""

    @property
    def worker_id(self) -> str | None:
        """None: no worker has it."""


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Conditions that an operation meets all at once; it is hashable, and so part of a cache's key."""

    #: Words of `gateway.query.order.STAGES`; None: every stage.
    stages: frozenset[str] | None = None
    #: None: any worker, or none.
    worker_id: str | None = None

    def matches(self, row: OperationRow) -> bool:
        """Whether the row meets every condition."""
        return (self.stages is None or row.stage in self.stages) and (self.worker_id is None or row.worker_id == self.worker_id)

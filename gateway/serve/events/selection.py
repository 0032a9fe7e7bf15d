"""Selection: a difference between two revisions comes in, what a client with its filters sees of it goes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway.query.filter import OperationFilter, WorkerFilter
from gateway.serve.replica import AnyDifference
from gateway.serve.rows import OperationRow, Row, WorkerRow


class Seen(NamedTuple):
    """What a client is shown of one difference."""

    row: Row
    #: It is no longer among what the client sees: it is not listed any more, or its filter does not let it through any more.
    removed: bool


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Selection:
    """Filters of the lists; None: none of that kind are shown at all."""

    workers: WorkerFilter | None
    operations: OperationFilter | None

    def see(self, difference: AnyDifference) -> Seen | None:
        """None: it was not seen before, and is not now."""
        before, after = difference
        if after is not None and self._matches(after):
            return Seen(after, removed=False)
        if before is not None and self._matches(before):
            return Seen(before if after is None else after, removed=True)
        return None

    def _matches(self, row: WorkerRow | OperationRow) -> bool:
        if isinstance(row, OperationRow):
            return self.operations is not None and self.operations.matches(row)
        return self.workers is not None and self.workers.matches(row)

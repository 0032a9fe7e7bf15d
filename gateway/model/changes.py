"""What became different: frozen, numbered, in order. Watch, events, metrics and logs all subscribe to this one stream.

`SchedulerModel.apply` returns them. An entity is named by its arrival number; a reader looks the entity up for its state,
or knows from the change that it is gone.
"""

from __future__ import annotations

from gateway.model.events import Stage
from gateway.model.identity import Properties
from gateway.model.records import Anomaly
from gateway.model.value import value

#: Every `reason` of WorkerRemoved.
WORKER_REMOVALS = (
    "stream ended",
    "going away",
    "evicted",
    "replaced",
    "connection closed",
    "tap ended",
    "its end was not seen",
    "no keep-alive since a gap",
)
#: Every `reason` of AttemptFailed: the worker is no longer connected; it reported an `internal_error`; another worker got the
#: operation before it was seen how this one's attempt ended.
ATTEMPT_FAILURES = ("worker lost", "internal error", "overtaken")


@value
class Change:
    """Anything that became different."""

    #: Counts up by one over the model's life.
    number: int
    #: Unix nanoseconds.
    at: int


@value
class WorkerChanged(Change):
    """A worker appeared, or an attribute of it has a new value."""

    arrival: int
    worker_id: str
    appeared: bool


@value
class WorkerRemoved(Change):
    """A worker is no longer connected."""

    arrival: int
    worker_id: str
    #: One of WORKER_REMOVALS.
    reason: str


@value
class RegistrationRefused(Change):
    """A worker registered in vain."""

    peer: str
    id_prefix: str
    properties: Properties | None
    status_code: int | None
    status_message: str


@value
class OperationChanged(Change):
    """An operation appeared, or an attribute of it has a new value."""

    arrival: int
    operation_id: str
    #: None: it appeared.
    stage_before: Stage | None
    stage: Stage


@value
class OperationRemoved(Change):
    """An operation is no longer listed."""

    arrival: int
    operation_id: str
    #: Such as "retention", "abandoned", "joined with NNN", "scheduler restarted".
    reason: str


@value
class AttemptBegan(Change):
    """A worker got an operation."""

    arrival: int
    operation_id: str
    worker_id: str
    #: Since when it had waited for one, Unix nanoseconds: its insert_at, or when it was taken from the worker before. None: not
    #: known.
    queued_since: int | None


@value
class AttemptFailed(Change):
    """A worker that had an operation has it no longer and brought no result: it is queued again, or has failed for good."""

    arrival: int
    operation_id: str
    worker_id: str
    #: One of ATTEMPT_FAILURES.
    reason: str


@value
class SchedulerRestarted(Change):
    """The scheduler was seen to begin anew; uptime starts again."""


@value
class AnomalyFound(Change):
    """Something contradicted the lifecycle or could not be read."""

    anomaly: Anomaly


@value
class RecordsLost(Change):
    """Records between tap and model are missing."""

    count: int

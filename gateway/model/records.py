"""The entities that the model keeps: what a reader may look at.

Only `gateway.model` writes to them. Readers (introspection, metrics) read attributes and never keep a reference across an `apply`
without looking again: entities are mutable and live.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from gateway.model.events import ActionRead, Outcome, RequestMetadata, Stage
from gateway.model.identity import ActionKey, Properties, StreamId
from gateway.model.story import Story, StoryLine

#: Every `kind` of Anomaly.
ANOMALY_KINDS = (
    "assigned_twice",
    "late_result",
    "reading_stopped",
    "records_missed",
    "renamed",
    "unknown_result",
    "unknown_worker",
    "unnamed",
    "unread",
    "update_after_done",
    "update_without_request",
    "worker_id_reused",
    "worker_renamed",
)


class Join(Enum):
    """How sure it is that client side and worker side of an operation are one."""

    #: Only one side was seen.
    NONE = "none"
    #: They agree in all that both sides carry, and so might another pair.
    TENTATIVE = "tentative"
    PROVEN = "proven"


@dataclass(slots=True, eq=False)
class Worker:
    """A connected worker, as the scheduler keeps it (nativelink-facts 2, "Worker state")."""

    id: str
    #: Order of first sight among workers and operations; never reused.
    arrival: int
    stream: StreamId
    connected_at: int
    #: Registration and keep-alives, nothing else.
    last_update_at: int
    #: As declared, in that order, repeats included; None: the registration was not seen.
    properties: Properties | None
    id_prefix: str
    #: 0: unlimited; None: the registration was not seen.
    max_inflight_tasks: int | None
    peer: str
    user_agent: str
    is_paused: bool = False
    is_draining: bool = False
    actions_completed: int = 0
    #: Scheduler's operation id -> properties reserved for it; in the order of assignment.
    running: dict[str, Properties] = field(default_factory=dict)
    #: Of `running`: those whose ExecuteComplete came, so that their reservation is given back.
    released: tuple[str, ...] = ()
    #: False after a gap in which assignments may have been missed: counts and running operations are a lower bound.
    is_complete: bool = True
    #: For `gateway.model.story.lines`.
    story: Story = field(default=(), repr=False)

    @property
    def can_accept_work(self) -> bool:
        """`!is_paused && !is_draining && (max_inflight_tasks == 0 || running < max_inflight_tasks)` (facts 2)."""
        limit = self.max_inflight_tasks
        return not self.is_paused and not self.is_draining and (not limit or len(self.running) < limit)


@dataclass(slots=True, eq=False)
class Client:
    """One client_operation_id of an operation: whoever follows it by Execute or WaitExecution."""

    client_operation_id: str
    #: That its name begins with; None: the name is the id alone.
    instance_name: str | None
    peer: str
    user_agent: str
    metadata: RequestMetadata | None
    #: How many open streams follow it.
    followers: int = 0

    @property
    def name(self) -> str:
        """Operation.name: `{instance_name}/{client_operation_id}`."""
        return self.client_operation_id if self.instance_name is None else f"{self.instance_name}/{self.client_operation_id}"


@dataclass(slots=True, eq=False)
class Operation:
    """One execution, joined from the clients' half and the worker's half."""

    #: Order of first sight among workers and operations; never reused.
    arrival: int
    #: None: WaitExecution of an operation whose digest no update has named yet.
    key: ActionKey | None
    #: The clients' or the worker's view, the later of the two in the lifecycle.
    stage: Stage
    #: Unix nanoseconds; when the request was seen, or the worker's half if that was first.
    load_at: int
    #: Every client id that joined, in order of first sight; client_operation_id is the first's.
    clients: Sequence[Client] = ()
    #: False: known by a WaitExecution only, which does not say whether the action is cacheable; `key.cacheable` is a guess.
    is_cacheable_known: bool = True
    #: The scheduler's id; None until a worker got the operation.
    scheduler_operation_id: str | None = None
    #: What `operation_id` was before it changed.
    previous_operation_id: str | None = None
    #: The worker that has it, or that ran it once completed; None: none.
    worker_id: str | None = None
    #: None: only the worker's half was seen.
    priority: int | None = None
    #: When the first update of a client was seen.
    first_update_at: int | None = None
    #: StartExecute.queued_timestamp, Unix nanoseconds.
    queued_at: int | None = None
    #: When the current worker got it.
    assigned_at: int | None = None
    finished_at: int | None = None
    #: StartExecute.platform of the last assignment; None: never assigned.
    reserved: Properties | None = None
    #: Workers that got it.
    attempts: int = 0
    #: None: not finished, or finished without one.
    outcome: Outcome | None = None
    join: Join = Join.NONE
    #: From the CAS; None: not read.
    action: ActionRead | None = None
    #: For `gateway.model.story.lines`.
    story: Story = field(default=(), repr=False)

    @property
    def cacheable(self) -> bool | None:
        """Whether the scheduler joins it with equal actions; None: not known."""
        return self.key.cacheable if self.key is not None and self.is_cacheable_known else None

    @property
    def client_operation_id(self) -> str | None:
        """The first client's id; None while no client has been named."""
        return next((client.client_operation_id for client in self.clients if client.client_operation_id), None)

    @property
    def operation_id(self) -> str:
        """The scheduler's id once a worker got the operation, before that the client's; `""` until one is known."""
        return self.scheduler_operation_id or self.client_operation_id or ""

    @property
    def insert_at(self) -> int | None:
        """The scheduler's queued_timestamp; until it is known, when the first update was seen."""
        return self.queued_at if self.queued_at is not None else self.first_update_at

    @property
    def platform_properties(self) -> Properties | None:
        """The Action's own where it says any, otherwise what the scheduler reserved; None: not known."""
        action_platform = self.action.platform if self.action is not None else None
        return action_platform or (self.reserved if self.reserved is not None else action_platform)

    @property
    def is_finished(self) -> bool:
        """Whether the operation is completed."""
        return self.stage is Stage.COMPLETED


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something that the lifecycle does not allow, or that could not be read; the model went on with what was seen."""

    at: int
    #: One of ANOMALY_KINDS.
    kind: str
    #: Worker id or operation id; "" where it belongs to neither.
    entity: str
    text: str
    #: The entity's log up to then.
    story: tuple[StoryLine, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What scheduler status counts; None: the side that shows it is not observed (design 5, "One side only")."""

    workers: int | None
    #: can_accept_work
    workers_accepting: int | None
    workers_paused: int | None
    workers_draining: int | None
    operations: int | None
    queued: int | None
    executing: int | None
    completed: int | None

"""The scheduler's operations, who follows them, and the order in which they wait. In: requests. Out: the next one to run."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.simulation.fleet import Platform
from gateway.simulation.outbox import Outbox

Stage = remote_execution.ExecutionStage


@dataclass(slots=True, eq=False)
class Operation:
    """One execution, as the scheduler keeps it."""

    #: The scheduler's operation id.
    id: str
    #: As it goes to workers: digest function filled in, without execution_policy (nativelink-facts 2).
    request: remote_execution.ExecuteRequest
    action: remote_execution.Action
    platform: Platform
    #: Of the first request; later joiners do not change it.
    priority: int
    #: Unix nanoseconds; the one value that every message repeats.
    queued_ns: int
    #: When a client last subscribed or counted as alive, Unix seconds.
    last_keep_alive: float
    stage: remote_execution.ExecutionStage.Value.ValueType = Stage.QUEUED
    #: Id of the worker that has it or that ran it, None while it waits.
    worker_id: str | None = None
    #: Lost workers and errors so far.
    attempts: int = 0
    response: remote_execution.ExecuteResponse | None = None
    #: In the order in which they came.
    followers: dict[Follower, None] = field(default_factory=dict)
    #: Names under which clients know it.
    names: list[str] = field(default_factory=list)
    #: False once the scheduler has dropped it, even while a worker still runs it.
    is_listed: bool = True
    #: Counts its stays in the queue, so that an old place there is told from the present one.
    stay: int = 0

    @property
    def is_cacheable(self) -> bool:
        """Whether equal requests join it."""
        return not self.request.skip_cache_lookup


@dataclass(slots=True, eq=False)
class Follower:
    """One open Execute or WaitExecution stream."""

    operation: Operation
    #: `{instance_name}/{client_operation_id}`
    name: str
    #: Unix seconds.
    subscribed_at: float
    outbox: Outbox[longrunning.Operation] = field(default_factory=Outbox)

    def tell(self, *, overtake: bool) -> None:
        """Queue the operation's present state for the client, and end the stream if it is completed."""
        operation = self.operation
        update = longrunning.Operation(name=self.name, done=operation.stage == Stage.COMPLETED)
        update.metadata.Pack(
            remote_execution.ExecuteOperationMetadata(stage=operation.stage, action_digest=operation.request.action_digest)
        )
        if operation.response is not None:
            update.response.Pack(operation.response)
        self.outbox.put(update, overtake=overtake)
        if update.done:
            self.outbox.close()


#: What an operation's place in the queue is sorted by: priority descending, then insert time in whole seconds, then id (facts 7).
_Place = tuple[int, int, str, int, Operation]


class Queue:
    """Operations that wait. Those with equal platforms wait in one line: where its head finds no worker, nobody behind it does."""

    def __init__(self) -> None:
        self._lines: dict[Platform, list[_Place]] = {}

    def add(self, operation: Operation) -> None:
        """An operation waits, for the first time or again; its place is by its first insert time."""
        operation.stay += 1
        place = (-operation.priority, operation.queued_ns // 1_000_000_000, operation.id, operation.stay, operation)
        heapq.heappush(self._lines.setdefault(operation.platform, []), place)

    def assign(self, take: Callable[[Operation], bool]) -> None:
        """Offer operations in order; `take` says whether one found a worker and leaves the queue."""
        heads = [(line[0], platform) for platform in list(self._lines) if (line := self._line(platform))]
        heapq.heapify(heads)
        while heads:
            place, platform = heads[0]
            if take(place[-1]) and (line := self._line(platform)):
                heapq.heapreplace(heads, (line[0], platform))
            else:
                heapq.heappop(heads)

    def _line(self, platform: Platform) -> list[_Place]:
        """The line without the places that nobody holds any more at its head."""
        line = self._lines[platform]
        while line:
            *_, stay, operation = line[0]
            if operation.is_listed and operation.stage == Stage.QUEUED and operation.stay == stay:
                return line
            heapq.heappop(line)
        del self._lines[platform]
        return line

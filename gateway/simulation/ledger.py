"""Which operations there are, under which names and keys, and when they are dropped.

In: operations, subscriptions, completions, the time. Out: look-ups. Rules: deduplication (nativelink-facts 3); an operation that
nobody follows leaves at its last client keep-alive + client_action_timeout_s, completed ones too (nativelink-facts 7).
"""

from __future__ import annotations

import heapq

from gateway.pb import remote_execution_pb2 as remote_execution
from gateway.simulation.operations import Follower, Operation
from gateway.simulation.settings import Settings

#: What makes a request joinable: instance name, hash, size.
ActionKey = tuple[str, str, int]


def key_of(request: remote_execution.ExecuteRequest) -> ActionKey:
    """The key under which equal cacheable requests join."""
    return (request.instance_name, request.action_digest.hash, request.action_digest.size_bytes)


class Ledger:
    """All listed operations. Times are Unix seconds."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        #: Scheduler's id -> operation, in order of arrival.
        self._operations: dict[str, Operation] = {}
        #: Client's name -> operation.
        self._names: dict[str, Operation] = {}
        self._joinable: dict[ActionKey, Operation] = {}
        #: (deadline, id); a place is void unless `_deadlines` has the same time for the id.
        self._due: list[tuple[float, str]] = []
        self._deadlines: dict[str, float] = {}
        #: Ids of completed operations, oldest first.
        self._completed: dict[str, None] = {}

    @property
    def operations(self) -> list[Operation]:
        """All listed operations in order of arrival."""
        return list(self._operations.values())

    def add(self, operation: Operation) -> None:
        """A new operation; if it is cacheable, equal requests find it from now on."""
        self._operations[operation.id] = operation
        if operation.is_cacheable:
            self._joinable[key_of(operation.request)] = operation

    def joinable(self, request: remote_execution.ExecuteRequest) -> Operation | None:
        """The unfinished operation that the request joins, None if it starts its own."""
        return None if request.skip_cache_lookup else self._joinable.get(key_of(request))

    def named(self, name: str) -> Operation | None:
        """The operation that a client knows by this name."""
        return self._names.get(name)

    def follow(self, operation: Operation, name: str, now: float) -> Follower:
        """A client subscribed, which counts as its keep-alive."""
        follower = Follower(operation, name, now)
        operation.last_keep_alive = now
        operation.followers[follower] = None
        self._deadlines.pop(operation.id, None)
        if operation.id in self._operations and name not in self._names:
            operation.names.append(name)
            self._names[name] = operation
        return follower

    def unfollow(self, follower: Follower, now: float) -> None:
        """A subscription ended, after keep-alives at regular steps since it began."""
        operation, step = follower.operation, self._settings.client_keep_alive_s
        operation.followers.pop(follower, None)
        alive = follower.subscribed_at + (now - follower.subscribed_at) // step * step
        operation.last_keep_alive = max(operation.last_keep_alive, alive)
        if not operation.followers and operation.id in self._operations:
            deadline = operation.last_keep_alive + self._settings.client_action_timeout_s
            self._deadlines[operation.id] = deadline
            heapq.heappush(self._due, (deadline, operation.id))

    def complete(self, operation: Operation) -> None:
        """The operation is finished: nobody joins it any more."""
        self._end_joining(operation)
        self._completed[operation.id] = None
        if len(self._completed) > self._settings.completed_max:
            self._drop(self._operations[next(iter(self._completed))])

    def expire(self, now: float) -> None:
        """Drop what nobody has followed for long enough."""
        while self._due and self._due[0][0] <= now:
            deadline, operation_id = heapq.heappop(self._due)
            if self._deadlines.get(operation_id) == deadline:
                self._drop(self._operations[operation_id])

    def _drop(self, operation: Operation) -> None:
        operation.is_listed = False
        self._end_joining(operation)
        del self._operations[operation.id]
        self._deadlines.pop(operation.id, None)
        self._completed.pop(operation.id, None)
        for name in operation.names:
            del self._names[name]

    def _end_joining(self, operation: Operation) -> None:
        key = key_of(operation.request)
        if self._joinable.get(key) is operation:
            del self._joinable[key]

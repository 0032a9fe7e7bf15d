"""The scheduler's workers and the choice among them.

In: registrations and what becomes of workers. Out: for a platform, the worker that takes the next action of it (nativelink-facts 2
and 4). Workers with equal properties are one group, so that a question about a platform is asked once a group, not once a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.config.types import PropertyType
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.outbox import Outbox

if TYPE_CHECKING:
    from gateway.simulation.operations import Operation

#: An action's platform: sorted, a name once (the last value).
Platform = tuple[tuple[str, str], ...]

#: Platforms whose answer a group remembers; over it the group forgets and asks anew.
_REMEMBERED_PLATFORMS = 10_000


class BadPropertyError(Exception):
    """A worker declared a `minimum` property that is no number; the text is NativeLink's own (recording `refused`)."""

    def __init__(self, value: str) -> None:
        super().__init__(
            f"invalid digit found in string : Cannot convert to platform property to u64: {value} - "
            'Error { code: InvalidArgument, messages: ["invalid digit found in string"] } : '
            "Bad Property during connect_worker()"
        )


@dataclass(slots=True, eq=False)
class Worker:
    """A connected worker, as NativeLink's `worker.rs` keeps it."""

    id: str
    #: Declared; of a repeated name the last value.
    properties: Mapping[str, str]
    #: 0: unlimited.
    max_inflight_tasks: int
    #: Unix seconds.
    connected_at: float
    #: Unix seconds; registration and keep-alives only.
    last_update_at: float
    outbox: Outbox[worker_api.UpdateForWorker]
    #: `minimum` name -> what is left of it.
    remaining: dict[str, int]
    is_paused: bool = False
    is_draining: bool = False
    actions_completed: int = 0
    #: Scheduler's operation id -> operation, in the order of assignment.
    running: dict[str, Operation] = field(default_factory=dict)
    #: Of `running`: those whose reservation was given back by ExecuteComplete.
    released: set[str] = field(default_factory=set)
    #: Of `running`: those that it was told to kill.
    killed: set[str] = field(default_factory=set)
    #: False once the scheduler has removed it, even while its stream lives on.
    is_listed: bool = True
    #: Counts assignments of the fleet; the smallest has waited longest.
    used: int = 0

    @property
    def can_accept_work(self) -> bool:
        """`!is_paused && !is_draining && (max_inflight_tasks == 0 || running < max_inflight_tasks)`."""
        has_room = self.max_inflight_tasks == 0 or len(self.running) < self.max_inflight_tasks
        return not self.is_paused and not self.is_draining and has_room


@dataclass(slots=True, eq=False)
class _Group:
    """Workers with equal properties."""

    #: Worker id -> worker.
    members: dict[str, Worker] = field(default_factory=dict)
    #: Of `members`, those that can accept work, those first that became able to first.
    idle: dict[str, Worker] = field(default_factory=dict)
    #: Platform -> whether a member with nothing to do could take it.
    fits: dict[Platform, bool] = field(default_factory=dict)


class Fleet:
    """All connected workers."""

    def __init__(self, types: Mapping[str, PropertyType]) -> None:
        self._types = types
        self._workers: dict[str, Worker] = {}
        #: Sorted properties -> group.
        self._groups: dict[Platform, _Group] = {}
        self._uses = 0

    def __iter__(self) -> Iterator[Worker]:
        return iter(self._workers.values())

    def __len__(self) -> int:
        return len(self._workers)

    def get(self, worker_id: str) -> Worker | None:
        """The worker with this id, None if none is connected."""
        return self._workers.get(worker_id)

    def remaining(self, properties: Mapping[str, str]) -> dict[str, int]:
        """The `minimum` properties as numbers.

        Raises:
            BadPropertyError: one of them is none.
        """
        numbers = {}
        for name, value in properties.items():
            if self._types.get(name) is PropertyType.MINIMUM:
                number = _number(value)
                if number is None:
                    raise BadPropertyError(value)
                numbers[name] = number
        return numbers

    def add(self, worker: Worker) -> None:
        """A worker registered."""
        self._workers[worker.id] = worker
        self._group(worker).members[worker.id] = worker
        self._touch(worker)
        self.refresh(worker)

    def remove(self, worker: Worker) -> None:
        """A worker is gone."""
        del self._workers[worker.id]
        key = _key(worker.properties)
        group = self._groups[key]
        del group.members[worker.id]
        group.idle.pop(worker.id, None)
        if not group.members:
            del self._groups[key]
        worker.is_listed = False

    def refresh(self, worker: Worker) -> None:
        """Call after anything that `can_accept_work` depends on."""
        idle = self._group(worker).idle
        if not worker.can_accept_work:
            idle.pop(worker.id, None)
        elif worker.id not in idle:
            idle[worker.id] = worker

    def pick(self, platform: Platform) -> Worker | None:
        """The worker that has waited longest among those that can take an action with this platform now."""
        best: Worker | None = None
        for key, group in self._groups.items():
            if not group.idle or not self._fits(platform, key, group):
                continue
            worker = next((worker for worker in group.idle.values() if self._has_left(worker, platform)), None)
            if worker is not None and (best is None or worker.used < best.used):
                best = worker
        return best

    def assign(self, worker: Worker, operation: Operation) -> None:
        """The operation is sent to the worker: what it needs of `minimum` properties is taken."""
        worker.running[operation.id] = operation
        self._take(worker, operation, -1)
        self._touch(worker)
        self._group(worker).idle.pop(worker.id, None)
        self.refresh(worker)

    def release(self, worker: Worker, operation: Operation) -> None:
        """Give back what the operation holds; a second time does nothing."""
        if operation.id in worker.running and operation.id not in worker.released:
            worker.released.add(operation.id)
            self._take(worker, operation, 1)

    def finish(self, worker: Worker, operation: Operation, *, is_exhausted: bool) -> None:
        """A finished ExecuteResult came: the pausing rule of nativelink-facts 2."""
        self.release(worker, operation)
        del worker.running[operation.id]
        worker.released.discard(operation.id)
        worker.killed.discard(operation.id)
        worker.actions_completed += 1
        worker.is_paused = False
        worker.is_paused = bool(worker.running) and (is_exhausted or not worker.can_accept_work)
        self.refresh(worker)

    def _take(self, worker: Worker, operation: Operation, sign: int) -> None:
        for name, value in operation.platform:
            if name in worker.remaining:
                worker.remaining[name] += sign * int(value)

    def _touch(self, worker: Worker) -> None:
        self._uses += 1
        worker.used = self._uses

    def _group(self, worker: Worker) -> _Group:
        return self._groups.setdefault(_key(worker.properties), _Group())

    def _fits(self, platform: Platform, key: Platform, group: _Group) -> bool:
        answer = group.fits.get(platform)
        if answer is None:
            if len(group.fits) >= _REMEMBERED_PLATFORMS:
                group.fits.clear()
            answer = group.fits[platform] = matches(platform, dict(key), self._types)
        return answer

    def _has_left(self, worker: Worker, platform: Platform) -> bool:
        return all(worker.remaining[name] >= int(value) for name, value in platform if name in worker.remaining)


def matches(platform: Platform, properties: Mapping[str, str], types: Mapping[str, PropertyType]) -> bool:
    """Whether a worker with these properties and nothing to do could take the action (nativelink-facts 4, release 1.6.6)."""
    return all(_matches_one(types.get(name), properties.get(name), value) for name, value in platform)


def _matches_one(type_: PropertyType | None, has: str | None, wants: str) -> bool:
    match type_:
        case PropertyType.MINIMUM:
            have, want = _number(has or ""), _number(wants)
            return have is not None and want is not None and have >= want
        case PropertyType.EXACT:
            return has == wants
        case PropertyType.PRIORITY:
            return has is not None
        case PropertyType.IGNORE:
            return True
        case None:
            return has is None or has == wants


def platform_of(properties: Iterable[tuple[str, str]]) -> Platform:
    """Sorted, of a repeated name the last value."""
    return tuple(sorted(dict(properties).items()))


def _key(properties: Mapping[str, str]) -> Platform:
    return tuple(sorted(properties.items()))


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None

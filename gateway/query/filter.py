"""Filter: what was asked for comes in, whether a row belongs to the answer goes out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

#: `(name, value)`
Property = tuple[str, str]


class OperationRow(Protocol):
    """What a filter of operations looks at."""

    @property
    def stage(self) -> str:
        """One of `gateway.query.order.STAGES`."""

    @property
    def worker_id(self) -> str | None:
        """None: no worker has it."""

    @property
    def digest_hash(self) -> str:
        """Of the action; `""`: not known."""

    @property
    def instance_name(self) -> str:
        """REAPI's."""

    @property
    def invocation_ids(self) -> Collection[str]:
        """Of its clients; so with the two below."""

    @property
    def targets(self) -> Collection[str]:
        """Labels."""

    @property
    def mnemonics(self) -> Collection[str]:
        """Such as CppCompile."""

    @property
    def properties(self) -> Mapping[str, str]:
        """The action's, of a repeated name the last value; empty as well where they are not known."""

    @property
    def insert_at(self) -> int | None:
        """Unix nanoseconds."""

    @property
    def status_code(self) -> int | None:
        """google.rpc.Code; None: not finished."""


@dataclass(frozen=True, slots=True)
class OperationFilter:
    """Conditions that an operation meets all at once; it is hashable, and so part of a cache's key. None, or empty: any."""

    #: Words of `gateway.query.order.STAGES`.
    stages: frozenset[str] | None = None
    worker_id: str | None = None
    digest_hash: str | None = None
    instance_name: str | None = None
    invocation_id: str | None = None
    #: What a target begins with.
    target: str | None = None
    mnemonic: str | None = None
    properties: tuple[Property, ...] = ()
    #: Unix nanoseconds, at the latest; what is not known is later.
    inserted_by: int | None = None
    status_code: int | None = None

    @property
    def looks_at_rows(self) -> bool:
        """Whether it asks for more than a stage and a worker, by which rows are kept."""
        return self != OperationFilter(self.stages, self.worker_id)

    def matches(self, row: OperationRow) -> bool:
        """Whether the row meets every condition."""
        return (
            (self.stages is None or row.stage in self.stages)
            and (self.worker_id is None or row.worker_id == self.worker_id)
            and (self.digest_hash is None or row.digest_hash == self.digest_hash)
            and (self.instance_name is None or row.instance_name == self.instance_name)
            and (self.invocation_id is None or self.invocation_id in row.invocation_ids)
            and (self.mnemonic is None or self.mnemonic in row.mnemonics)
            and (self.status_code is None or row.status_code == self.status_code)
            and (self.inserted_by is None or (row.insert_at is not None and row.insert_at <= self.inserted_by))
            and (self.target is None or any(target.startswith(self.target) for target in row.targets))
            and _has(row.properties, self.properties)
        )


#: What a worker may be, in the words of GET /api/v1/workers; it may be paused and draining at once.
WORKER_STATES = ("active", "paused", "draining", "full")


def worker_states(*, accepts: bool | None, is_paused: bool | None, is_draining: bool | None) -> tuple[str, ...]:
    """Of WORKER_STATES, those of a worker; what is not known (None) is none of them."""
    states = [word for word, holds in zip(WORKER_STATES, (accepts, is_paused, is_draining), strict=False) if holds]
    return tuple(states) if states or accepts is not False else ("full",)


class WorkerRow(Protocol):
    """What a filter of workers looks at."""

    @property
    def states(self) -> Collection[str]:
        """Of WORKER_STATES."""

    @property
    def properties(self) -> Mapping[str, str]:
        """As declared, of a repeated name the last value; empty as well where they are not known."""

    @property
    def id(self) -> str:
        """As the scheduler names it."""


@dataclass(frozen=True, slots=True)
class WorkerFilter:
    """Conditions that a worker meets all at once. None, or empty: any."""

    #: Any of them.
    states: frozenset[str] | None = None
    properties: tuple[Property, ...] = ()
    id_prefix: str | None = None

    @property
    def looks_at_rows(self) -> bool:
        """Whether it asks for anything."""
        return self != WorkerFilter()

    def matches(self, row: WorkerRow) -> bool:
        """Whether the row meets every condition."""
        return (
            (self.states is None or not self.states.isdisjoint(row.states))
            and (self.id_prefix is None or row.id.startswith(self.id_prefix))
            and _has(row.properties, self.properties)
        )


def _has(properties: Mapping[str, str], wanted: tuple[Property, ...]) -> bool:
    return all(properties.get(name) == value for name, value in wanted)

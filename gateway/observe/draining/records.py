"""What is kept of drains. Only `register` and `safety` write to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Kind(Enum):
    """What a selector looks at; the value is the word of the file."""

    WORKER = "worker"
    PREFIX = "prefix"
    PROPERTY = "property"


@dataclass(frozen=True, slots=True)
class Selector:
    """Which workers are meant."""

    kind: Kind
    #: A worker's id, a prefix of ids, or a property's value.
    value: str
    #: Of a property.
    name: str = ""

    def __str__(self) -> str:
        """For people."""
        match self.kind:
            case Kind.WORKER:
                return f"worker {self.value}"
            case Kind.PREFIX:
                return f"workers with id prefix {self.value!r}"
            case Kind.PROPERTY:
                return f"workers with {self.name}={self.value}"


class DrainState(Enum):
    """As introspection.proto has it; the value is the word of the file."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    ENDED = "ended"


class TargetState(Enum):
    """As DrainedWorker.State of introspection.proto has it; the value is the word of the file."""

    REQUESTED = "requested"
    DRAINING = "draining"
    SAFE = "safe"
    GONE = "gone"
    FAILED = "failed"
    UNDRAINED = "undrained"
    UNKNOWN = "unknown"


class Wish(Enum):
    """What NativeLink still has to be asked for."""

    NOTHING = "nothing"
    DRAIN = "drain"
    UNDRAIN = "undrain"


@dataclass(slots=True, eq=False)
class Target:
    """One worker of a drain."""

    worker_id: str
    wish: Wish = Wish.DRAIN
    state: TargetState = TargetState.REQUESTED
    #: Why it was asked in vain, the last time; "": it was not, or has done it since.
    error: str = ""
    #: What it was asked in vain with, a word of `gateway.observe.draining.admin.RESULTS`; "": as with `error`.
    failure: str = ""
    #: NativeLink was seen to drain it, by this process.
    is_seen: bool = False
    #: It comes from the file, and was not looked at since: what NativeLink was asked for need not be asked again.
    is_kept: bool = False
    #: What it runs, as of the last look.
    running: tuple[str, ...] = ()
    #: Time of records when it was first seen to be draining by this process; None: it was not.
    settles_from: int | None = None
    #: In vain, in a row; not before when, on the monotonic clock.
    attempts: int = 0
    retry_at: float = 0.0
    #: NativeLink said at that time of the monotonic clock that it has done this, and nobody saw it since; NOTHING: no such answer.
    answered: Wish = Wish.NOTHING
    answered_at: float = 0.0


@dataclass(slots=True, eq=False)
class Drain:
    """Somebody's wish that workers get no more work."""

    id: str
    selector: Selector
    #: Unix nanoseconds.
    created_at: int
    created_by: str
    #: It ends once none of its workers is connected, as one of a single worker always does.
    until_gone: bool = False
    state: DrainState = DrainState.ACTIVE
    ended_at: int | None = None
    ended_by: str = ""
    #: By worker id, in the order in which they came; those that are gone among them.
    targets: dict[str, Target] = field(default_factory=dict)
    #: That are no longer connected, since it began; more than there are targets of, at times.
    gone: int = 0
    #: Counts of the end; None: it is active, and they are what the targets come to.
    final: Counts | None = None
    #: Workers that are meant and not among the targets, as there are too many.
    left_out: int = 0

    @property
    def is_active(self) -> bool:
        """Whether it is about workers that are, or come."""
        return self.state is DrainState.ACTIVE

    def counts(self) -> Counts:
        """What its targets come to."""
        if self.final is not None:
            return self.final
        states = [target.state for target in self.targets.values()]
        draining = sum(state in {TargetState.DRAINING, TargetState.SAFE, TargetState.UNKNOWN} for state in states)
        return Counts(
            workers=len(states) - states.count(TargetState.GONE),
            draining=draining,
            safe=states.count(TargetState.SAFE),
            failed=states.count(TargetState.FAILED),
            running=sum(len(target.running) for target in self.targets.values()),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Of the workers of a drain, as Drain of introspection.proto has them."""

    workers: int = 0
    draining: int = 0
    safe: int = 0
    failed: int = 0
    running: int = 0

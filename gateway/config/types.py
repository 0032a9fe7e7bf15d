"""The resolved configuration: one frozen value, made once at start, handed to every role.

Units are in the names. The keys of the file and their defaults are in design 8 and in `gateway.config.load`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Carries(Enum):
    """What is expected to come by a tap; the value is the word of the file."""

    EXECUTION = "execution"
    WORKER_API = "worker_api"
    ADMIN = "admin"


class PropertyType(Enum):
    """How the scheduler matches a platform property (nativelink-facts 4)."""

    MINIMUM = "minimum"
    EXACT = "exact"
    PRIORITY = "priority"
    IGNORE = "ignore"


class Authentication(Enum):
    """Who may read."""

    #: Loopback peers only.
    AUTO = "auto"
    #: Everybody who can connect.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address."""

    #: Name or literal, IPv6 without brackets.
    host: str
    #: 0 only in tests: the system chooses.
    port: int

    def __str__(self) -> str:
        """`host:port`, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tap:
    """`gateway.taps[]`: one listener in front of one NativeLink listener."""

    #: Unique.
    name: str
    listen: Address
    upstream: Address
    carries: frozenset[Carries]
    #: The scheduler whose traffic this is; None: the monitoring block's.
    scheduler: str | None = None
    #: How long upstream may take to answer a dial.
    dial_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True)
class TapLimits:
    """`gateway.tap`: bounds of the tap process."""

    #: Records kept for a reader that is away.
    ring_bytes: int = 64 * 1024 * 1024
    #: A longer gRPC message is reported with its length only.
    message_bytes: int = 4 * 1024 * 1024
    #: Forwarded bytes that may wait to be decoded; over it connections are blinded.
    undecoded_bytes: int = 64 * 1024 * 1024
    #: How long forwarded bytes wait to be decoded together.
    decode_interval_ms: float = 10.0


@dataclass(frozen=True, slots=True)
class Cas:
    """`gateway.cas`: where Actions are read."""

    endpoint: Address
    #: BatchReadBlobs calls in flight.
    in_flight: int = 4
    #: Actions remembered by digest.
    cache_entries: int = 20_000


@dataclass(frozen=True, slots=True)
class Scheduler:
    """`gateway.scheduler`: what NativeLink's own configuration says of the scheduler."""

    supported_platform_properties: dict[str, PropertyType] = field(default_factory=dict)
    worker_timeout_s: int = 5
    client_action_timeout_s: int = 60
    max_job_retries: int = 3
    #: `experimental_backend` is redis: unfinished operations outlive a restart of the scheduler.
    keeps_operations: bool = False


@dataclass(frozen=True, slots=True)
class Retention:
    """`gateway.retention`: how long completed operations are listed."""

    completed_s: int = 60
    completed_max: int = 10_000


@dataclass(frozen=True, slots=True)
class Introspection:
    """`gateway.introspection`."""

    #: Where `observe` answers; None: a unix socket in state_dir.
    listen: Address | None = None
    #: Another implementer that `serve` reads instead; None: our own `observe`.
    endpoint: Address | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that any role needs."""

    #: Of the monitoring server block.
    http: Address
    #: services.monitoring.scheduler
    scheduler_name: str
    taps: tuple[Tap, ...]
    #: None: digests and timeouts stay unknown.
    cas: Cas | None
    state_dir: Path
    tap: TapLimits = field(default_factory=TapLimits)
    scheduler: Scheduler = field(default_factory=Scheduler)
    retention: Retention = field(default_factory=Retention)
    introspection: Introspection = field(default_factory=Introspection)
    authentication: Authentication = Authentication.AUTO
    #: instance name -> scheduler name, where several schedulers share a listener.
    instances: dict[str, str] = field(default_factory=dict)
    #: Within how long stop signals end everything.
    stop_timeout_s: float = 5.0

    @property
    def record_link(self) -> Path:
        """The unix socket on which the tap publishes records."""
        return self.state_dir / "tap.sock"

    @property
    def introspection_socket(self) -> Path:
        """The unix socket on which `observe` answers when it has no address."""
        return self.state_dir / "introspection.sock"

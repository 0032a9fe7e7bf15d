"""The resolved configuration: one frozen value, made once at start, handed to every role.

Units are in the names. The keys of the file and their defaults are in design 8 and in `gateway.config.load`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from gateway.config.trust import Credentials, DialTls, ListenerTls


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
    """Who needs a credential."""

    #: All but peers on this machine, and they too once anything is in `credentials`.
    AUTO = "auto"
    #: Everybody.
    REQUIRED = "required"
    #: Nobody, to read.
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

    #: Unique; what health, metrics and logs call it.
    name: str
    #: Where its peers connect.
    listen: Address
    #: NativeLink's listener behind it, dialled for each connection.
    upstream: Address
    #: What is expected to come by: clients (`execution`), workers (`worker_api`), who drains them (`admin`).
    carries: frozenset[Carries]
    #: The scheduler whose traffic this is; None: the monitoring block's.
    scheduler: str | None = None
    #: How long upstream may take to answer a dial.
    dial_timeout_s: float = 10.0
    #: None: bytes are forwarded as they come.
    tls: ListenerTls | None = None
    #: None: upstream is dialled in plaintext.
    upstream_tls: DialTls | None = None
    #: Peers may use the certificate of `upstream_tls` without showing one of their own.
    trust_all_peers: bool = False


@dataclass(frozen=True, slots=True)
class TapLimits:
    """`gateway.tap`: bounds of a tap process."""

    #: Tap processes, which share the listeners' connections.
    processes: int = 1
    #: Records kept for a reader that is away.
    ring_bytes: int = 64 * 1024 * 1024
    #: A longer gRPC message is reported with its length only.
    message_bytes: int = 4 * 1024 * 1024
    #: Forwarded bytes that may wait to be decoded, with what it costs to keep them; over it connections are blinded.
    undecoded_bytes: int = 64 * 1024 * 1024
    #: How long forwarded bytes wait to be decoded together.
    decode_interval_ms: float = 10.0


@dataclass(frozen=True, slots=True)
class Cas:
    """`gateway.cas`: where Actions are read."""

    #: A listener of NativeLink that has the CAS, in plaintext.
    endpoint: Address
    #: BatchReadBlobs calls in flight.
    in_flight: int = 4
    #: Actions remembered by digest.
    cache_entries: int = 20_000


@dataclass(frozen=True, slots=True)
class Scheduler:
    """`gateway.scheduler`: what NativeLink's own configuration says of the scheduler."""

    #: How each platform property is matched.
    supported_platform_properties: dict[str, PropertyType] = field(default_factory=dict)
    #: How long a worker may be silent; 0: NativeLink's default.
    worker_timeout_s: int = 5
    #: How long an operation stays that no client follows; 0: NativeLink's default.
    client_action_timeout_s: int = 60
    #: How often an action that fails on the farm's side is tried again; 0: NativeLink's default.
    max_job_retries: int = 3
    #: With `redis`, unfinished operations outlive a restart of the scheduler.
    keeps_operations: bool = False


@dataclass(frozen=True, slots=True)
class Retention:
    """`gateway.retention`: how long completed operations are listed."""

    #: After this they go.
    completed_s: int = 60
    #: Over this the oldest goes.
    completed_max: int = 10_000


@dataclass(frozen=True, slots=True)
class Introspection:
    """`gateway.introspection`: how what `observe` knows comes to `serve`."""

    #: Where `observe` answers `serve` of other machines, besides the unix socket in state_dir; None: nowhere.
    listen: Address | None = None
    #: Of `listen`, always with client_ca_file.
    tls: ListenerTls | None = None
    #: Another machine's `observe`, or another implementer, that `serve` reads instead; None: this machine's `observe`.
    endpoint: Address | None = None
    #: Of `endpoint`, with all its files; None: in plaintext, on loopback only.
    endpoint_tls: DialTls | None = None


@dataclass(frozen=True, slots=True)
class RecordEndpoint:
    """`gateway.record_link.endpoints[]`: the record link of a tap process on another machine."""

    #: `record_link.listen` there; of its process N, the port plus N.
    endpoint: Address
    #: Always with `cert_file`: both sides show certificates.
    tls: DialTls


@dataclass(frozen=True, slots=True)
class RecordLink:
    """`gateway.record_link`: how records come from taps to `observe`, besides the unix sockets in state_dir."""

    #: Where this machine's tap processes publish to other machines, the first one here, the others on the ports after it.
    #: None: nowhere.
    listen: Address | None = None
    #: Of `listen`, always with client_ca_file.
    tls: ListenerTls | None = None
    #: False: the taps of this file run on other machines, and nowhere here.
    local: bool = True
    #: Tap processes on other machines, which `observe` follows too.
    endpoints: tuple[RecordEndpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Observe:
    """`gateway.observe`: what `observe` keeps."""

    #: Seconds between two checkpoints; 0: only at stop.
    checkpoint_interval_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Serve:
    """`gateway.serve`: who answers HTTP."""

    #: Serve processes that a supervisor starts, which share the HTTP address.
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Admin:
    """`gateway.admin`: NativeLink's admin service, which drains workers."""

    #: NativeLink's listener that has `services.admin`; None: this machine's tap that carries `admin`, which reads the calls.
    endpoint: Address | None = None
    #: `services.admin.path` of NativeLink's configuration.
    path: str = "/admin"
    #: None: it is called in plaintext.
    tls: DialTls | None = None


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """`gateway.http`: how many may connect, and whose pages may read. docs/limits.md has all limits."""

    #: Connections that one address may have to one serve process; an IPv6 network of 64 bits counts as one.
    connections_per_peer: int = 2_500
    #: Connections that a serve process has in all, as far as its limit of open files allows.
    connections: int = 8_192
    #: Origins whose pages may read answers in a browser (CORS), `https://dash.example`; none: only pages of the gateway's own may.
    cors_origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that any role needs."""

    #: Where HTTP is answered.
    http: Address
    #: The scheduler that is shown.
    scheduler_name: str
    #: In front of NativeLink, at least one.
    taps: tuple[Tap, ...]
    #: Where Actions are read; None: digests and timeouts stay unknown.
    cas: Cas | None
    #: Sockets, locks, checkpoints: a directory of the gateway's own, with mode 0700.
    state_dir: Path
    #: Bounds of a tap process.
    tap: TapLimits = field(default_factory=TapLimits)
    #: What NativeLink's own configuration says of the scheduler, where the gateway cannot read that.
    scheduler: Scheduler = field(default_factory=Scheduler)
    #: How long completed operations are listed.
    retention: Retention = field(default_factory=Retention)
    #: How what `observe` knows comes to `serve`.
    introspection: Introspection = field(default_factory=Introspection)
    #: How records come from taps to `observe`.
    record_link: RecordLink = field(default_factory=RecordLink)
    #: What `observe` keeps.
    observe: Observe = field(default_factory=Observe)
    #: Who answers HTTP.
    serve: Serve = field(default_factory=Serve)
    #: Where NativeLink is asked to drain workers.
    admin: Admin = field(default_factory=Admin)
    #: Who needs a credential: `auto`: all but this machine, and it too once there is one; `required`: everybody; `none`: nobody.
    authentication: Authentication = Authentication.AUTO
    #: What is accepted from who asks over HTTP.
    credentials: Credentials = field(default_factory=Credentials)
    #: Of the HTTP address; None: in plaintext.
    http_tls: ListenerTls | None = None
    #: How many may connect over HTTP, and whose pages may read.
    http_options: HttpOptions = field(default_factory=HttpOptions)
    #: Instance name to scheduler, where several schedulers share a listener.
    instances: dict[str, str] = field(default_factory=dict)
    #: Within how long stop signals end everything.
    stop_timeout_s: float = 5.0

    @property
    def record_sockets(self) -> tuple[Path, ...]:
        """The unix sockets on which the tap processes publish records, by the number of the process."""
        return tuple(self.state_dir / f"tap-{number}.sock" for number in range(self.tap.processes))

    @property
    def handover_sockets(self) -> tuple[Path, ...]:
        """The unix sockets on which the tap processes hand over to their successors, by the number of the process."""
        return tuple(self.state_dir / f"handover-{number}.sock" for number in range(self.tap.processes))

    @property
    def serve_sockets(self) -> tuple[Path, ...]:
        """The unix sockets on which serve processes speak to each other, by the number of the process."""
        return tuple(self.state_dir / f"serve-{number}.sock" for number in range(self.serve.processes))

    @property
    def introspection_socket(self) -> Path:
        """The unix socket on which `observe` answers this machine's `serve`."""
        return self.state_dir / "introspection.sock"

    @property
    def tokens_file(self) -> Path:
        """The tokens that people made, as hashes."""
        return self.credentials.tokens_file or self.state_dir / "tokens.json"

    @property
    def first_token_file(self) -> Path:
        """The token that is made at a first start, so that there is one."""
        return self.state_dir / "first-token"

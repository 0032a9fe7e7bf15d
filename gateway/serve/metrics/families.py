"""The table of all metrics: name, kind, labels, help. docs/metrics.md is compared with it, and so is what is exported.

`nativelink_` is what NativeLink does, `nativelink_gateway_` is the gateway itself. Base units, `_total` on counters. A family
without samples is one whose side is not observed: not known is never zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Of a family; the value is the exposition formats' word."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric with all its label values."""

    name: str
    kind: Kind
    #: A sentence; of counters and histograms with what resets them.
    help: str
    labels: tuple[str, ...] = ()


#: All, in the order of the exposition.
FAMILIES: list[Family] = []


def _add(kind: Kind, name: str, text: str, *labels: str) -> Family:
    family = Family(name, kind, text, labels)
    FAMILIES.append(family)
    return family


def _gauge(name: str, text: str, *labels: str) -> Family:
    return _add(Kind.GAUGE, name, text, *labels)


def _counter(name: str, text: str, resets: str, *labels: str) -> Family:
    return _add(Kind.COUNTER, name, f"{text} Starts again with {resets}.", *labels)


def _histogram(name: str, text: str, resets: str, *labels: str) -> Family:
    return _add(Kind.HISTOGRAM, name, f"{text} Starts again with {resets}.", *labels)


_EPOCH = "every epoch of observe"
_TAP = "every start of the tap"
_SERVE = "every start of serve"

# --- what NativeLink does ---------------------------------------------------------------------------------------------

WORKERS = _gauge(
    "nativelink_workers",
    "Connected workers by state, each in one: draining, otherwise paused, otherwise unknown (its slots were not seen), "
    "otherwise full (it runs as much as it may), otherwise accepting.",
    "state",
)
WORKER_CONNECTIONS = _counter("nativelink_worker_connections_total", "Workers that registered and got an id.", _EPOCH)
WORKERS_LOST = _counter("nativelink_workers_lost_total", "Workers whose connection ended, by how.", _EPOCH, "reason")
WORKERS_REFUSED = _counter("nativelink_workers_refused_total", "Workers whose registration the scheduler refused.", _EPOCH)
OPERATIONS = _gauge(
    "nativelink_operations", "Operations that are listed, by stage; completed ones are listed for a while.", "stage"
)
QUEUE_AGE = _gauge(
    "nativelink_queue_oldest_age_seconds",
    "How long the queued action has waited that waits longest, since it was queued or taken from a worker; 0 while none waits.",
)
SET_QUEUED = _gauge(
    "nativelink_property_set_queued_operations",
    "Queued actions by the platform properties that they ask for; at most 20 sets, besides none, unknown and other.",
    "properties",
)
SET_AGE = _gauge(
    "nativelink_property_set_oldest_age_seconds",
    "Of the queued actions that ask for these platform properties, how long the oldest has waited; 0 while none waits.",
    "properties",
)
QUEUE_DURATION = _histogram(
    "nativelink_queue_duration_seconds",
    "How long actions waited for a worker, each attempt from when it was queued or queued again until a worker got it.",
    _EPOCH,
)
EXECUTION_DURATION = _histogram(
    "nativelink_execution_duration_seconds",
    "How long workers had the operations that they completed, from when the last worker got it until its result.",
    _EPOCH,
)
RESULTS = _counter(
    "nativelink_results_total",
    "Operations that completed, each once, by google.rpc status code, and by whether the exit code was zero, nonzero or not there.",
    _EPOCH,
    "status",
    "exit",
)
CACHED_RESULTS = _counter("nativelink_cached_results_total", "Results that came from the action cache.", _EPOCH)
REQUEUES = _counter(
    "nativelink_requeues_total",
    "Attempts that brought no result, so that the action was queued again or, after the last retry, failed; by why.",
    _EPOCH,
    "reason",
)
DROPPED = _counter(
    "nativelink_operations_dropped_total", "Operations that ended unfinished because of something else, by what.", _EPOCH, "reason"
)
RESTARTS = _counter("nativelink_scheduler_restarts_total", "Restarts of the scheduler that were seen.", _EPOCH)
START_TIME = _gauge(
    "nativelink_scheduler_start_time_seconds",
    "Unix time since when the scheduler is up, as far as was seen: its last restart, or the first observation.",
)

# --- the gateway itself -----------------------------------------------------------------------------------------------

DRAINS = _gauge("nativelink_gateway_drains", "Drains that are active.")
DRAINED = _gauge(
    "nativelink_gateway_drained_workers",
    "Workers of active drains by how far they are: requested (NativeLink was not seen to do it), failed (it was asked in vain), "
    "draining (something runs, or did a moment ago), safe (nothing runs); a worker of several drains counts in each.",
    "state",
)
ADMIN_CALLS = _counter(
    "nativelink_gateway_admin_calls_total",
    "Calls of NativeLink's admin service, by result: ok, absent (there is none), refused, unreachable.",
    "every start of observe",
    "result",
)
INFO = _gauge("nativelink_gateway_build_info", "Always 1; the label has the version of serve.", "version")
HEALTH = _gauge(
    "nativelink_gateway_health", "1 for the status that /api/v1/system/health has, 0 for the others.", "status", "process"
)
ANOMALIES = _counter(
    "nativelink_gateway_anomalies_total",
    "What was seen and contradicts the lifecycle or could not be read, by kind.",
    _EPOCH,
    "kind",
)
RECORDS_MISSED = _counter("nativelink_gateway_records_missed_total", "Records that were lost between tap and model.", _EPOCH)

TAP_ATTACHED = _gauge("nativelink_gateway_tap_attached", "1 while what the tap records arrives, otherwise 0.", "tap")
TAP_CONNECTIONS = _counter("nativelink_gateway_tap_connections_total", "Connections that the tap took.", _TAP, "tap")
TAP_OPEN = _gauge("nativelink_gateway_tap_open_connections", "Connections through the tap that are open.", "tap")
TAP_BLIND = _gauge("nativelink_gateway_tap_blind_connections", "Open connections that the tap forwards and cannot read.", "tap")
TAP_BLINDED = _counter(
    "nativelink_gateway_tap_blinded_connections_total", "Connections that could not be read, by why.", _TAP, "tap", "reason"
)
TAP_STREAMS = _counter("nativelink_gateway_tap_streams_total", "Calls that the tap read.", _TAP, "tap")
TAP_MESSAGES = _counter("nativelink_gateway_tap_messages_total", "Messages of calls that the tap read.", _TAP, "tap")
TAP_BYTES = _counter("nativelink_gateway_tap_bytes_total", "Bytes that the tap forwarded, both directions together.", _TAP, "tap")
TAP_TAPPED = _counter(
    "nativelink_gateway_tap_tapped_bytes_total",
    "Of the bytes that the tap forwarded, those of calls that it reads; the others are bulk, framing or not read yet.",
    _TAP,
    "tap",
)
TAP_REFUSED = _counter(
    "nativelink_gateway_tap_upstream_refused_total", "Connects to NativeLink that it did not answer.", _TAP, "tap"
)

PROCESS_ATTACHED = _gauge(
    "nativelink_gateway_tap_process_attached", "1 while records of the process arrive, otherwise 0.", "process"
)
RING = _gauge("nativelink_gateway_tap_ring_bytes", "Records that the process keeps for observe to read again.", "process")
RING_LIMIT = _gauge("nativelink_gateway_tap_ring_limit_bytes", "How much the process keeps at most.", "process")
UNDECODED = _gauge(
    "nativelink_gateway_tap_undecoded_bytes",
    "Bytes that were forwarded and wait to be decoded, with what it costs to keep them.",
    "process",
)
GAPS = _counter("nativelink_gateway_tap_gaps_total", "Times that a reader of records had lost its place.", _TAP, "process")
READERS = _gauge("nativelink_gateway_tap_readers", "Readers of records that are connected.", "process")
BEHIND = _gauge("nativelink_gateway_tap_behind_bytes", "Records that the reader furthest behind has not processed.", "process")
FORWARDING = _histogram(
    "nativelink_gateway_tap_forwarding_delay_seconds", "How long bytes waited in the process before they went on.", _TAP, "process"
)
LOOP_LAG = _gauge(
    "nativelink_gateway_tap_loop_lag_seconds", "How late the process was with its own timers, the most within a second.", "process"
)

CONNECTED = _gauge("nativelink_gateway_upstream_connected", "1 while serve follows observe, otherwise 0.", "process")
STATE_AGE = _gauge(
    "nativelink_gateway_state_age_seconds",
    "Time since what is served was last known to be current; below one second is usual.",
    "process",
)
REVISION = _gauge("nativelink_gateway_state_revision", "Number of the revision that is served, within its epoch.", "process")
SNAPSHOTS = _counter(
    "nativelink_gateway_snapshots_total", "Times that serve read the whole state instead of changes.", _SERVE, "process"
)
INTERRUPTIONS = _counter(
    "nativelink_gateway_watch_interruptions_total",
    "Times that serve stopped following observe, or tried to in vain.",
    _SERVE,
    "process",
)
HTTP = _histogram(
    "nativelink_gateway_http_request_duration_seconds",
    "How long answers to requests took to make, by route and class of the status code.",
    _SERVE,
    "route",
    "code",
    "process",
)
REFUSED = _counter(
    "nativelink_gateway_http_requests_refused_total",
    "Requests that were refused for want of a credential or a role, 401 or 403, by why.",
    _SERVE,
    "reason",
    "process",
)
WAITING = _gauge("nativelink_gateway_waiting_requests", "Requests that wait for an operation (wait_for).", "process")
EVENT_CLIENTS = _gauge("nativelink_gateway_event_clients", "Clients that listen to events.", "process")
EVENTS = _counter("nativelink_gateway_events_total", "Events that were sent, one for each client that got it.", _SERVE, "process")
EVENT_RESETS = _counter(
    "nativelink_gateway_event_resets_total", "Clients of events that had to begin anew, by why.", _SERVE, "reason", "process"
)
EVENT_REFUSED = _counter(
    "nativelink_gateway_event_clients_refused_total", "Clients of events that were one too many.", _SERVE, "process"
)

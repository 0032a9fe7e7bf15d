"""What NativeLink does: the replica and its age come in, values of nativelink_… go out."""

from __future__ import annotations

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.pb import introspection_pb2 as pb
from gateway.serve.metrics import families
from gateway.serve.metrics.families import Family
from gateway.serve.metrics.scrape import Scrape
from gateway.serve.replica import Replica

_NS_PER_S = 1_000_000_000
#: google.rpc.Code by number.
_CODES = {code.value[0]: code.name for code in grpc.StatusCode}
#: A result of which nobody was told, or that was not seen.
_NOT_SEEN = "not_seen"
#: As in `stage=` of the route, by the documented word.
_STAGES = {
    "Unknown": "unknown",
    "CacheCheck": "cache_check",
    "Queued": "queued",
    "Executing": "executing",
    "Completed": "completed",
}


def tell(scrape: Scrape, replica: Replica, as_of: float) -> None:
    """Put in what the replica knows; `as_of` is when it was current, Unix seconds."""
    scheduler = replica.scheduler
    _operations(scrape, replica)
    if scheduler.HasField("up_since"):
        scrape.put(families.START_TIME, _seconds(scheduler.up_since))
    if scheduler.HasField("statistics"):
        _statistics(scrape, scheduler.statistics)
        _queue(scrape, scheduler.statistics, as_of)
    if replica.drains is not None:
        tell_of_drains(scrape, replica.drains)


def tell_of_drains(scrape: Scrape, drains: pb.Drains) -> None:
    """Put in what becomes of drains; the counts of a drain are of disjoint workers but for those that are safe."""
    active = [drain for drain in drains.drains if drain.state == pb.Drain.ACTIVE]
    scrape.put(families.DRAINS, len(active))
    counts = {
        "requested": sum(max(0, drain.workers - drain.draining - drain.failed) for drain in active),
        "failed": sum(drain.failed for drain in active),
        "draining": sum(max(0, drain.draining - drain.safe) for drain in active),
        "safe": sum(drain.safe for drain in active),
    }
    for state, count in counts.items():
        scrape.put(families.DRAINED, count, state)
    for each in drains.admin_calls:
        scrape.put(families.ADMIN_CALLS, each.count, each.word)


def _operations(scrape: Scrape, replica: Replica) -> None:
    sees_clients = replica.scheduler.counts.HasField("queued")
    for stage, count in replica.stage_counts().items():
        if sees_clients or stage in {"Executing", "Completed"}:
            scrape.put(families.OPERATIONS, count, _STAGES[stage])


def _statistics(scrape: Scrape, statistics: pb.Statistics) -> None:
    if statistics.HasField("worker_connections"):
        scrape.put(families.WORKER_CONNECTIONS, statistics.worker_connections)
    if statistics.HasField("workers_refused"):
        scrape.put(families.WORKERS_REFUSED, statistics.workers_refused)
    if statistics.HasField("queue_time"):
        _distribute(scrape, families.QUEUE_DURATION, statistics.queue_time)
    if statistics.HasField("execution_time"):
        _distribute(scrape, families.EXECUTION_DURATION, statistics.execution_time)
    for result in statistics.results:
        status = _CODES.get(result.status_code, "UNKNOWN") if result.HasField("status_code") else _NOT_SEEN
        scrape.put(families.RESULTS, result.count, status, result.exit)
    scrape.put(families.CACHED_RESULTS, statistics.cached_results)
    scrape.put(families.RESTARTS, statistics.scheduler_restarts)
    scrape.put(families.RECORDS_MISSED, statistics.records_missed)
    for family, counts in (
        (families.WORKERS, statistics.workers),
        (families.WORKERS_LOST, statistics.workers_lost),
        (families.REQUEUES, statistics.attempts_failed),
        (families.DROPPED, statistics.operations_dropped),
        (families.ANOMALIES, statistics.anomalies),
    ):
        for each in counts:
            scrape.put(family, each.count, each.word)


def _queue(scrape: Scrape, statistics: pb.Statistics, as_of: float) -> None:
    if not statistics.queued_sets:
        return
    since = statistics.queued_since if statistics.HasField("queued_since") else None
    scrape.put(families.QUEUE_AGE, _age(since, as_of))
    for each in statistics.queued_sets:
        scrape.put(families.SET_QUEUED, each.operations, each.properties)
        scrape.put(families.SET_AGE, _age(each.queued_since if each.HasField("queued_since") else None, as_of), each.properties)


def _distribute(scrape: Scrape, family: Family, histogram: pb.Histogram) -> None:
    scrape.distribute(family, histogram.upper_bounds_s, histogram.counts, histogram.sum_s)


def _age(since: Timestamp | None, as_of: float) -> float:
    """0: nothing waits. The clocks of two machines may differ: not below 0."""
    return 0.0 if since is None else max(0.0, as_of - _seconds(since))


def _seconds(at: Timestamp) -> float:
    return at.seconds + at.nanos / _NS_PER_S

"""Statistics as their message of introspection.proto.

What only one side shows, clients or workers, is absent where no tap carries that side (P2).
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.observe.statistics import BOUNDS_S, Durations, Statistics
from gateway.observe.timestamps import optional_timestamp
from gateway.pb import introspection_pb2 as pb

_NS_PER_S = 1_000_000_000


def accumulated(entity: Statistics, *, sees_clients: bool, sees_workers: bool) -> pb.Statistics:
    """The message; the arguments say which side's taps there are."""
    message = pb.Statistics(
        results=[
            pb.ResultCount(status_code=result.status_code, exit=result.exit, count=count)
            for result, count in entity.results.items()
        ],
        cached_results=entity.cached_results,
        operations_dropped=_words(entity.operations_dropped),
        anomalies=_words(entity.anomalies),
        scheduler_restarts=entity.scheduler_restarts,
        records_missed=entity.records_missed,
    )
    if sees_clients:
        sets = [
            pb.QueuedSet(properties=name, operations=len(group), queued_since=optional_timestamp(group.oldest()))
            for name, group in entity.waiting.groups.items()
        ]
        message.MergeFrom(pb.Statistics(queued_since=optional_timestamp(entity.waiting.oldest()), queued_sets=sets))
    if sees_workers:
        message.MergeFrom(
            pb.Statistics(
                workers=_words(entity.workers),
                worker_connections=entity.worker_connections,
                workers_refused=entity.workers_refused,
                workers_lost=_words(entity.workers_lost),
                queue_time=_histogram(entity.queue_time),
                execution_time=_histogram(entity.execution_time),
                attempts_failed=_words(entity.attempts_failed),
            )
        )
    return message


def _words(counts: Mapping[str, int]) -> list[pb.WordCount]:
    return [pb.WordCount(word=word.replace(" ", "_").replace("-", "_"), count=count) for word, count in counts.items()]


def _histogram(durations: Durations) -> pb.Histogram:
    return pb.Histogram(upper_bounds_s=BOUNDS_S, counts=durations.counts, sum_s=durations.sum_ns / _NS_PER_S)

"""Statistics as their message of introspection.proto, encoded.

What only one side shows, clients or workers, is absent where no tap carries that side (P2). The message is made some fifty times a
second under load, and nearly all of it is counts that did not change: those are kept encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from google.protobuf.message import Message

from gateway.observe.statistics import BOUNDS_S, Durations, Result, Statistics
from gateway.observe.timestamps import optional_timestamp
from gateway.observe.wire import field
from gateway.pb import introspection_pb2 as pb

_NS_PER_S = 1_000_000_000
_What = TypeVar("_What", Result, str)


class Accumulated:
    """Makes the messages of one Statistics."""

    def __init__(self) -> None:
        #: By field number and what is counted: the count, and its entry as bytes of the message.
        self._kept: dict[tuple[int, Result | str], tuple[int, bytes]] = {}

    def encode(self, entity: Statistics, *, sees_clients: bool, sees_workers: bool) -> bytes:
        """As it is now; the arguments say which side's taps there are."""
        message = pb.Statistics(
            cached_results=entity.cached_results,
            scheduler_restarts=entity.scheduler_restarts,
            records_missed=entity.records_missed,
        )
        parts = [
            *self._entries(pb.Statistics.RESULTS_FIELD_NUMBER, entity.results, _result),
            *self._entries(pb.Statistics.OPERATIONS_DROPPED_FIELD_NUMBER, entity.operations_dropped, _word),
            *self._entries(pb.Statistics.ANOMALIES_FIELD_NUMBER, entity.anomalies, _word),
        ]
        if sees_clients:
            sets = [
                pb.QueuedSet(properties=name, operations=len(group), queued_since=optional_timestamp(group.oldest()))
                for name, group in entity.waiting.groups.items()
            ]
            message.MergeFrom(pb.Statistics(queued_since=optional_timestamp(entity.waiting.oldest()), queued_sets=sets))
        if sees_workers:
            message.MergeFrom(
                pb.Statistics(
                    worker_connections=entity.worker_connections,
                    workers_refused=entity.workers_refused,
                    queue_time=_histogram(entity.queue_time),
                    execution_time=_histogram(entity.execution_time),
                )
            )
            parts += self._entries(pb.Statistics.WORKERS_FIELD_NUMBER, entity.workers, _word)
            parts += self._entries(pb.Statistics.WORKERS_LOST_FIELD_NUMBER, entity.workers_lost, _word)
            parts += self._entries(pb.Statistics.ATTEMPTS_FAILED_FIELD_NUMBER, entity.attempts_failed, _word)
        return b"".join((message.SerializeToString(), *parts))

    def _entries(self, number: int, counts: Mapping[_What, int], entry: Callable[[_What, int], Message]) -> Iterator[bytes]:
        for what, count in counts.items():
            kept = self._kept.get((number, what))
            if kept is None or kept[0] != count:
                encoded = b"".join(field(number, (entry(what, count).SerializeToString(),)))
                kept = self._kept[number, what] = count, encoded
            yield kept[1]


def _result(result: Result, count: int) -> pb.ResultCount:
    return pb.ResultCount(status_code=result.status_code, exit=result.exit, count=count)


def _word(word: str, count: int) -> pb.WordCount:
    return pb.WordCount(word=word.replace(" ", "_").replace("-", "_"), count=count)


def _histogram(durations: Durations) -> pb.Histogram:
    return pb.Histogram(upper_bounds_s=BOUNDS_S, counts=durations.counts, sum_s=durations.sum_ns / _NS_PER_S)

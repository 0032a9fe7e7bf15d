"""Replies of /metrics, parsed."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from gateway.pb import introspection_pb2 as pb
from tests.serve.builders import NOW, documented_scheduler

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(body: bytes, *, is_openmetrics: bool = False) -> list[Metric]:
    """The families."""
    parse = openmetrics_families if is_openmetrics else text_string_to_metric_families
    return list(parse(body.decode()))


def samples(body: bytes, *, is_openmetrics: bool = False) -> Samples:
    """{(name, labels by name): value}; each occurs once."""
    found: Samples = {}
    for family in parsed(body, is_openmetrics=is_openmetrics):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def of(found: Samples, name: str) -> dict[str, float]:
    """The samples of a name: label values joined by a space, in the order of the labels' names -> value.

    The name of a serve process that is alone is left out.
    """
    alone = ("process", "serve-0")
    return {
        " ".join(label[1] for label in labels if label != alone): value for (each, labels), value in found.items() if each == name
    }


def histogram() -> pb.Histogram:
    return pb.Histogram(upper_bounds_s=[0.5, 1], counts=[2, 0, 3], sum_s=12.5)


def busy_scheduler() -> pb.Scheduler:
    """Something of everything."""
    scheduler = documented_scheduler()
    scheduler.MergeFrom(
        pb.Scheduler(
            anomalies=7,
            taps=[
                pb.Tap(
                    name="execution",
                    attached=True,
                    connections=10,
                    open_connections=2,
                    blind_connections=1,
                    bytes=1000,
                    tapped_bytes=900,
                    streams=11,
                    messages=12,
                    upstream_refused=13,
                    blinded=[pb.BlindedConnections(reason="tls", connections=3)],
                )
            ],
            tap_processes=[
                pb.TapProcess(
                    name="tap",
                    attached=True,
                    ring_bytes=14,
                    ring_limit_bytes=15,
                    undecoded_bytes=16,
                    gaps=17,
                    readers=18,
                    behind_bytes=19,
                    forwarding_delay=histogram(),
                    loop_lag=Duration(nanos=250_000_000),
                )
            ],
            statistics=pb.Statistics(
                workers=[pb.WordCount(word="accepting", count=4), pb.WordCount(word="full")],
                worker_connections=20,
                workers_lost=[pb.WordCount(word="evicted", count=21)],
                queue_time=histogram(),
                execution_time=histogram(),
                results=[
                    pb.ResultCount(status_code=0, exit="zero", count=22),
                    pb.ResultCount(status_code=99, exit="none", count=23),
                    pb.ResultCount(exit="none", count=24),
                ],
                cached_results=25,
                attempts_failed=[pb.WordCount(word="worker_lost", count=26)],
                operations_dropped=[pb.WordCount(word="abandoned", count=27)],
                anomalies=[pb.WordCount(word="late_result", count=7)],
                scheduler_restarts=28,
                workers_refused=9,
                records_missed=8,
                queued_since=Timestamp(seconds=NOW - 30, nanos=500_000_000),
                queued_sets=[
                    pb.QueuedSet(properties='pool=a "b"\\', operations=2, queued_since=Timestamp(seconds=NOW - 10)),
                    pb.QueuedSet(properties="other"),
                ],
            ),
        )
    )
    return scheduler

from __future__ import annotations

from gateway.pb import introspection_pb2 as pb
from gateway.serve.metrics import nativelink
from gateway.serve.metrics.scrape import Scrape
from gateway.serve.replica import Replica
from gateway.serve.rows import operation_row
from tests.serve.builders import NOW, operation
from tests.serve.metrics.scraped import Samples, busy_scheduler, of, samples
from tests.serve.metrics.test_scrape import written


def told(scheduler: pb.Scheduler, *, as_of: float = NOW) -> Samples:
    replica = Replica("epoch", 1)
    stages = (pb.STAGE_QUEUED, pb.STAGE_QUEUED, pb.STAGE_EXECUTING, pb.STAGE_CACHE_CHECK)
    replica.load([], [operation_row(operation(number, stage)) for number, stage in enumerate(stages)])
    replica.scheduler = scheduler
    scrape = Scrape()
    nativelink.tell(scrape, replica, as_of)
    return samples(written(scrape))


def test_everything_that_is_known_is_told() -> None:
    found = told(busy_scheduler())
    assert of(found, "nativelink_workers") == {"accepting": 4, "full": 0}
    assert of(found, "nativelink_worker_connections_total") == {"": 20}
    assert of(found, "nativelink_workers_lost_total") == {"evicted": 21}
    assert of(found, "nativelink_workers_refused_total") == {"": 9}
    assert of(found, "nativelink_operations") == {"queued": 2, "executing": 1, "completed": 0, "cache_check": 1, "unknown": 0}
    assert of(found, "nativelink_queue_duration_seconds_bucket") == {"0.5": 2, "1.0": 2, "+Inf": 5}
    assert of(found, "nativelink_execution_duration_seconds_sum") == {"": 12.5}
    assert of(found, "nativelink_results_total") == {"zero OK": 22, "none UNKNOWN": 23, "none not_seen": 24}
    assert of(found, "nativelink_cached_results_total") == {"": 25}
    assert of(found, "nativelink_requeues_total") == {"worker_lost": 26}
    assert of(found, "nativelink_operations_dropped_total") == {"abandoned": 27}
    assert of(found, "nativelink_gateway_anomalies_total") == {"late_result": 7}
    assert of(found, "nativelink_scheduler_restarts_total") == {"": 28}
    assert of(found, "nativelink_gateway_records_missed_total") == {"": 8}
    assert of(found, "nativelink_scheduler_start_time_seconds") == {"": NOW - 3600}


def test_ages_are_as_of_the_moment_and_never_negative() -> None:
    found = told(busy_scheduler(), as_of=NOW + 0.25)
    assert of(found, "nativelink_queue_oldest_age_seconds") == {"": 29.75}
    assert of(found, "nativelink_property_set_oldest_age_seconds") == {'pool=a "b"\\': 10.25, "other": 0}
    assert of(found, "nativelink_property_set_queued_operations") == {'pool=a "b"\\': 2, "other": 0}
    assert of(told(busy_scheduler(), as_of=NOW - 60), "nativelink_queue_oldest_age_seconds") == {"": 0}
    empty = busy_scheduler()
    empty.statistics.ClearField("queued_since")
    assert of(told(empty), "nativelink_queue_oldest_age_seconds") == {"": 0}


def test_what_is_not_known_has_no_sample() -> None:
    found = told(pb.Scheduler())
    assert of(found, "nativelink_operations") == {"executing": 1, "completed": 0}
    assert {name for name, _ in found} == {"nativelink_operations"}
    found = told(pb.Scheduler(statistics=pb.Statistics()))
    assert {name for name, _ in found} == {
        "nativelink_operations",
        "nativelink_cached_results_total",
        "nativelink_gateway_records_missed_total",
        "nativelink_scheduler_restarts_total",
    }


def test_drains_are_counted_as_far_as_they_are() -> None:
    scrape = Scrape()
    active, over = (
        pb.Drain(state=pb.Drain.ACTIVE, workers=9, draining=5, safe=2, failed=1),
        pb.Drain(state=pb.Drain.CANCELLED, workers=4),
    )
    nativelink.tell_of_drains(scrape, pb.Drains(drains=[active, active, over], admin_calls=[pb.WordCount(word="ok", count=7)]))
    found = samples(written(scrape))
    assert of(found, "nativelink_gateway_drains") == {"": 2}
    assert of(found, "nativelink_gateway_drained_workers") == {"requested": 6, "failed": 2, "draining": 6, "safe": 4}
    assert of(found, "nativelink_gateway_admin_calls_total") == {"ok": 7}


def test_where_nothing_is_drained_there_is_no_sample_of_it() -> None:
    assert of(told(busy_scheduler()), "nativelink_gateway_drains") == {}

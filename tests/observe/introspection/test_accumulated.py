from __future__ import annotations

from gateway.config.types import Address, Carries, Tap
from gateway.observe.introspection.accumulated import Accumulated
from gateway.observe.statistics import BOUNDS_S
from gateway.pb import introspection_pb2 as pb
from tests.observe.introspection.observed import Observed
from tests.observe.records import config


def test_everything_has_its_zeros_from_the_start() -> None:
    observed = Observed()
    observed.publish()
    message = pb.Scheduler.FromString(observed.state.scheduler.message).statistics
    assert {each.word for each in message.workers} == {"accepting", "full", "paused", "draining", "unknown"}
    assert "no_keep_alive_since_a_gap" in {each.word for each in message.workers_lost}
    assert {each.word for each in message.attempts_failed} == {"worker_lost", "internal_error", "overtaken"}
    assert {each.word for each in message.operations_dropped} == {"abandoned", "scheduler_restarted"}
    assert {each.properties for each in message.queued_sets} == {"none", "unknown", "other"}
    assert len(message.results) == 17 * 3 + 1
    assert list(message.queue_time.upper_bounds_s) == list(BOUNDS_S)
    words = [*message.workers, *message.workers_lost, *message.attempts_failed, *message.anomalies]
    assert not any(each.count for each in words)
    assert not any(each.count for each in message.results)
    assert not message.HasField("queued_since")


def test_what_happened_is_in_the_message_and_makes_no_revision_of_its_own() -> None:
    observed = Observed()
    observed.queued("main/c-1", 1)
    worker = observed.worker("w-1")
    observed.publish()
    queued = pb.Scheduler.FromString(observed.state.scheduler.message).statistics
    assert queued.queued_since.ToNanoseconds() == next(iter(observed.model.operations.values())).insert_at
    assert [(each.properties, each.operations) for each in queued.queued_sets if each.operations] == [("unknown", 1)]
    observed.assigned(worker, "op-1", 1)
    observed.finished(worker, "op-1", 1)
    observed.publish()
    done = pb.Scheduler.FromString(observed.state.scheduler.message).statistics
    assert [(each.status_code, each.exit, each.count) for each in done.results if each.count] == [(0, "zero", 1)]
    assert (sum(done.queue_time.counts), sum(done.execution_time.counts)) == (1, 1)
    number = observed.state.number
    observed.statistics.scheduler_restarts += 1
    (response,) = observed.publish()
    assert response.changes.scheduler.statistics.scheduler_restarts == 1
    assert response.changes.revision.number == number


def test_one_side_only_is_absent_not_zero() -> None:
    observed = Observed()
    made = Accumulated()
    workers = pb.Statistics.FromString(made.encode(observed.statistics, sees_clients=False, sees_workers=True))
    assert not workers.queued_sets
    assert workers.HasField("queue_time")
    clients = pb.Statistics.FromString(made.encode(observed.statistics, sees_clients=True, sees_workers=False))
    assert not any(clients.HasField(name) for name in ("worker_connections", "workers_refused", "queue_time"))
    assert not any((clients.workers, clients.workers_lost, clients.attempts_failed))
    assert clients.results


def test_which_sides_there_are_is_told_by_the_taps() -> None:
    tap = Tap("workers", Address("127.0.0.1", 1), Address("127.0.0.1", 2), frozenset({Carries.WORKER_API}))
    observed = Observed(config(taps=(tap,)))
    observed.publish()
    message = pb.Scheduler.FromString(observed.state.scheduler.message).statistics
    assert message.workers
    assert not message.queued_sets

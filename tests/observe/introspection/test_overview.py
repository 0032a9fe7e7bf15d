"""The Scheduler message."""

from __future__ import annotations

from gateway.observe.introspection.overview import ANOMALIES_SHOWN
from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from tests.observe.introspection.observed import Observed
from tests.observe.records import EPOCH, SECOND


def scheduler(observed: Observed) -> pb.Scheduler:
    observed.publish()
    return pb.Scheduler.FromString(observed.state.scheduler.message)


def test_it_is_what_the_model_and_the_taps_come_to() -> None:
    observed = Observed()
    observed.queued("main/c-1", 1)
    observed.worker("w-1")
    observed.tap.tick(
        execution=tap_pb2.ListenerTotals(name="execution", connections=1, bytes=100, tapped_bytes=90),
        workers=tap_pb2.ListenerTotals(name="workers", connections=1),
    )
    message = scheduler(observed)
    assert message.name == "MAIN_SCHEDULER"
    assert message.up_since.ToNanoseconds() - EPOCH < SECOND
    assert (message.counts.workers, message.counts.operations, message.counts.queued) == (1, 1, 1)
    assert message.health == pb.Health(status=pb.Health.HEALTHY)
    assert [tap.name for tap in message.taps] == ["execution", "workers"]
    assert message.taps[0].bytes == 100


def test_before_anything_was_observed_no_uptime_is_known() -> None:
    observed = Observed()
    observed.model.up_since = None
    assert not scheduler(observed).HasField("up_since")


def test_the_latest_anomalies_are_shown_and_all_are_counted() -> None:
    observed = Observed()
    connection, stream = observed.tap.execute()
    for _ in range(ANOMALIES_SHOWN + 5):
        observed.tap.down(connection, stream, b"\xff")
    message = scheduler(observed)
    assert message.anomalies == ANOMALIES_SHOWN + 5
    assert len(message.recent_anomalies) == ANOMALIES_SHOWN
    assert message.recent_anomalies[-1].at.ToNanoseconds() == observed.model.anomalies[-1].at


def test_a_gap_is_degraded_and_counted() -> None:
    observed = Observed()
    observed.worker("w-1")
    observed.play()
    observed.tap.sequence += 9
    observed.tap.tick()
    message = scheduler(observed)
    assert message.records_missed == 9
    assert message.health.status == pb.Health.DEGRADED


def test_refused_workers_are_counted() -> None:
    observed = Observed()
    connection = observed.tap.open("workers")
    observed.tap.call(connection, 1, "/com.github.trace_machina.nativelink.remote_execution.WorkerApi/ConnectWorker")
    observed.tap.close_call(connection, 1, 3, "Bad Property")
    assert scheduler(observed).workers_refused == 1

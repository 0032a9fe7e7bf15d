"""What a tap process says of itself."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from gateway.observe.processes import DELAY_BOUNDS_S, describe_blinded, describe_process
from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from gateway.tap.delays import BOUNDS_NS


def test_the_bounds_are_those_that_the_tap_counts_by() -> None:
    assert tuple(round(bound * 1e9) for bound in DELAY_BOUNDS_S) == tuple(BOUNDS_NS)


def test_a_process_is_shown_as_its_last_tick_says() -> None:
    counts = [*range(len(BOUNDS_NS) + 1)]
    tick = tap_pb2.Tick(
        ring_bytes=1,
        ring_limit_bytes=2,
        undecoded_bytes=3,
        gaps=4,
        readers=5,
        behind_bytes=6,
        forwarding_delay=tap_pb2.Delays(counts=counts, sum_ns=2_000_000_000, max_ns=500_000_000),
        loop_lag_ns=1_500_000_000,
    )
    assert describe_process("tap-0", tick, attached=True) == pb.TapProcess(
        name="tap-0",
        attached=True,
        ring_bytes=1,
        ring_limit_bytes=2,
        undecoded_bytes=3,
        gaps=4,
        readers=5,
        behind_bytes=6,
        forwarding_delay=pb.Histogram(upper_bounds_s=DELAY_BOUNDS_S, counts=counts, sum_s=2.0, longest_s=0.5),
        loop_lag=Duration(seconds=1, nanos=500_000_000),
    )


def test_what_was_not_measured_is_absent() -> None:
    assert not describe_process("tap-0", tap_pb2.Tick(), attached=True).HasField("forwarding_delay")
    assert describe_process("tap-0", None, attached=False) == pb.TapProcess(name="tap-0")


def test_a_reason_that_is_not_known_here_is_counted_as_such() -> None:
    totals = tap_pb2.ListenerTotals()
    totals.blinded.add(reason=tap_pb2.Blinded.HTTP2, connections=1)
    totals.blinded.add(reason=99, connections=2)  # of a later release
    assert [(each.reason, each.connections) for each in describe_blinded(totals)] == [("http2", 1), ("unknown", 2)]

"""What a tap process says of itself in its Ticks, as introspection shows it: link and last Tick in, TapProcess out."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2

#: Upper bounds of tap.proto's Delays, seconds.
DELAY_BOUNDS_S = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0)
#: A tap that is late by this much holds up builds by as much.
HELD_UP_NS = 250_000_000
_S = 1e-9


def describe_process(name: str, tick: tap_pb2.Tick | None, *, attached: bool) -> pb.TapProcess:
    """One process; `tick` is its last one, None while there was none."""
    if tick is None:
        return pb.TapProcess(name=name, attached=attached)
    lag = Duration()
    lag.FromNanoseconds(tick.loop_lag_ns)
    return pb.TapProcess(
        name=name,
        attached=attached,
        ring_bytes=tick.ring_bytes,
        ring_limit_bytes=tick.ring_limit_bytes,
        undecoded_bytes=tick.undecoded_bytes,
        gaps=tick.gaps,
        readers=tick.readers,
        behind_bytes=tick.behind_bytes,
        forwarding_delay=_histogram(tick.forwarding_delay),
        loop_lag=lag,
    )


def _histogram(delays: tap_pb2.Delays) -> pb.Histogram | None:
    """None: not measured, or with bounds that are not known here."""
    if len(delays.counts) != len(DELAY_BOUNDS_S) + 1:
        return None
    return pb.Histogram(upper_bounds_s=DELAY_BOUNDS_S, counts=delays.counts, sum_s=delays.sum_ns * _S, longest_s=delays.max_ns * _S)


def describe_blinded(totals: tap_pb2.ListenerTotals) -> list[pb.BlindedConnections]:
    """Connections that could not be read, by reason."""
    words = tap_pb2.Blinded.Reason
    return [
        pb.BlindedConnections(
            reason=words.Name(each.reason).lower() if each.reason in words.values() else "unknown", connections=each.connections
        )
        for each in totals.blinded
    ]

"""The gateway itself: what is known of taps, of following upstream and of answers comes in, nativelink_gateway_… goes out."""

from __future__ import annotations

from gateway.pb import introspection_pb2 as pb
from gateway.serve.authentication.refusal import Refusals
from gateway.serve.metrics import families
from gateway.serve.metrics.latencies import BOUNDS_S, Latencies
from gateway.serve.metrics.scrape import Scrape
from gateway.serve.ongoing import Ongoing
from gateway.serve.upstream import Upstream

HEALTHS = ("healthy", "degraded", "unhealthy")
#: The words of introspection.proto's BlindedConnections.
BLINDED = ("tls", "http2", "hpack", "overloaded", "internal", "handed_over", "unknown")
_NS_PER_S = 1_000_000_000


def tell(
    scrape: Scrape, process: str, upstream: Upstream, health: str, latencies: Latencies, refusals: Refusals, ongoing: Ongoing
) -> None:
    """Put in what this process knows of itself; `health` is one of HEALTHS."""
    for status in HEALTHS:
        scrape.put(families.HEALTH, status == health, status, process)
    scrape.put(families.CONNECTED, upstream.replica is not None and not upstream.is_away, process)
    scrape.put(families.SNAPSHOTS, upstream.snapshots, process)
    scrape.put(families.INTERRUPTIONS, upstream.interruptions, process)
    for route, status, counts, sum_s in latencies:
        scrape.distribute(families.HTTP, BOUNDS_S, counts, sum_s, route, status, process)
    for why, count in refusals.counts.items():
        scrape.put(families.REFUSED, count, why.value, process)
    scrape.put(families.WAITING, ongoing.waiting, process)
    scrape.put(families.EVENT_CLIENTS, ongoing.clients, process)
    scrape.put(families.EVENTS, ongoing.events, process)
    for reason, count in ongoing.resets.items():
        scrape.put(families.EVENT_RESETS, count, reason, process)
    scrape.put(families.EVENT_REFUSED, ongoing.refused, process)
    if upstream.replica is not None:
        scrape.put(families.STATE_AGE, upstream.silence_s(), process)
        scrape.put(families.REVISION, upstream.replica.number, process)


def tell_of_taps(scrape: Scrape, scheduler: pb.Scheduler) -> None:
    """Put in what is known of all taps."""
    for tap in scheduler.taps:
        _tap(scrape, tap)
    for process in scheduler.tap_processes:
        _process(scrape, process)


def _tap(scrape: Scrape, tap: pb.Tap) -> None:
    name = tap.name
    blinded = dict.fromkeys(BLINDED, 0) | {each.reason: each.connections for each in tap.blinded}
    scrape.put(families.TAP_ATTACHED, tap.attached, name)
    scrape.put(families.TAP_CONNECTIONS, tap.connections, name)
    scrape.put(families.TAP_OPEN, tap.open_connections, name)
    scrape.put(families.TAP_BLIND, tap.blind_connections, name)
    for reason, count in blinded.items():
        scrape.put(families.TAP_BLINDED, count, name, reason)
    scrape.put(families.TAP_STREAMS, tap.streams, name)
    scrape.put(families.TAP_MESSAGES, tap.messages, name)
    scrape.put(families.TAP_BYTES, tap.bytes, name)
    scrape.put(families.TAP_TAPPED, tap.tapped_bytes, name)
    scrape.put(families.TAP_REFUSED, tap.upstream_refused, name)


def _process(scrape: Scrape, process: pb.TapProcess) -> None:
    name = process.name
    scrape.put(families.PROCESS_ATTACHED, process.attached, name)
    scrape.put(families.RING, process.ring_bytes, name)
    scrape.put(families.RING_LIMIT, process.ring_limit_bytes, name)
    scrape.put(families.UNDECODED, process.undecoded_bytes, name)
    scrape.put(families.GAPS, process.gaps, name)
    scrape.put(families.READERS, process.readers, name)
    scrape.put(families.BEHIND, process.behind_bytes, name)
    if process.HasField("forwarding_delay"):
        delay = process.forwarding_delay
        scrape.distribute(families.FORWARDING, delay.upper_bounds_s, delay.counts, delay.sum_s, name)
    if process.HasField("loop_lag"):
        scrape.put(families.LOOP_LAG, process.loop_lag.seconds + process.loop_lag.nanos / _NS_PER_S, name)

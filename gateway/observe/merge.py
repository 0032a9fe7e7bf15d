"""Records of several taps come in, batch by batch; one sequence in the order of their times goes out, so far as it can be told.

Within one tap the order is kept as it is. Between taps the time decides, which each run ties to Unix time once (RunStarted). What
comes within WINDOW_S is put in order; nobody waits for a tap that says nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence

from gateway.pb import tap_pb2

#: A tap hands on what it has every ten milliseconds: what two of them saw at one moment comes within that.
WINDOW_S = 0.010

#: (Unix nanoseconds, which source, record)
_Placed = tuple[int, int, tap_pb2.TapRecord]


def in_order(
    batches: Sequence[tuple[int, Iterable[tap_pb2.TapRecord]]],
) -> Iterator[tuple[int, tap_pb2.TapRecord]]:
    """All records, each with the number of its source.

    Args:
        batches: of each source: nanoseconds between its monotonic clock and Unix time as known before, and its records in order.
    """
    streams = [_placed(number, offset, records) for number, (offset, records) in enumerate(batches)]
    for _, number, record in heapq.merge(*streams, key=lambda placed: placed[:2]):
        yield number, record


def _placed(number: int, offset: int, records: Iterable[tap_pb2.TapRecord]) -> Iterator[_Placed]:
    latest = 0
    for record in records:
        if record.HasField("run_started"):
            offset = record.run_started.unix_ns - record.run_started.monotonic_ns
        # A state tells of what was before; it stands where it is said.
        latest = max(latest, record.monotonic_ns + offset)
        yield latest, number, record

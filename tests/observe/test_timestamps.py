"""Times to the nanosecond."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.observe.timestamps import duration, optional_timestamp, timestamp


def test_moments_are_exact() -> None:
    assert timestamp(1_700_000_000_123_456_789) == Timestamp(seconds=1_700_000_000, nanos=123_456_789)
    assert optional_timestamp(5) == Timestamp(nanos=5)
    assert optional_timestamp(None) is None


def test_lengths_have_one_sign() -> None:
    assert duration(3_600_000_000_001) == Duration(seconds=3600, nanos=1)
    assert duration(-1_500_000_000) == Duration(seconds=-1, nanos=-500_000_000)

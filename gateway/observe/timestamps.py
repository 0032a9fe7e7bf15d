"""Unix nanoseconds of the model as protobuf's times, exactly."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

_SECOND = 1_000_000_000


def timestamp(at: int) -> Timestamp:
    """A moment."""
    return Timestamp(seconds=at // _SECOND, nanos=at % _SECOND)


def optional_timestamp(at: int | None) -> Timestamp | None:
    """A moment that may not be known."""
    return None if at is None else timestamp(at)


def duration(length: int) -> Duration:
    """A length of time; seconds and nanoseconds have one sign, as duration.proto wants it."""
    seconds, nanos = divmod(abs(length), _SECOND)
    return Duration(seconds=seconds, nanos=nanos) if length >= 0 else Duration(seconds=-seconds, nanos=-nanos)

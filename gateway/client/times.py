"""Times: Unix seconds come in, words for a person go out. Moments are in the time zone of this machine."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE = 60
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR

UNKNOWN = "-"


def duration(seconds: float | None) -> str:
    """How long: `4.2s`, `42s`, `3m04s`, `2h05m`, `3d04h`; below zero, which two clocks can make of it, is zero."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10 and not isinstance(seconds, int):
        # Not 10.0s.
        tenths = min(int(max(0.0, seconds) * 10), 99)
        return f"{tenths // 10}.{tenths % 10}s"
    whole = max(0, int(seconds))
    if whole < 100:
        return f"{whole}s"
    if whole < 100 * _MINUTE:
        return f"{whole // _MINUTE}m{whole % _MINUTE:02}s"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR}h{whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d{whole % _DAY // _HOUR:02}h"


def since(moment: float | None, now: float) -> int | None:
    """Whole seconds from a moment until now: `now` comes from a header that has no fraction."""
    return None if moment is None else int(now - moment)


def moment(seconds: float | None) -> str:
    """When: `2021-12-31 16:00:00`, with milliseconds where they are known; a time that no calendar has stays a number."""
    if seconds is None:
        return UNKNOWN
    local = _local(seconds)
    if local is None:
        return str(seconds)
    return local.strftime("%Y-%m-%d %H:%M:%S") + ("" if isinstance(seconds, int) else f".{local.microsecond // 1000:03}")


def clock(seconds: float) -> str:
    """The time of day."""
    local = _local(seconds)
    return UNKNOWN if local is None else local.strftime("%H:%M:%S")


def zone(seconds: float) -> str:
    """What moments about then are in: `UTC+01:00`."""
    local = _local(seconds)
    offset = local.strftime("%z") if local is not None else "+0000"
    return f"UTC{offset[:3]}:{offset[3:5]}"


def _local(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone()
    except (OverflowError, ValueError, OSError):
        return None

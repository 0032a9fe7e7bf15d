"""The clock that ages and uptimes are measured with: the wall clock at the start of the process in, Unix time from then on out.

Whoever sets the wall clock moves no age: times of upstream are those of the tap's clock, which is tied to Unix time once (P7).
"""

from __future__ import annotations

import time
from collections.abc import Callable


def steady_clock(wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> Callable[[], float]:
    """Unix time in seconds, which goes on at its own pace, whatever becomes of the wall clock."""
    ahead = wall() - monotonic()
    return lambda: monotonic() + ahead

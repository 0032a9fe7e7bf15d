"""`nativelink-gateway` with a fault in it, for tests: `injected.py ROLE …`; the fault is there from SIGUSR1 to SIGUSR2.

INJECT in the environment says which: `slow` takes 5 ms more for each record, `clock` is a wall clock that is an hour behind. No
part of the gateway knows of it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.model.events import Event
    from gateway.observe.translate import Translator
    from gateway.pb import tap_pb2

_RECORD_S = 0.005
_BACK_S = 3600


class _Fault:
    """Whether it is there."""

    is_on = False

    def switch(self, number: int, _frame: object) -> None:
        self.is_on = number == signal.SIGUSR1


def _set_clock_back(fault: _Fault) -> None:
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() - _BACK_S * fault.is_on
    time.time_ns = lambda: nanoseconds() - _BACK_S * 1_000_000_000 * fault.is_on


def _slow_down(fault: _Fault) -> None:
    from gateway.observe.translate import Translator  # noqa: PLC0415

    translate = Translator.translate

    def slowly(self: Translator, record: tap_pb2.TapRecord) -> list[Event]:
        if fault.is_on:
            time.sleep(_RECORD_S)
        return translate(self, record)

    Translator.translate = slowly  # type: ignore[method-assign]


def _main() -> int:
    fault = _Fault()
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, fault.switch)
    # Before anything of the gateway is imported, which may keep a clock.
    {"clock": _set_clock_back, "slow": _slow_down}[os.environ["INJECT"]](fault)
    from gateway.cli import main  # noqa: PLC0415

    return main()


if __name__ == "__main__":
    sys.exit(_main())

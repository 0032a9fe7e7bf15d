"""What every long-running process of the gateway needs around its work: signals, limits, the end with its parent, an exit code.

In: a coroutine function that works until an event is set. Out: an exit code.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from gateway.errors import GatewayError, StartError

#: Of sysexits.h: a defect of the program.
DEFECT = 70
_PR_SET_PDEATHSIG = 1
#: A tap with fewer is refused.
LEAST_DESCRIPTORS = 4_096
#: How much lower than the tap's the priority of the others is: builds wait for the tap, and for nobody else here.
NICENESS = {"observe": 5, "serve": 10}
#: The kernel lets one process in a tenth of a second say something about its session (sched(7)).
_AUTOGROUP_AGAIN_S = 0.05
_AUTOGROUP_TRIES = 20

logger = logging.getLogger(__name__)


def run_until_stopped(
    work: Callable[[asyncio.Event], Awaitable[None]],
    *,
    stop_timeout_s: float,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run `work`, setting its event at SIGTERM or SIGINT.

    Args:
        work: ends soon after its event is set.
        stop_timeout_s: how soon; after that the kernel ends the process.
        loop_factory: None: asyncio's own loop.

    Raises:
        GatewayError: work's, also out of a group.
    """

    async def working() -> None:
        stop = asyncio.Event()

        def stopping() -> None:
            # A second signal is ignored: systemd signals a whole control group, and then our supervisor signals its roles again.
            if not stop.is_set():
                stop.set()
                # SIGALRM ends a process that does not care for it, however busy or stuck it is.
                signal.setitimer(signal.ITIMER_REAL, stop_timeout_s)

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping)
        await work(stop)

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(working())
    except BaseExceptionGroup as group:
        if (expected := _only_sentence(group)) is not None:
            raise expected from group
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def raise_descriptor_limit(*, taps: bool = False) -> None:
    """Every connection of a tap costs two descriptors; the soft limit of 1,024 is for programs that use select().

    Args:
        taps: this process, or one that it starts, is in the way of builds.

    Raises:
        StartError: a tap could not hold what a small cluster connects.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if taps and soft != resource.RLIM_INFINITY and soft < LEAST_DESCRIPTORS:
        raise StartError(
            f"this process may have {soft} files open, and a tap needs {LEAST_DESCRIPTORS} or more, two for each connection: "
            "raise the hard limit (ulimit -Hn, LimitNOFILE= of the systemd unit, --ulimit nofile= of the container)"
        )


def die_with(supervisor: int) -> None:
    """Have the kernel end this process when its parent ends, however that ends (prctl(2)).

    Raises:
        StartError: the parent is gone already, or the kernel does not do that.
    """
    libc: Any = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        raise StartError(f"--supervisor: this system cannot end a process with its parent: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != supervisor:
        raise StartError(f"--supervisor: the process {supervisor} is gone, or not this one's parent")


def give_way(by: int) -> None:
    """Lower the priority of this process by so much (nice(2)), before it works.

    Where the kernel divides time among sessions (sched(7), autogroup), priorities count within one only, and a supervised role has
    a session of its own: so that gets the same. Where it cannot be said, the process works as well.
    """
    with suppress(OSError):
        os.nice(by)
    autogroup = Path("/proc/self/autogroup")
    for _ in range(_AUTOGROUP_TRIES):
        try:
            autogroup.write_text(str(by))
        except BlockingIOError:
            time.sleep(_AUTOGROUP_AGAIN_S)
            continue
        except OSError:
            pass
        return


def _only_sentence(group: BaseExceptionGroup[BaseException]) -> GatewayError | None:
    """The first error that a person caused, where nothing else is in the group."""
    rest = group.split(GatewayError)[1]
    if rest is not None:
        return None
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, GatewayError) else None

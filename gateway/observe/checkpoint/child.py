"""A copy of this process does something that takes long, while this one goes on: a function in, what went wrong out.

The copy is made by fork, so it sees everything as it was at that moment, and nothing that happens later. It has this thread only:
threads of grpc and of logging are not there, and what they hold stays held. So it calls the function, which must need neither, and
ends; it runs no loop, no cleanup and no exit handler. grpc's own handlers must be off (`GRPC_ENABLE_FORK_SUPPORT`, before grpc is
imported): they would start threads in the copy.

With 10,000 operations fork stops this process for 5 ms, where what the copy then does takes 500 (`scripts/bench checkpoint`).
Memory that either changes meanwhile is there twice.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

#: A tenth of a core that the tap wants too. Less would make a checkpoint on a busy machine older than what the tap's ring bridges.
_NICENESS = 10
_REPORT_BYTES = 1000
_REAP_S = 0.01
_KILLED_WITHIN_S = 1.0
_PR_SET_PDEATHSIG = 1
_LIBC: Any = ctypes.CDLL(None)


async def do_in_child(work: Callable[[], None], within_s: float) -> str | None:
    """Have a copy of this process do `work`; why it failed, None: it did not.

    Returns when the copy is gone, however long that takes: there are never two. Cancelled, it ends the copy.
    """
    try:
        pid, report = _fork(work)
    except OSError as error:
        return f"no process can be made for it: {error.strerror}"
    said = bytearray()
    is_over = asyncio.Event()

    def read() -> None:
        data = os.read(report, _REPORT_BYTES)
        said.extend(data)
        if not data:
            loop.remove_reader(report)
            is_over.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(report, read)
    problem = None
    try:
        async with asyncio.timeout(within_s):
            await is_over.wait()
    except TimeoutError:
        problem = f"it took longer than {within_s:g} s"
        _kill(pid)
    except asyncio.CancelledError:
        _kill(pid)
        _await_end(pid)
        raise
    finally:
        loop.remove_reader(report)
        os.close(report)
    while (code := _reap(pid)) is None:  # noqa: ASYNC110 - in a moment, or when the disk lets go of it
        await asyncio.sleep(_REAP_S)
    if problem is None and code:
        problem = said.decode(errors="replace") or f"its process was ended by signal {-code}"
    return problem


def _fork(work: Callable[[], None]) -> tuple[int, int]:
    """Start; returns the process and where it reports."""
    parent = os.getpid()
    report, telling = os.pipe()
    try:
        with warnings.catch_warnings():
            # Python 3.12 and later warn that locks of other threads stay held in the copy. It takes none of theirs, see above.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            _live(work, telling, parent)
    except OSError:
        os.close(report)
        raise
    finally:
        os.close(telling)
    return pid, report


def _live(work: Callable[[], None], telling: int, parent: int) -> NoReturn:
    """The copy's life."""
    code = 1
    try:
        gc.disable()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # It ends with its parent, and holds nothing that a successor of that would wait for: locks, connections.
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        os.closerange(3, telling)
        os.closerange(telling + 1, os.sysconf("SC_OPEN_MAX"))
        os.nice(_NICENESS)
        if os.getppid() == parent:
            work()
            code = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent tells of it
        words = error.strerror if isinstance(error, OSError) and error.strerror else repr(error)
        os.write(telling, words.encode(errors="replace")[:_REPORT_BYTES])
    finally:
        os._exit(code)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _await_end(pid: int) -> None:
    """Not for the loop, but for whoever does the same work next. A disk that does not answer keeps the copy longer than that."""
    ends = time.monotonic() + _KILLED_WITHIN_S
    while _reap(pid) is None and time.monotonic() < ends:
        time.sleep(_REAP_S)


def _reap(pid: int) -> int | None:
    """Exit code, negative for a signal; None: it has not ended."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0
    return os.waitstatus_to_exitcode(status) if found else None

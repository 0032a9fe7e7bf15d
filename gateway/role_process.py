"""One role's process: a command and the sockets it inherits come in; it is started again and again until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import time
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Mapping
from dataclasses import dataclass

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How soon a role that ended is started again."""

    #: Before the first, the second, … start in a row, in seconds; the last one stays.
    delays_s: tuple[float, ...]
    #: A role that lived this long begins again with the first delay.
    healthy_s: float

    def delay_s(self, failures: int) -> float:
        """The delay after so many ends in a row, 1 or more."""
        return self.delays_s[min(failures, len(self.delays_s)) - 1]


#: The tap is in the way of builds: at once, and never later than within a second. The others hold nobody up.
PACES: Mapping[str, Pace] = {
    "tap": Pace((0.0, 0.1, 0.25, 0.5, 1.0), healthy_s=10.0),
    "observe": Pace((0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0), healthy_s=30.0),
    "serve": Pace((0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0), healthy_s=30.0),
}


class Role:
    """One role's process, started again and again until it is told to end."""

    def __init__(self, name: str, command: list[str], listeners: Mapping[str, socket.socket], pace: Pace) -> None:
        self._name = name
        self._pace = pace
        self._descriptors = [listener.fileno() for listener in listeners.values()]
        self._command = [*command, *(f"--listener={each}={listener.fileno()}" for each, listener in listeners.items())]
        self._ending = asyncio.Event()
        #: Not held.
        self._may_start = asyncio.Event()
        self._may_start.set()
        self._process: Process | None = None
        #: Of its first life only.
        self._first: list[str] = []
        self._first_descriptors: list[int] = []
        #: The first life has begun, or could not.
        self.started = asyncio.Event()

    def take_over(self, told_to: int) -> None:
        """The first life takes over from another process and writes that to a descriptor. If it ends instead, it stays so."""
        self._first = ["--take-over", f"--tell={told_to}"]
        self._first_descriptors = [told_to]

    def hold(self) -> None:
        """If the process ends, it stays so until `release`."""
        self._may_start.clear()

    def release(self) -> None:
        """Starts the process again where it has ended meanwhile."""
        self._may_start.set()

    def end(self) -> None:
        """Tell the process to stop, and start no other."""
        self._ending.set()
        self._may_start.set()
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End a process that did not stop."""
        if self._process is not None and self._process.returncode is None:
            logger.warning("role %s (pid %d) did not stop in time: killing it", self._name, self._process.pid)
        self._signal(signal.SIGKILL)

    async def keep(self) -> None:
        """Start the process, wait for its end, say so, start it again."""
        failures = 0
        while not self._ending.is_set():
            started = time.monotonic()
            ended = await self._live()
            lived_s = time.monotonic() - started
            if self._ending.is_set():
                logger.info("%s", ended)
                return
            failures = 1 if lived_s >= self._pace.healthy_s else failures + 1
            if not self._may_start.is_set():
                logger.info("%s", ended)
                await self._may_start.wait()
                continue
            delay_s = self._pace.delay_s(failures)
            when = f"in {delay_s:g} s" if delay_s else "at once"
            logger.error("%s after %.1f s: starting it again %s", ended, lived_s, when, extra={"failures": failures})
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), delay_s)

    async def _live(self) -> str:
        """One life of the process; how it ended, in words."""
        try:
            # A session of its own: Ctrl-C reaches the supervisor alone, which keeps the order of stopping.
            process = await create_subprocess_exec(
                *self._command,
                *self._first,
                stdin=DEVNULL,
                pass_fds=[*self._descriptors, *self._first_descriptors],
                start_new_session=True,
                cwd="/",
            )
        except OSError as error:
            return f"role {self._name} could not be started ({error.strerror})"
        finally:
            if self._first:
                self._first, self._first_descriptors = [], []
                self.hold()
            self.started.set()
        self._process = process
        logger.info("role %s started (pid %d)", self._name, process.pid)
        try:
            if self._ending.is_set():
                self._signal(signal.SIGTERM)
            code = await process.wait()
        finally:
            # On a cancellation nobody else would.
            self._signal(signal.SIGKILL)
        return f"role {self._name} (pid {process.pid}) {describe_end(code)}"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def describe_end(code: int) -> str:
    """A return code as subprocess gives it, in words."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"

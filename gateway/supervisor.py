"""The supervisor: one configuration comes in, three role processes go out and are kept until it is told to stop (design 2 and 4).

It owns the listening sockets, so that connects wait in the backlog while a role is started again, and it checks everything before
it starts anything. The roles read the resolved configuration from a file that it writes: what runs is what was checked, whatever
happens to the original meanwhile. They die with it, however it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process, create_subprocess_exec
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config.resolved import to_json
from gateway.config.state_directory import prepare_state_dir
from gateway.config.types import Config
from gateway.errors import StartError
from gateway.lock import exclusive_lock

#: Roles in the order of their start; they are stopped in the opposite one, so that each ends before what it reads from.
ROLES = ("tap", "observe", "serve")
#: By when, as shares of the time that stopping may take, a role has to have ended before the next one is told to.
_SHARES = {"serve": 0.35, "observe": 0.65, "tap": 0.9}

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


class Supervisor:
    """Runs the whole gateway once."""

    def __init__(self, config: Config, log_level: str, tap_arguments: Sequence[str] = ()) -> None:
        """`tap_arguments` go to the tap besides what every role gets."""
        self._tap_arguments = tap_arguments
        self._config = config
        self._log_level = log_level

    async def run(self, stop: asyncio.Event) -> None:
        """Start every role, keep them, and end them within `config.stop_timeout_s` after `stop` is set.

        Raises:
            StartError: another gateway uses state_dir, nothing can be written there, or a port is in use. Nothing was started.
        """
        prepare_state_dir(self._config.state_dir)
        with exclusive_lock(self._config.state_dir / "lock", "gateway.state_dir"), _listening(self._config) as listeners:
            running = self._config.state_dir / "running.json"
            _write_privately(running, to_json(self._config))
            roles = {name: Role(name, self._command(name, running), listeners.get(name, {}), PACES[name]) for name in ROLES}
            async with asyncio.TaskGroup() as group:
                keeping = {name: group.create_task(role.keep(), name=f"keep {name}") for name, role in roles.items()}
                await stop.wait()
                logger.info("stopping")
                await self._end(roles, keeping)
            logger.info("stopped")

    def _command(self, name: str, running: Path) -> list[str]:
        # -P: the directory in which somebody starts the gateway has no say in what `gateway` is.
        command = [sys.executable, "-P", "-m", "gateway.cli", name, f"--config={running}", f"--log-level={self._log_level}"]
        return [*command, f"--supervisor={os.getpid()}", *(self._tap_arguments if name == "tap" else ())]

    async def _end(self, roles: Mapping[str, Role], keeping: Mapping[str, asyncio.Task[None]]) -> None:
        started = time.monotonic()
        told: list[asyncio.Task[None]] = []
        for name in reversed(ROLES):
            roles[name].end()
            told.append(keeping[name])
            await asyncio.wait(told, timeout=started + _SHARES[name] * self._config.stop_timeout_s - time.monotonic())
        for role in roles.values():
            role.kill()


class Role:
    """One role's process, started again and again until it is told to end."""

    def __init__(self, name: str, command: list[str], listeners: Mapping[str, socket.socket], pace: Pace) -> None:
        self._name = name
        self._pace = pace
        self._descriptors = [listener.fileno() for listener in listeners.values()]
        self._command = [*command, *(f"--listener={each}={listener.fileno()}" for each, listener in listeners.items())]
        self._ending = asyncio.Event()
        self._process: Process | None = None

    def end(self) -> None:
        """Tell the process to stop, and start no other."""
        self._ending.set()
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
                *self._command, stdin=DEVNULL, pass_fds=self._descriptors, start_new_session=True, cwd="/"
            )
        except OSError as error:
            return f"role {self._name} could not be started ({error.strerror})"
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


@contextlib.contextmanager
def _listening(config: Config) -> Iterator[Mapping[str, Mapping[str, socket.socket]]]:
    """Every listening socket, by role and name, as the roles themselves would open them.

    Raises:
        StartError: one cannot be had; the others are closed again.
    """
    # Imported late: what the roles are made of is not needed to supervise them.
    from gateway.serve import role as serve  # noqa: PLC0415
    from gateway.tap import role as tap  # noqa: PLC0415

    with contextlib.ExitStack() as stack:
        taps = tap.bind(config)
        _close_later(stack, taps.values())
        http = serve.bind(config)
        _close_later(stack, [http])
        yield {"tap": taps, "serve": {"http": http}}


def _close_later(stack: contextlib.ExitStack, listeners: Iterable[socket.socket]) -> None:
    for listener in listeners:
        stack.enter_context(listener)


def _write_privately(file: Path, text: str) -> None:
    """Whole or not at all, and for this user only.

    Raises:
        StartError: it cannot be written, as where the disk is full.
    """
    draft = file.with_suffix(".new")
    try:
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123 # a descriptor has no path
            opened.write(text)
        draft.replace(file)
    except OSError as error:
        raise StartError(f"gateway.state_dir: cannot write {file}: {error.strerror}") from error

"""The supervisor: a configuration comes in, processes of three roles go out and are kept until it is told to stop (design 2 and 4).

It owns the listening sockets (`gateway.listeners`), so that connects wait in the backlog while a role is started again, and it
checks everything before it starts anything. The roles (`gateway.role_process`) read the resolved configuration from a file that it
writes: what runs is what was checked, whatever happens to the original meanwhile. They die with it, however it dies. Where the
machine is busy, the tap goes before `observe`, and `observe` before `serve` (`gateway.cli.process.NICENESS`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from gateway.activation import activated
from gateway.cli.recording import RecordTo
from gateway.config.resolved import to_json
from gateway.config.state_directory import prepare_state_dir
from gateway.config.types import Config
from gateway.errors import StartError
from gateway.listeners import listening
from gateway.lock import exclusive_lock
from gateway.notify import notify
from gateway.private_file import write_privately
from gateway.role_process import PACES, Role
from gateway.succession import Listeners, Offer, Predecessor, came
from gateway.tls import DialContext, ListenerContext

#: How long a predecessor may take to be gone, besides the time that stopping takes.
_LEAVING_S = 5.0
#: By when, as shares of the time that stopping may take, a role has to have ended before the next one is told to.
_SHARES = {"serve": 0.35, "observe": 0.65, "tap": 0.9}

logger = logging.getLogger(__name__)


class Supervisor:
    """Runs the whole gateway once."""

    def __init__(self, config: Config, log_level: str, record_to: RecordTo | None = None, *, take_over: bool = False) -> None:
        """Everything is started by `run`.

        Args:
            config: The resolved configuration.
            log_level: Of the roles too.
            record_to: Where the recording of the tap goes; of further tap processes beside it, `FILE.tap-1` …. None: nowhere.
            take_over: From the one that runs on the same state_dir, without cutting a connection.
        """
        self._record_to = record_to
        self._taps = _tap_names(config)
        self._serves = _names("serve", config.serve.processes)
        self._config = config
        self._log_level = log_level
        self._take_over = take_over

    async def run(self, stop: asyncio.Event) -> None:
        """Start every role, keep them, and end them within `config.stop_timeout_s` after `stop` is set.

        Raises:
            StartError: another gateway uses state_dir, nothing can be written there, a port is in use, a certificate is no good, or
                nothing is taken over. Nothing was started, or nothing is left of it.
        """
        prepare_state_dir(self._config.state_dir)
        _check_certificates(self._config)
        with contextlib.ExitStack() as stack:
            if self._take_over:
                if len(self._taps) != 1:
                    raise StartError(
                        f"--take-over: gateway.tap.processes: {len(self._taps)}: only one tap process can be taken over: stop the "
                        "gateway that runs, then start this one"
                    )
                predecessor = stack.enter_context(Predecessor.ask(self._config))
                await self._keep(predecessor.listeners, stop, stack, predecessor)
            else:
                stack.enter_context(self._lock())
                listeners = stack.enter_context(listening(self._config, self._taps, activated(os.environ)))
                await self._keep(listeners, stop, stack, None)

    async def _keep(
        self, listeners: Listeners, stop: asyncio.Event, stack: contextlib.ExitStack, predecessor: Predecessor | None
    ) -> None:
        """With a predecessor the tap begins alone, and the others when that one has let go."""
        running = self._write_running(stack)
        roles = {
            name: Role(name, self._command(name, running), self._listeners(listeners, name), PACES[_kind(name)])
            for name in (*self._taps, "observe", *self._serves)
        }
        offer = Offer(self._config, listeners, [roles[name] for name in self._taps])
        async with asyncio.TaskGroup() as group:
            keeping: dict[str, asyncio.Task[None]] = {}
            if predecessor is not None:
                (tap,) = self._taps
                keeping[tap] = await self._take(roles[tap], group)
                # Before that one ends: what systemd takes for the unit's main process must not be over.
                notify(f"MAINPID={os.getpid()}")
                predecessor.let_go()
                await asyncio.to_thread(self._lock_at_last, stack)
            for name, role in roles.items():
                if name not in keeping:
                    keeping[name] = group.create_task(role.keep(), name=f"keep {name}")
            offering = group.create_task(offer.serve(), name="offer")
            notify("READY=1")
            await _first_of(stop, offer.taken)
            logger.info("stopping")
            offering.cancel()
            await self._end(roles, keeping)
        logger.info("stopped")

    async def _take(self, tap: Role, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Starts the tap, which takes the connections over, and keeps it from then on.

        Raises:
            StartError: It has not; it has ended.
        """
        reading, writing = os.pipe()
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, reading)
            with contextlib.ExitStack() as until_started:
                until_started.callback(os.close, writing)
                tap.take_over(writing)
                keeping = group.create_task(tap.keep(), name="keep tap")
                await tap.started.wait()
            # Its end of the pipe is the only one now.
            if await came(reading):
                tap.release()
                return keeping
        tap.end()
        await asyncio.wait([keeping], timeout=self._config.stop_timeout_s)
        tap.kill()
        raise StartError("--take-over: the tap did not take over, for the reason above: the running gateway goes on")

    def _lock(self, within_s: float = 0.0) -> contextlib.AbstractContextManager[None]:
        return exclusive_lock(self._config.state_dir / "lock", "gateway.state_dir", within_s)

    def _lock_at_last(self, stack: contextlib.ExitStack) -> None:
        """The one before this ends, and there is no way back."""
        try:
            stack.enter_context(self._lock(self._config.stop_timeout_s + _LEAVING_S))
        except StartError as error:
            logger.error("%s", error)  # noqa: TRY400 - it is a sentence

    def _write_running(self, stack: contextlib.ExitStack) -> Path:
        """What this one's roles read. A predecessor's still read theirs."""
        name = f"running-{os.getpid()}.json" if self._take_over else "running.json"
        running = self._config.state_dir / name
        try:
            write_privately(running, to_json(self._config))
        except OSError as error:
            raise StartError(f"gateway.state_dir: cannot write {running}: {error.strerror}") from error
        if self._take_over:
            stack.callback(running.unlink, missing_ok=True)
        return running

    def _listeners(self, listeners: Listeners, name: str) -> Mapping[str, socket.socket]:
        """Serve processes accept from one socket, so that whoever is there takes what comes while another is started again."""
        return listeners.get("serve" if name in self._serves else name, {})

    def _command(self, name: str, running: Path) -> list[str]:
        # -P: the directory in which somebody starts the gateway has no say in what `gateway` is.
        kind = _kind(name)
        command = [sys.executable, "-P", "-m", "gateway.cli", kind, f"--config={running}", f"--log-level={self._log_level}"]
        command.append(f"--supervisor={os.getpid()}")
        if kind == "tap":
            process = self._taps.index(name)
            command.append(f"--process={process}")
            if self._record_to is not None:
                to = self._record_to.of_process(process)
                command += [f"--record={to.file}", f"--record-bytes={to.limit_bytes}"]
        elif name in self._serves:
            command.append(f"--process={self._serves.index(name)}")
        return command

    async def _end(self, roles: Mapping[str, Role], keeping: Mapping[str, asyncio.Task[None]]) -> None:
        started = time.monotonic()
        told: list[asyncio.Task[None]] = []
        # The opposite order of their start, so that each ends before what it reads from.
        for kind, share in _SHARES.items():
            for name, role in roles.items():
                if _kind(name) == kind:
                    role.end()
                    told.append(keeping[name])
            await asyncio.wait(told, timeout=started + share * self._config.stop_timeout_s - time.monotonic())
        for role in roles.values():
            role.kill()


def _kind(name: str) -> str:
    """Of `tap 1` and `tap`: tap."""
    return name.partition(" ")[0]


def _tap_names(config: Config) -> tuple[str, ...]:
    """One name for each tap process of this machine."""
    if not config.record_link.local:
        return ()
    return _names("tap", config.tap.processes)


def _names(kind: str, processes: int) -> tuple[str, ...]:
    return (kind,) if processes == 1 else tuple(f"{kind} {number}" for number in range(processes))


async def _first_of(*events: asyncio.Event) -> None:
    """Waits until one is set."""
    waiting = [asyncio.create_task(event.wait(), name="wait") for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


def _check_certificates(config: Config) -> None:
    """Those of introspection and HTTP; a tap looks at its own when it binds.

    Raises:
        StartError: one cannot be used.
    """
    listener, endpoint = config.introspection.tls, config.introspection.endpoint_tls
    if listener is not None:
        ListenerContext(listener, "gateway.introspection.tls")
    if config.http_tls is not None:
        ListenerContext(config.http_tls, "gateway.http_tls")
    if endpoint is not None:
        DialContext(endpoint, "gateway.introspection.endpoint_tls")

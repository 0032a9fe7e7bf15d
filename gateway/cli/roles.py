"""One role in this process: a configuration comes in, perhaps with sockets that listen already; the role runs until told to stop.

Each role is imported only where it runs: a tap has no grpc and no aiohttp in it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import uvloop

from gateway.cli.memory import collect_rarely, keep_freed_memory
from gateway.cli.process import run_until_stopped
from gateway.cli.recording import RecordTo, recording
from gateway.config.state_directory import prepare_state_dir
from gateway.config.types import Config
from gateway.errors import StartError
from gateway.lock import exclusive_lock

#: How long the process that was taken over from may take to be gone: it writes its last lines first.
_LEAVING_S = 5.0
#: Of the time that stopping may take, the part that is left for the end of a recording.
_RECORD_END = 0.5


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TapOptions:
    """What a tap is told besides its configuration."""

    #: Its number among `tap.processes`, from 0.
    process: int = 0
    #: Where its recording goes; None: nowhere.
    record_to: RecordTo | None = None
    #: Take over from the one that runs.
    take_over: bool = False
    #: Where a byte is written when it has; None: nowhere.
    tell: int | None = None
    #: A supervisor keeps this one.
    supervised: bool = False


def run_role(role: str, config: Config, inherited: Mapping[str, int], tap: TapOptions, serve: int | None = None) -> None:
    """Run `tap`, `observe` or `serve`.

    Args:
        role: which.
        config: the resolved configuration.
        inherited: descriptors of listening sockets by tap name; of `serve` one by any name. Empty: the role opens its own.
        tap: of a tap only.
        serve: of `serve` only, its number among `serve.processes`; None: it is the only one.

    Raises:
        StartError: something is in the way.
    """
    listeners = {name: _inherit(name, descriptor) for name, descriptor in inherited.items()}
    if role != "serve":
        _prepare(config, tap)
    with _Alone(role, config, tap.process) as alone:
        #: What there is in state_dir, and is not another process's.
        is_ours = asyncio.Event()
        if not tap.take_over:
            alone.lock(within_s=0)
            is_ours.set()
        if role == "tap":
            work = _tap(config, listeners, tap, alone, is_ours)
            keep_freed_memory()
        elif role == "observe":
            work = _observe(config)
        else:
            work = _serve(config, listeners, serve)
        collect_rarely()
        run_until_stopped(work, stop_timeout_s=config.stop_timeout_s, loop_factory=uvloop.new_event_loop)


def run_replay(config: Config, file: Path, speed: float) -> None:
    """Run `observe` on a recording.

    Args:
        config: the resolved configuration.
        file: of the recording.
        speed: times that of the recording; 0: as fast as it goes.

    Raises:
        StartError: something is in the way, or it is no recording.
    """
    from gateway.observe import replaying  # noqa: PLC0415
    from gateway.observe.recording.files import recordings  # noqa: PLC0415
    from gateway.observe.recording.replay import Replay  # noqa: PLC0415

    replay = Replay(recordings(file, "--replay"), speed)
    prepare_state_dir(config.state_dir)
    with _Alone("observe", config, 0) as alone:
        alone.lock(within_s=0)
        run_until_stopped(
            lambda stop: replaying.run(config, replay, stop),
            stop_timeout_s=config.stop_timeout_s,
            loop_factory=uvloop.new_event_loop,
        )


def _prepare(config: Config, tap: TapOptions) -> None:
    try:
        prepare_state_dir(config.state_dir)
    except StartError as error:
        # It was well when the supervisor started. If it is read-only since, builds need the tap no less.
        if not tap.supervised:
            raise
        logger.error("%s", error)  # noqa: TRY400 - it is a sentence


_Work = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


def _recorded(work: _Work, record_socket: Path, record_to: RecordTo | None, is_ours: asyncio.Event, end_within_s: float) -> _Work:
    """`is_ours` is set when the record link is this process's."""

    async def recorded(stop: asyncio.Event) -> None:
        if record_to is None:
            await work(stop)
            return
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work(stop), name="tap")
            beginning = tasks.create_task(is_ours.wait(), name="wait for the record link")
            await asyncio.wait([working, beginning], return_when=asyncio.FIRST_COMPLETED)
            if not beginning.cancel():
                async with recording(record_socket, record_to, end_within_s):
                    await asyncio.wait([working])

    return recorded


def _tap(config: Config, listeners: dict[str, socket.socket], options: TapOptions, alone: _Alone, is_ours: asyncio.Event) -> _Work:
    from gateway.tap import role  # noqa: PLC0415

    process = options.process
    if process >= config.tap.processes:
        raise StartError(f"--process {process}: gateway.tap.processes: {config.tap.processes} are numbered from 0")
    if listeners and listeners.keys() != {tap.name for tap in config.taps}:
        raise StartError(f"--listener: the taps are {', '.join(tap.name for tap in config.taps)}, not {', '.join(listeners)}")
    if not listeners and not options.take_over:
        listeners = role.bind(config, process)

    async def taken_over() -> None:
        if options.tell is not None:
            with suppress(OSError):
                os.write(options.tell, b"+")
                os.close(options.tell)
        is_ours.set()
        await asyncio.to_thread(alone.lock_at_last)

    upgrade = role.Upgrade(options.take_over, options.supervised, taken_over)

    def work(stop: asyncio.Event) -> Coroutine[Any, Any, None]:
        return role.run(config, listeners, stop, process=process, upgrade=upgrade)

    return _recorded(work, config.record_sockets[process], options.record_to, is_ours, config.stop_timeout_s * _RECORD_END)


def _observe(config: Config) -> _Work:
    # It forks for checkpoints, and the copy has nothing to do with grpc, whose handlers would start threads in it that abort.
    # grpc reads this when it is imported.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
    # Nor may a stranger at introspection.listen write a line of the log with each connection that is refused.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from gateway.observe import role  # noqa: PLC0415

    return lambda stop: role.run(config, stop)


def _serve(config: Config, listeners: dict[str, socket.socket], process: int | None) -> _Work:
    # What is wrong with following upstream is said once, as a sentence; grpc would say its own at every attempt.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from gateway.serve import role  # noqa: PLC0415

    if len(listeners) > 1:
        raise StartError(f"--listener: one socket to answer HTTP on, not {', '.join(listeners)}")
    if process is not None and process >= config.serve.processes:
        raise StartError(f"--process {process}: gateway.serve.processes: {config.serve.processes} are numbered from 0")
    return lambda stop: role.run(config, next(iter(listeners.values()), None), stop, process=process)


class _Alone:
    """The two roles that own files in state_dir; of `serve` there may be many, and it owns none."""

    def __init__(self, role: str, config: Config, process: int) -> None:
        name = f"{role}-{process}" if role == "tap" else role
        self._path = None if role == "serve" else config.state_dir / f"{name}.lock"
        self._lock = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def lock(self, within_s: float) -> None:
        """Held until the end.

        Raises:
            StartError: another process has it for longer.
        """
        if self._path is not None:
            self._lock.enter_context(exclusive_lock(self._path, "gateway.state_dir", within_s))

    def lock_at_last(self) -> None:
        """The process that has it leaves, and there is no way back for this one."""
        try:
            self.lock(_LEAVING_S)
        except StartError as error:
            logger.error("%s", error)  # noqa: TRY400 - it is a sentence


def _inherit(name: str, descriptor: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(f"--listener {name}={descriptor}: not a socket: {error.strerror}") from error
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener

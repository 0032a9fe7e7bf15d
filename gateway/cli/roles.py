"""One role in this process: a configuration comes in, perhaps with sockets that listen already; the role runs until told to stop.

Each role is imported only where it runs: a tap has no grpc and no aiohttp in it.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import uvloop

from gateway.cli.process import run_until_stopped
from gateway.cli.recording import RecordTo, recording
from gateway.config.state_directory import prepare_state_dir
from gateway.config.types import Config
from gateway.errors import StartError
from gateway.lock import exclusive_lock


def run_role(role: str, config: Config, inherited: Mapping[str, int], record_to: RecordTo | None = None) -> None:
    """Run `tap`, `observe` or `serve`.

    Args:
        role: which.
        config: the resolved configuration.
        record_to: where a tap's recording goes; None: nowhere.
        inherited: descriptors of listening sockets by tap name; of `serve` one by any name. Empty: the role opens its own.

    Raises:
        StartError: something is in the way.
    """
    listeners = {name: _inherit(name, descriptor) for name, descriptor in inherited.items()}
    with _alone(role, config):
        work = _WORK[role](config, listeners)
        if role == "tap":
            work = _recorded(work, config, record_to)
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
    from gateway.observe.recording.files import RecordingFiles  # noqa: PLC0415
    from gateway.observe.recording.replay import Replay  # noqa: PLC0415

    replay = Replay(RecordingFiles(file, "--replay"), speed)
    with _alone("observe", config):
        run_until_stopped(
            lambda stop: replaying.run(config, replay, stop),
            stop_timeout_s=config.stop_timeout_s,
            loop_factory=uvloop.new_event_loop,
        )


_Work = Callable[[asyncio.Event], Awaitable[None]]


def _recorded(work: _Work, config: Config, record_to: RecordTo | None) -> _Work:
    async def recorded(stop: asyncio.Event) -> None:
        async with recording(config.record_sockets[0], record_to):
            await work(stop)

    return recorded


def _tap(config: Config, listeners: dict[str, socket.socket]) -> _Work:
    from gateway.tap import role  # noqa: PLC0415

    if listeners and listeners.keys() != {tap.name for tap in config.taps}:
        raise StartError(f"--listener: the taps are {', '.join(tap.name for tap in config.taps)}, not {', '.join(listeners)}")
    bound = listeners or role.bind(config)
    return lambda stop: role.run(config, bound, stop)


def _observe(config: Config, listeners: dict[str, socket.socket]) -> _Work:
    # It forks for checkpoints, and the copy has nothing to do with grpc, whose handlers would start threads in it that abort.
    # grpc reads this when it is imported.
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"
    from gateway.observe import role  # noqa: PLC0415

    del listeners
    return lambda stop: role.run(config, stop)


def _serve(config: Config, listeners: dict[str, socket.socket]) -> _Work:
    from gateway.serve import role  # noqa: PLC0415

    if len(listeners) > 1:
        raise StartError(f"--listener: one socket to answer HTTP on, not {', '.join(listeners)}")
    return lambda stop: role.run(config, next(iter(listeners.values()), None), stop)


_WORK: Mapping[str, Callable[[Config, dict[str, socket.socket]], _Work]] = {"tap": _tap, "observe": _observe, "serve": _serve}


def _alone(role: str, config: Config) -> AbstractContextManager[None]:
    """The two roles that own files in state_dir; of `serve` there may be many, and it owns none."""
    if role == "serve":
        return nullcontext()
    prepare_state_dir(config.state_dir)
    return exclusive_lock(config.state_dir / f"{role}.lock", "gateway.state_dir")


def _inherit(name: str, descriptor: int) -> socket.socket:
    try:
        listener = socket.socket(fileno=descriptor)
    except OSError as error:
        raise StartError(f"--listener {name}={descriptor}: not a socket: {error.strerror}") from error
    listener.set_inheritable(False)
    listener.setblocking(False)
    return listener

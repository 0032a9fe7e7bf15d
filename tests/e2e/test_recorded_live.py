"""Recordings of a real NativeLink through the real tap, recorded again: played, they answer what the live observer answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import pytest
import uvloop

from gateway.cli.recording import RecordTo, recording
from gateway.observe import replaying
from gateway.observe.recording.files import recordings as recordings_of
from gateway.observe.recording.replay import Replay
from gateway.pb import introspection_pb2 as pb
from gateway.pb import tap_pb2
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from tests.command import PATIENCE_S
from tests.e2e import recordings
from tests.e2e.gateway import Gateway, configuration, gateway
from tests.e2e.player import Player, Upstream

if TYPE_CHECKING:
    from gateway.pb.introspection_pb2_grpc import IntrospectionAsyncStub

#: The short ones: a worker and a build, a queue, drain, failures, an old release.
NAMES = ("basic", "queue", "drain", "failures", "legacy")
_ASK_EVERY_S = 0.4

#: What introspection answers at one moment: the Scheduler message, workers, operations.
Answers = tuple[pb.Scheduler, list[pb.Worker], list[pb.Operation]]


async def _answers(running: Gateway) -> Answers | None:
    """All of one moment; None: something happened while they were asked for."""
    found = []
    for _ in range(2):
        workers, operations, scheduler = await running.answers()
        found.append((scheduler, list(workers), list(operations)))
    return found[0] if found[0] == found[1] else None


async def _asked(running: Gateway, found: list[Answers]) -> None:
    while True:
        answers = await _answers(running)
        if answers is not None and answers not in found:
            found.append(answers)
        await asyncio.sleep(_ASK_EVERY_S)


async def _recorded(name: str, state_dir: Path, file: Path) -> tuple[list[Answers], dict[str, int]]:
    """Plays, records, and asks; also returns the ports of NativeLink's listeners."""
    upstreams = {"execution": Upstream(), "workers": Upstream()}
    found: list[Answers] = []
    async with recording(state_dir / "tap-0.sock", RecordTo(file), PATIENCE_S), gateway(name, state_dir, upstreams) as running:
        player = Player(recordings.load(name), running.taps, upstreams)
        asking = asyncio.create_task(_asked(running, found), name=f"asks {name}")
        await player.play()
        asking.cancel()
        assert player.problems == []
    return found, {listener: upstream.port for listener, upstream in upstreams.items()}


class _Stepped(Replay):
    """Plays record by record; after each one it is looked at what is answered."""

    def __init__(self, file: Path, look: Callable[[], Awaitable[None]]) -> None:
        super().__init__(recordings_of(file, "--replay"), 0.0)
        self._look = look
        self.done = asyncio.Event()

    async def play(self, receive: Callable[[str, list[tap_pb2.TapRecord]], None], settle: Callable[[], None]) -> None:
        (files,) = self.recordings
        for record in files.records():
            receive("tap-0", [record])
            await self._look()
        settle()
        self.done.set()


async def _replayed(name: str, state_dir: Path, file: Path, ports: dict[str, int], expected: list[Answers]) -> None:
    """Every moment that was seen live comes again, in the same order."""
    config = configuration(name, state_dir, ports)
    waiting = list(expected)

    async with grpc.aio.insecure_channel(f"unix:{config.introspection_socket}") as channel:
        stub: IntrospectionAsyncStub = IntrospectionStub(channel)

        async def look() -> None:
            while waiting:
                scheduler = await stub.GetScheduler(pb.GetSchedulerRequest(), wait_for_ready=True)
                assert scheduler.health.notes.pop(0) == f"This is a replay of {file}, which goes on."
                if scheduler != waiting[0][0]:
                    return
                workers, operations, _ = await Gateway(stub, {}).answers()
                if (list(workers), list(operations)) != waiting[0][1:]:
                    return
                waiting.pop(0)

        replay = _Stepped(file, look)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as roles:
            roles.create_task(replaying.run(config, replay, stop), name=f"replay {name}")
            async with asyncio.timeout(2 * PATIENCE_S):
                await replay.done.wait()
            stop.set()
    assert waiting == [], f"{len(waiting)} of {len(expected)} did not come again"


async def _compared(name: str, folder: Path) -> int:
    for each in ("live", "replayed"):
        (folder / each).mkdir(mode=0o700, parents=True)
    file = folder / "recording"
    expected, ports = await _recorded(name, folder / "live", file)
    await _replayed(name, folder / "replayed", file, ports, expected)
    return len(expected)


def test_what_was_recorded_answers_what_was_answered_live(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All at once, since a recording takes its own time."""
    folder = tmp_path_factory.mktemp("live")  # names of unix sockets have to be short

    async def compare_all() -> list[int | BaseException]:
        return await asyncio.gather(*(_compared(name, folder / name) for name in NAMES), return_exceptions=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        moments = dict(zip(NAMES, runner.run(compare_all()), strict=True))
    if any(isinstance(each, BaseException) or each < 2 for each in moments.values()):
        pytest.fail(f"moments that were seen live and came again: {moments}")

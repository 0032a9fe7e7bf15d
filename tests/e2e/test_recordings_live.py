"""Every recording, through the real tap over real sockets and the introspection service, against the scheduler's own state."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from gateway.pb import introspection_pb2 as pb
from tests.e2e import legacy, recordings, truth
from tests.e2e.gateway import Gateway, gateway
from tests.e2e.player import Player, Upstream

#: How long after a checkpoint's begin the model is first asked.
_SETTLE_S = 0.1
#: How long before its end it is asked again.
_ASKING_S = 0.05
#: Time goes on in the model at least this often.
_TICK_S = 1.0
#: By when, and how often, it is asked whether it has what was forwarded.
_PATIENCE_S, _AGAIN_S = 90, 0.02
#: The model's own timeouts do not stand still with a recording's clock: what differs after it stood for so long is played again.
_STOOD_S = 0.05
_PLAYS = 3


@dataclass(frozen=True)
class _Check:
    """Agreement from `at` to `until`, in seconds of the recording."""

    label: str
    at: float
    until: float
    #: Of what introspection answers; the flag: that it was asked less than a tick after `at`.
    differences: Callable[[Sequence[pb.Worker], Sequence[pb.Operation], pb.Scheduler, bool], list[str]]


def _checks(name: str, player: Player) -> list[_Check]:
    if name == "legacy":
        return [_legacy(moment, player) for moment in legacy.moments()]
    return [_checkpoint(each, player) for each in recordings.truth(name) if each.until - each.at >= _SETTLE_S + _ASKING_S]


def _legacy(moment: legacy.Moment, player: Player) -> _Check:
    """What was said at one moment holds as long as nothing more is played."""

    def differences(
        workers: Sequence[pb.Worker], operations: Sequence[pb.Operation], _: pb.Scheduler, just_begun: bool
    ) -> list[str]:
        return legacy.differences(moment, workers, operations, played=player.played)

    return _Check(moment.label, moment.at, moment.at, differences)


def _checkpoint(checkpoint: recordings.Checkpoint, player: Player) -> _Check:
    def differences(
        workers: Sequence[pb.Worker], operations: Sequence[pb.Operation], scheduler: pb.Scheduler, just_begun: bool
    ) -> list[str]:
        counts = scheduler.counts
        return truth.differences(checkpoint, workers, operations, counts, played=player.played, just_begun=just_begun)

    return _Check(f"{checkpoint.at}", checkpoint.at, checkpoint.until, differences)


async def _differences(check: _Check, running: Gateway, player: Player) -> list[str]:
    just_begun = player.now < check.at + _TICK_S
    return check.differences(*await running.answers(), just_begun)


async def _agreed(check: _Check, running: Gateway, player: Player) -> list[str]:
    """What differs when it is asked a moment after the begin, for as long as that takes, and again a moment before the end."""
    await player.until(min(check.at + _SETTLE_S, check.until))
    patience = asyncio.get_running_loop().time() + _PATIENCE_S
    while found := await _differences(check, running, player):
        if asyncio.get_running_loop().time() > patience:
            return found
        await asyncio.sleep(_AGAIN_S)
    if player.now < check.until - _ASKING_S:
        await player.until(check.until - _ASKING_S)
        found = await _differences(check, running, player)
        if player.now < check.until:
            return found
    return []


async def _checked(checks: Sequence[_Check], running: Gateway, player: Player) -> tuple[list[str], bool]:
    """What differs at the first check that fails, and whether the recording's clock had stood still before it."""
    for check in checks:
        player.stop_at(check.until)
        await player.until(check.at)
        has_stood = player.stood_s > _STOOD_S
        if found := await _agreed(check, running, player):
            player.stop_at(math.inf)
            return [f"{check.label}: {line}" for line in found], has_stood
    player.stop_at(math.inf)
    return [], player.stood_s > _STOOD_S


async def _played_once(name: str, state_dir: Path, processes: int, all_are_up: asyncio.Barrier | None) -> tuple[list[str], bool]:
    """What differs, and whether that may be since the recording's clock stood still."""
    upstreams = {"execution": Upstream(), "workers": Upstream()}
    async with gateway(name, state_dir, upstreams, processes=processes) as running:
        player = Player(recordings.load(name), running.taps, upstreams)
        if all_are_up is not None:
            # What is played meanwhile would be late.
            await all_are_up.wait()
        async with asyncio.TaskGroup() as tasks:
            checked = tasks.create_task(_checked(_checks(name, player), running, player), name=f"checks {name}")
            tasks.create_task(player.play(), name=f"plays {name}")
        found, has_stood = checked.result()
        _, _, scheduler = await running.answers()
        anomalies = [f"anomaly {anomaly.kind}: {anomaly.text}" for anomaly in scheduler.recent_anomalies]
        blind = [f"blind connections at {tap.name}" for tap in scheduler.taps if tap.blind_connections]
        return [*found, *player.problems, *anomalies, *blind], has_stood and not player.problems


async def _played(name: str, folder: Path, processes: int, all_are_up: asyncio.Barrier) -> list[str]:
    found: list[str] = []
    for play in range(_PLAYS):
        state_dir = folder / f"{name}-{play}"
        state_dir.mkdir(mode=0o700)
        found, has_stood = await _played_once(name, state_dir, processes, None if play else all_are_up)
        if not found or not has_stood:
            break
    return [f"{name} {line}" for line in found]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_all_recordings_played_from_both_ends_agree_with_the_scheduler(
    processes: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All at once, since a recording takes its own time: what differs is listed for all of them."""
    folder = tmp_path_factory.mktemp("live")  # names of unix sockets have to be short

    async def play_all() -> list[str]:
        all_are_up = asyncio.Barrier(len(recordings.ALL))
        async with asyncio.TaskGroup() as tasks:
            played = [tasks.create_task(_played(name, folder, processes, all_are_up), name=name) for name in recordings.ALL]
        return [line for task in played for line in task.result()]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(play_all())
    if found:
        pytest.fail("\n".join(found))

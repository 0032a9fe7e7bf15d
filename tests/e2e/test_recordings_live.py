"""Every recording, through the real tap over real sockets and the introspection service, against the scheduler's own state."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import uvloop

from tests.e2e import legacy, recordings, truth
from tests.e2e.gateway import Gateway, gateway
from tests.e2e.player import Player, Upstream

#: How long what was forwarded may take to be seen in the model.
_SETTLE_S = 0.1
#: How long asking may take.
_ASKING_S = 0.05
#: Time goes on in the model at least this often.
_TICK_S = 1.0


async def _checked(name: str, running: Gateway, player: Player) -> list[str]:
    """Asks at each checkpoint, a moment after it began and a moment before it ends."""
    await player.until(0)
    shifted = player.unix_began - recordings.load(name).began
    found: list[str] = []
    if name == "legacy":
        for moment in legacy.moments():
            is_quiet = recordings.load(name).is_quiet(moment.at, moment.at + _SETTLE_S + _ASKING_S)
            await player.until(moment.at + (_SETTLE_S if is_quiet else 0.0))
            workers, operations, _ = await running.answers()
            found += [
                f"{name} {moment.label}: {line}" for line in legacy.differences(moment, workers, operations, shifted_s=shifted)
            ]
        return found
    for checkpoint in recordings.truth(name):
        begun = checkpoint.at + _SETTLE_S
        for at in (at for at in (begun, checkpoint.until - _ASKING_S) if begun <= at <= checkpoint.until - _ASKING_S):
            await player.until(at)
            workers, operations, scheduler = await running.answers()
            just_begun = at < checkpoint.at + _TICK_S
            lines = truth.differences(checkpoint, workers, operations, scheduler.counts, shifted_s=shifted, just_begun=just_begun)
            found += [f"{name} {at}: {line}" for line in lines]
    return found


async def _played(name: str, state_dir: Path, processes: int) -> list[str]:
    upstreams = {"execution": Upstream(), "workers": Upstream()}
    async with gateway(name, state_dir, upstreams, processes=processes) as running:
        player = Player(recordings.load(name), running.taps, upstreams)
        async with asyncio.TaskGroup() as tasks:
            checked = tasks.create_task(_checked(name, running, player), name=f"checks {name}")
            tasks.create_task(player.play(), name=f"plays {name}")
        _, _, scheduler = await running.answers()
        anomalies = [f"{name}: anomaly {anomaly.kind}: {anomaly.text}" for anomaly in scheduler.recent_anomalies]
        blind = [f"{name}: blind connections at {tap.name}" for tap in scheduler.taps if tap.blind_connections]
        return [*checked.result(), *player.problems, *anomalies, *blind]


@pytest.mark.parametrize("processes", [1, pytest.param(2, marks=pytest.mark.long)])
def test_all_recordings_played_from_both_ends_agree_with_the_scheduler(processes: int, tmp_path: Path) -> None:
    """All at once, since a recording takes its own time: what differs is listed for all of them."""

    async def play_all() -> list[str]:
        async with asyncio.TaskGroup() as tasks:
            played = []
            for name in recordings.ALL:
                (tmp_path / name).mkdir(mode=0o700)
                played.append(tasks.create_task(_played(name, tmp_path / name, processes), name=name))
        return [line for task in played for line in task.result()]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(play_all())
    if found:
        pytest.fail("\n".join(found))

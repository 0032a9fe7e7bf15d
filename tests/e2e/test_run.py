"""The whole gateway as one command, a recording played through it, and the documented routes against the scheduler's own state."""

from __future__ import annotations

import asyncio
import json
import math
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from tests.command import PATIENCE_S, Settings, command
from tests.e2e import recordings
from tests.e2e.player import Player, Upstream
from tests.e2e.recordings import PROPERTY_TYPES, Checkpoint

_SETTLE_S = 0.2


def _settings(directory: Path, upstreams: Mapping[str, Upstream]) -> Settings:
    settings = Settings(directory)
    document = json.loads(settings.file.read_text())
    types = {name: kind.value for name, kind in PROPERTY_TYPES.items()}
    document["gateway"]["scheduler"] = {"supported_platform_properties": types}
    for tap in document["gateway"]["taps"]:
        tap["upstream"] = f"127.0.0.1:{upstreams[tap['name']].port}"
    settings.file.write_text(json.dumps(document))
    return settings


async def _get(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as answer:
        assert answer.status == 200
        return await answer.json()


async def _healthy(session: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                assert (await _get(session, "/api/v1/system/health"))["status"] == "healthy"
            except (AssertionError, aiohttp.ClientError):
                await asyncio.sleep(0.1)
            else:
                return


async def _agrees(session: aiohttp.ClientSession, checkpoint: Checkpoint) -> None:
    workers = await _get(session, "/api/v1/workers")
    expected = sorted(checkpoint.workers, key=lambda worker: worker["id"])
    shown = sorted(workers, key=lambda worker: worker["id"])
    for name in ("id", "is_paused", "is_draining", "can_accept_work", "running_operations", "actions_completed"):
        assert [worker[name] for worker in shown] == [worker[name] for worker in expected]

    operations = await _get(session, "/api/v1/operations")
    key = ("stage", "action_digest", "priority", "is_finished")
    really = [{**operation, "is_finished": operation["stage"] == "Completed"} for operation in checkpoint.operations]
    assert Counter(tuple(each[name] for name in key) for each in operations) == Counter(
        tuple(each[name] for name in key) for each in really
    )
    stages = Counter(each["stage"] for each in really)
    for stage in ("queued", "executing", "completed"):
        filtered = await _get(session, f"/api/v1/operations?stage={stage}")
        assert filtered == [each for each in operations if each["stage"].lower() == stage]
        assert len(filtered) == stages[stage.capitalize()]
    for worker in checkpoint.workers:
        of_worker = await _get(session, f"/api/v1/operations?worker_id={worker['id']}&stage=executing")
        assert [each["operation_id"] for each in of_worker] == worker["running_operations"]
    for each in operations:
        assert await _get(session, f"/api/v1/operations/{each['operation_id']}") == each
        assert await _get(session, f"/api/v1/operations/{each['client_operation_id']}") == each

    status = await _get(session, "/api/v1/scheduler/status")
    accepting = sum(worker["can_accept_work"] for worker in checkpoint.workers)
    counted = (
        "total_workers",
        "active_workers",
        "total_operations",
        "queued_operations",
        "executing_operations",
        "completed_operations",
    )
    assert [status[name] for name in counted] == [
        len(checkpoint.workers),
        accepting,
        len(really),
        stages["Queued"],
        stages["Executing"],
        stages["Completed"],
    ]


async def _agrees_soon(session: aiohttp.ClientSession, checkpoint: Checkpoint) -> None:
    """What was played may still be on its way."""
    patience = asyncio.get_running_loop().time() + PATIENCE_S
    while True:
        try:
            await _agrees(session, checkpoint)
        except AssertionError:
            if asyncio.get_running_loop().time() > patience:
                raise
            await asyncio.sleep(0.05)
        else:
            return


async def test_a_recording_is_answered_over_http_as_the_scheduler_knew_it(tmp_path: Path) -> None:
    upstreams = {"execution": Upstream(), "workers": Upstream()}
    settings = _settings(tmp_path, upstreams)
    taps = {"execution": ("127.0.0.1", settings.execution), "workers": ("127.0.0.1", settings.workers)}
    async with (
        command("run", "--config", str(settings.file)) as gateway,
        aiohttp.ClientSession(f"http://127.0.0.1:{settings.http}") as session,
    ):
        await _healthy(session)
        player = Player(recordings.load("queue"), taps, upstreams)
        playing = asyncio.create_task(player.play(), name="play")
        for checkpoint in recordings.truth("queue"):
            if checkpoint.until - checkpoint.at > 2 * _SETTLE_S:
                player.stop_at(checkpoint.until)
                await player.until(checkpoint.at + _SETTLE_S)
                await _agrees_soon(session, checkpoint)
        player.stop_at(math.inf)
        await playing
        assert player.problems == []
        gateway.send(signal.SIGTERM)
        assert await gateway.ended() == 0

"""A load that was recorded in no time, replayed: introspection shows what the simulated scheduler itself knows at the end of it."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import grpc.aio
import pytest
import uvloop

from gateway.observe import replaying
from gateway.observe.recording.files import recordings
from gateway.observe.recording.replay import Replay
from gateway.pb import introspection_pb2 as pb
from gateway.pb.introspection_pb2_grpc import IntrospectionStub
from gateway.simulation.load import Load
from gateway.simulation.quick.timelapse import TimeLapse
from gateway.simulation.truth import truth_of
from gateway.tap.recording import is_recording
from tests.e2e import truth
from tests.e2e.gateway import configuration
from tests.e2e.simulated import checkpoint

_PATIENCE_S = 90


async def _replayed(load: Load, folder: Path) -> tuple[list[str], Counter[str]]:
    """What introspection says otherwise than the scheduler, and how many operations there were in which stage."""
    file = folder / "recording"
    with file.open("wb") as opened:
        lapse = TimeLapse(load, opened.write)
        lapse.play()
    assert is_recording(file)
    config = configuration("timelapse", folder, {"execution": 1, "workers": 2})
    replay = Replay(recordings(file, "--replay"), 0.0)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as roles:
        roles.create_task(replaying.run(config, replay, stop), name="observe")
        async with (
            asyncio.timeout(_PATIENCE_S),
            grpc.aio.insecure_channel(f"unix:{config.introspection_socket}") as channel,
        ):
            stub = IntrospectionStub(channel)
            await channel.channel_ready()
            while not replay.is_over:  # noqa: ASYNC110 - what is waited for is another role's state
                await asyncio.sleep(0.05)
            workers = await stub.ListWorkers(pb.ListWorkersRequest(view=pb.FULL))
            operations = await stub.ListOperations(pb.ListOperationsRequest(view=pb.FULL))
            scheduler = await stub.GetScheduler(pb.GetSchedulerRequest())
        stop.set()
    known = checkpoint(truth_of(lapse.scheduler))
    found = truth.differences(known, workers.workers, operations.operations, scheduler.counts)
    found += [f"anomaly {anomaly.kind}: {anomaly.text}" for anomaly in scheduler.recent_anomalies]
    return found, Counter(operation["stage"] for operation in known.operations)


@pytest.mark.parametrize(
    "load",
    [Load(workers=30, operations=400, rate=200, seed=1), Load(workers=12, operations=300, rate=20, seed=2)],
    ids=["more than the workers can do", "a day like any other"],
)
def test_what_was_recorded_in_no_time_plays_to_what_the_scheduler_knows(load: Load, tmp_path: Path) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found, stages = runner.run(_replayed(load, tmp_path))
    assert found == []
    assert stages.keys() >= {"Executing", "Completed"}

"""Each scenario, played on the simulation, says what NativeLink said when it was recorded."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.simulation.nativelink import Simulation
from gateway.simulation.scenarios import SCENARIOS, play
from gateway.simulation.scheduler import Scheduler
from gateway.simulation.truth import truth_of
from tests.simulation.recorder import Recorder
from tests.simulation.shapes import Told, tell
from tests.simulation.wire import decode, read_recording

RECORDINGS = Path(__file__).parents[1] / "recordings"

SCALE = 0.1

#: Execute streams (counted from 0) on which the recorded client was too slow for an update that the simulation sends: NativeLink's
#: watch channel had gone on.
OVERTAKEN = {("failures", 0), ("failures", 4), ("scheduler_restart", 1)}


#: The scheduler's states of the scenario whose task this is.
_STATES: ContextVar[list[object]] = ContextVar("states")


@dataclass
class Played:
    streams: list[Told]
    #: States one after another, as `_state` gives them.
    states: list[object]


async def _play_all() -> dict[str, Played]:
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_play(name), name=name) for name in SCENARIOS}
    return {name: task.result() for name, task in tasks.items()}


async def _play(name: str) -> Played:
    _STATES.set([])
    async with Simulation(SCENARIOS[name].settings.scaled(SCALE)) as simulation:
        upstreams = {"execution": simulation.execution_address, "workers": simulation.worker_address}
        async with Recorder(upstreams) as recorder:
            via = recorder.via
            await play(name, simulation, execution_via=via["execution"], workers_via=via["workers"], scale=SCALE)
        return Played(tell(decode(recorder.lines)), _STATES.get())


def _observed(method: Callable[..., None], *, is_born: bool) -> Callable[..., None]:
    """The scheduler's method, with its state before (if it has one) and afterwards: every change is followed by one of those."""

    def call(scheduler: Scheduler, *args: object) -> None:
        states = _STATES.get()
        if is_born:
            states.append(_state(truth_of(scheduler)))
        method(scheduler, *args)
        states.append(_state(truth_of(scheduler)))

    return call


@pytest.fixture(scope="module")
def simulated() -> Iterator[dict[str, Played]]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("__init__", "match", "sweep", "disconnect_all"):
            patch.setattr(Scheduler, name, _observed(getattr(Scheduler, name), is_born=name != "__init__"))
        yield asyncio.run(_play_all())


def _without_cpus(state: Any) -> object:
    """`scheduler_restart` is played with other numbers of CPUs, see there."""
    workers, operations = state
    for _, worker, _ in workers:
        del worker["props_remaining"]
    for operation in operations:
        del operation["platform_properties"]
    return workers, operations


def _state(truth: Any) -> object:
    """What of a truth does not depend on ids, times and digests."""
    workers = [
        (
            worker["id"][:-36],
            {key: value for key, value in worker.items() if key in _OF_WORKERS},
            len(worker["running_operations"]),
        )
        for worker in truth["workers"]
    ]
    operations = [{key: value for key, value in operation.items() if key in _OF_OPERATIONS} for operation in truth["operations"]]
    return sorted(workers, key=str), sorted(operations, key=str)


_OF_WORKERS = {"props_remaining", "is_paused", "is_draining", "can_accept_work", "max_inflight_tasks", "actions_completed"}
_OF_OPERATIONS = {"stage", "priority", "timeout", "platform_properties", "cacheable"}


def _recorded(name: str) -> list[Told]:
    return tell(decode(read_recording(RECORDINGS / f"{name}.jsonl.gz")))


def _by_title(told: list[Told]) -> dict[str, list[tuple[str, ...]]]:
    grouped: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for stream in told:
        earlier = grouped[stream.title]
        # A refused worker comes back for ever; the end of the scene may cut off its last attempt before it is refused.
        if not (earlier and "3 with message" in earlier[0][-1]):
            earlier.append(stream.words)
    return dict(grouped)


def _is_subsequence(part: Iterable[object], whole: Iterable[object]) -> bool:
    rest = iter(whole)
    return all(word in rest for word in part)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_streams_are_opened(name: str, simulated: dict[str, Played]) -> None:
    recorded = {title: len(streams) for title, streams in _by_title(_recorded(name)).items()}
    assert {title: len(streams) for title, streams in _by_title(simulated[name].streams).items()} == recorded


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_stream_carries_the_same_messages_with_the_same_fields_in_the_same_order(
    name: str, simulated: dict[str, Played]
) -> None:
    ours = _by_title(simulated[name].streams)
    for title, streams in _by_title(_recorded(name)).items():
        for number, (recorded, played) in enumerate(zip(streams, ours[title], strict=True)):
            if title == "Execute" and (name, number) in OVERTAKEN:
                assert recorded != played
                assert _is_subsequence(recorded, played)
            else:
                assert played == recorded, f"{title} {number}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scheduler_goes_through_the_recorded_states(name: str, simulated: dict[str, Played]) -> None:
    recorded = [_state(truth) for truth in json.loads((RECORDINGS / f"{name}.truth.json").read_text())]
    distinct = [state for number, state in enumerate(recorded) if number == 0 or state != recorded[number - 1]]
    assert distinct
    ours = simulated[name].states
    if name == "scheduler_restart":
        ours, distinct = [_without_cpus(state) for state in ours], [_without_cpus(state) for state in distinct]
    rest = iter(ours)
    for state in distinct:
        assert state in rest, f"after {distinct.index(state)} of {len(distinct)} states"

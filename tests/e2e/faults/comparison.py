"""Whether observers show what the scheduler knows, and what an undisturbed one shows: a farm that holds still in, sentences out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.simulation import Simulation, Truth
from tests.command import PATIENCE_S
from tests.e2e import truth
from tests.e2e.faults.observers import Answers, Observer
from tests.e2e.simulated import checkpoint

#: The scheduler held still if it says the same this much later.
_STILL_S = 0.3
#: Of workers' last updates, which go on: a keep-alive may have come and not be shown yet, or be shown and come after the truth.
_KEEP_ALIVE_S = 5


async def differences(simulation: Simulation, observers: Mapping[str, Observer]) -> dict[str, list[str]]:
    """Of each observer, how it disagrees with the scheduler. All are waited for, as some may still be reading."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + PATIENCE_S
    while True:
        before = simulation.truth()
        await asyncio.sleep(_STILL_S)
        answers = dict(zip(observers, await asyncio.gather(*(each.answers() for each in observers.values())), strict=True))
        after = simulation.truth()
        is_still = _lasting(before) == _lasting(after)
        found = {
            name: _unlike(after, answer) if is_still else ["the scheduler does not hold still"] for name, answer in answers.items()
        }
        if not any(found.values()) or loop.time() > ends:
            return found


async def unlike(calm: Observer, observers: Mapping[str, Observer]) -> dict[str, list[str]]:
    """Of each observer, how it disagrees with the undisturbed one, in any field."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + PATIENCE_S
    while True:
        right, *others = await asyncio.gather(calm.answers(), *(each.answers() for each in observers.values()))
        found = {name: _other_than(right, other) for name, other in zip(observers, others, strict=True)}
        if not any(found.values()) or loop.time() > ends:
            return found


def _unlike(state: Truth, answers: Answers) -> list[str]:
    found = unlike_scheduler(state, answers)
    found += [f"anomaly {each.kind}: {each.text}" for each in answers.scheduler.recent_anomalies]
    found += answers.scheduler.health.reasons
    if answers.scheduler.records_missed:
        found.append(f"{answers.scheduler.records_missed} records missed")
    return found


def unlike_scheduler(state: Truth, answers: Answers) -> list[str]:
    """How answers disagree with what the scheduler knows, but for keep-alives on their way."""
    workers = []
    for worker in state["workers"]:
        told = worker.copy()
        shown = answers.workers.get(worker["id"])
        if shown is not None and abs(shown.last_update.seconds - worker["last_update_timestamp"]) <= _KEEP_ALIVE_S:
            told["last_update_timestamp"] = shown.last_update.seconds
        workers.append(told)
    really = checkpoint({"workers": workers, "operations": state["operations"]})
    return truth.differences(really, answers.workers.values(), answers.operations, answers.scheduler.counts)


def _other_than(right: Answers, other: Answers) -> list[str]:
    found = [
        f"worker {id_}" for id_ in right.workers.keys() | other.workers.keys() if right.workers.get(id_) != other.workers.get(id_)
    ]
    if right.operations != other.operations:
        rest = [each.operation_id for each in other.operations if each not in right.operations]
        found.append(f"{len(right.operations)} operations, {len(other.operations)} there, of which these differ: {rest[:5]}")
    if right.scheduler.counts != other.scheduler.counts or right.scheduler.up_since != other.scheduler.up_since:
        found.append("counts or up_since")
    return found


def _lasting(state: Truth) -> Truth:
    """Without what keep-alives change."""
    return {"workers": [{**worker, "last_update_timestamp": 0} for worker in state["workers"]], "operations": state["operations"]}

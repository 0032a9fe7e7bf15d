"""Where nothing lasts, the tap holds no more after a while than it did at first, and nothing in the end."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import uvloop

from tests.e2e.faults.soak import soak

#: From the first third to the last: connections come and go at random, allocators keep what they may need again.
_MORE_DESCRIPTORS = 15
_MORE_KIB = 10 * 1024


@pytest.mark.long
@pytest.mark.timeout(0)
def test_memory_and_descriptors_stay_flat(
    tmp_path: Path, long_budget_s: float, record_property: Callable[[str, object], None]
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(soak(tmp_path, long_budget_s, seed=7))
    memory, files = _thirds(outcome.resident_kib), _thirds(outcome.descriptors)
    happened = {name: getattr(outcome, name) for name in ("calls", "reconnects", "cancels", "pairs", "restarts", "kills")}
    record_property("soak", f"{happened}, resident KiB {memory}, descriptors {files}")
    assert outcome.problems == []
    assert all(happened[name] for name in ("calls", "reconnects", "cancels", "pairs", "restarts"))
    # Those of connections that happen to be there are as many as the machine is busy; what leaks is there always.
    assert _least(outcome.descriptors) <= _MORE_DESCRIPTORS + (outcome.reconnects + outcome.cancels) // 10
    assert memory[-1] <= memory[0] + _MORE_KIB
    assert outcome.after <= outcome.before
    assert sum("starting it again" in line for line in outcome.log) == outcome.kills


def _least(samples: Sequence[int]) -> int:
    """By how much the least of the last third is more than that of the first."""
    third = max(1, len(samples) // 3)
    return min(samples[-third:]) - min(samples[:third])


def _thirds(samples: Sequence[int]) -> list[float]:
    """Medians of the first and of the last third."""
    third = max(1, len(samples) // 3)
    return [statistics.median(samples[:third]), statistics.median(samples[-third:])]

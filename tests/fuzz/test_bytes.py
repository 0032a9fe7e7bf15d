"""Mutated bytes of real peers against everything that reads bytes: nothing raises but what says that it may, nothing is kept.

Each target reads some thousand inputs by default. The tests marked `long` go on for `--long-budget` seconds each, a tenth of them
guided: what takes a new way through the code is mutated further. They say how many inputs that were. A failing input is named by
its seed, or shown where it came of others.
"""

from __future__ import annotations

import logging
import random
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fuzz import record_targets, state_targets, wire_targets
from tests.fuzz.guide import Step, steps_of
from tests.fuzz.target import Target

TARGETS = (*wire_targets.TARGETS, *record_targets.TARGETS, *state_targets.TARGETS)
#: Of inputs and of time, the part that is guided: an input costs some twenty times as much then.
_GUIDED_PART = 10
#: Beyond what the process has: whoever believes a length in damaged bytes gets no memory for it.
_MEMORY_BYTES = 2 * 1024**3

_each = pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)


@pytest.fixture(autouse=True)
def _in_small_memory() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + _MEMORY_BYTES, before[1]))
    # A line for each connection that is not read, for each checkpoint that is not used.
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)
    resource.setrlimit(resource.RLIMIT_AS, before)


class _Fuzzing:
    """Inputs of one target, one after the other."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._pool = list(target.corpus())
        self._steps: set[Step] = set()
        self.inputs = 0
        #: Inputs that took new ways, and are mutated further.
        self.kept = 0
        for each in self._pool:
            self._read(each, 0, target.read)

    def plain(self, seed: int) -> None:
        """Mutates something and reads it."""
        self._read(self._changed(seed), seed, self._target.read)
        self.inputs += 1

    def guided(self, seed: int) -> None:
        """The same, and keeps it if it takes a new way through the code."""
        found: set[Step] = set()

        def traced(chance: random.Random, given: Any) -> None:
            found.update(steps_of(lambda: self._target.read(chance, given), self._target.guided_by))

        given = self._changed(seed)
        self._read(given, seed, traced)
        self.inputs += 1
        if not found <= self._steps:
            self._steps |= found
            self._pool.append(given)
            self.kept += 1

    def _changed(self, seed: int) -> Any:
        chance = random.Random(seed)
        return self._target.change(chance, chance.choice(self._pool), self._pool)

    def _read(self, given: Any, seed: int, read: Callable[[random.Random, Any], None]) -> None:
        try:
            read(random.Random(seed), given)
        except Exception as error:
            error.add_note(f"{self._target.name}, seed {seed}: {str(given)[:20_000]}")
            raise


@_each
def test_mutated_bytes_are_read_or_refused(target: Target) -> None:
    fuzzing = _Fuzzing(target)
    for seed in range(target.inputs):
        fuzzing.plain(seed)


@_each
def test_what_takes_new_ways_is_mutated_further(target: Target) -> None:
    fuzzing = _Fuzzing(target)
    for seed in range(target.inputs // 100):
        fuzzing.guided(seed)
    assert fuzzing.kept


@pytest.mark.long
@pytest.mark.timeout(0)
@_each
def test_many_mutated_bytes_are_read_or_refused(
    target: Target, long_budget_s: float, record_property: Callable[[str, object], None]
) -> None:
    fuzzing = _Fuzzing(target)
    seed = target.inputs
    began = time.monotonic()
    while (spent := time.monotonic() - began) < long_budget_s:
        # In turns, so that what was kept has its time.
        take = fuzzing.guided if int(spent * 10) % _GUIDED_PART == 0 else fuzzing.plain
        take(seed)
        seed += 1
    record_property("inputs", f"{target.name}: {fuzzing.inputs} inputs, of which {fuzzing.kept} took new ways")

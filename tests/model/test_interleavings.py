"""Whatever the order of different connections' messages: the same counts, worker states and proven pairs, and the true ones."""

import itertools
import random
import time

import pytest

from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings
from tests.model.reference import MAX_RETRIES, Reference, interleaved, proven_pairs, quiet

SETTINGS = ModelSettings(max_job_retries=MAX_RETRIES, client_action_timeout_s=1_000_000, completed_s=1_000_000)


def play(seed: int, steps: int) -> None:
    reference, how = Reference(seed), random.Random(seed)
    models = [SchedulerModel(SETTINGS) for _ in range(3)]
    for _ in range(steps):
        seen_before = len(reference.seen)
        reference.step()
        seen = reference.seen[seen_before:]
        orders = [[event for _, event in seen], interleaved(seen, how), interleaved(seen, how)]
        reference.now = quiet(reference.now)
        for model, order in zip(models, orders, strict=True):
            for event in order:
                model.apply(event)
                model.validate()
            model.advance(reference.now)
            model.validate()
            assert reference.differences(model) == []
        assert models[0].counts() == models[1].counts() == models[2].counts()
        assert proven_pairs(models[0]) == proven_pairs(models[1]) == proven_pairs(models[2])


@pytest.mark.parametrize("seed", [*range(100), 17290])
def test_any_interleaving_ends_in_the_truth(seed: int) -> None:
    play(seed, 12)


@pytest.mark.long
@pytest.mark.timeout(0)
def test_any_interleaving_of_many_ends_in_the_truth(long_budget_s: float) -> None:
    ends = time.monotonic() + long_budget_s
    for seed in itertools.count(100):
        play(seed, 12)
        if time.monotonic() > ends:
            break

from __future__ import annotations

import itertools
from collections import Counter

from gateway.simulation.fleet import matches, platform_of
from gateway.simulation.mix import JOB_KINDS, UNPLACEABLE, WORKER_KINDS, fleet, plan
from gateway.simulation.settings import RECORDED_PROPERTIES


def test_the_same_seed_plans_the_same_and_another_seed_something_else() -> None:
    def first(seed: int) -> list[object]:
        return list(itertools.islice(plan(rate=10, clients=3, seed=seed), 200))

    assert first(1) == first(1)
    assert first(1) != first(2)


def test_moments_rise_at_about_the_rate() -> None:
    planned = list(itertools.islice(plan(rate=100, clients=3, seed=1), 2000))
    assert [item.at_s for item in planned] == sorted(item.at_s for item in planned)
    assert 18 < planned[-1].at_s < 22


def test_every_kind_of_worker_is_there_in_proportion() -> None:
    counts = Counter(spec.prefix for spec in fleet(120))
    assert counts == {kind.prefix: kind.share * 10 for kind in WORKER_KINDS}
    assert {spec.prefix for spec in fleet(5)} == {kind.prefix for kind in WORKER_KINDS}


def test_every_kind_of_action_fits_a_kind_of_worker_and_the_unplaceable_one_fits_none() -> None:
    def fits(platform: tuple[tuple[str, str], ...]) -> bool:
        return any(matches(platform_of(platform), dict(kind.properties), RECORDED_PROPERTIES) for kind in WORKER_KINDS)

    assert all(fits(kind.platform) for kind in JOB_KINDS)
    assert not fits(UNPLACEABLE.platform)


def test_the_mix_has_failures_timeouts_errors_joins_priorities_and_many_builds() -> None:
    planned = list(itertools.islice(plan(rate=10, clients=4, seed=1), 3000))
    runs = [item.job.run for item in planned]
    assert any(run.exit_code == 1 for run in runs)
    assert any(run.status_code == 4 for run in runs)
    assert {run.internal_error_code for run in runs if run.internal_errors} == {8, 13}
    assert len({item.job.arguments for item in planned}) < len(planned)
    assert len({item.job.priority for item in planned}) == 3
    assert len({item.invocation.id for item in planned}) > 20
    assert {item.job.mnemonic for item in planned} == {kind.mnemonic for kind in JOB_KINDS}


def test_speed_divides_durations() -> None:
    slow, fast = (next(plan(rate=1, clients=1, seed=1, speed=speed)).job.run.duration_s for speed in (1, 10))
    assert fast * 10 == slow

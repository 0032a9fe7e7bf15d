from __future__ import annotations

import pytest

from gateway.simulation.clients import Job
from gateway.simulation.fleet import matches, platform_of
from gateway.simulation.operations import Stage
from gateway.simulation.settings import RECORDED_PROPERTIES
from tests.simulation.bench import Bench


@pytest.mark.parametrize(
    ("wants", "has", "fits"),
    [
        (("cpu_count", "4"), ("cpu_count", "4"), True),
        (("cpu_count", "5"), ("cpu_count", "4"), False),
        (("cpu_count", "10"), ("cpu_count", "9"), False),
        (("cpu_count", "1"), ("other", "4"), False),
        (("cpu_count", "few"), ("cpu_count", "4"), False),
        (("cpu_arch", "arm64"), ("cpu_arch", "arm64"), True),
        (("cpu_arch", "arm64"), ("cpu_arch", "x86_64"), False),
        (("cpu_arch", "arm64"), ("other", "arm64"), False),
        (("OSFamily", "Linux"), ("OSFamily", "Windows"), True),
        (("OSFamily", "Linux"), ("other", "Linux"), False),
        (("ignored", "anything"), ("other", "1"), True),
        (("unlisted", "1"), ("unlisted", "1"), True),
        (("unlisted", "1"), ("unlisted", "2"), False),
        (("unlisted", "1"), ("other", "2"), True),
    ],
)
def test_a_property_is_matched_by_its_type(wants: tuple[str, str], has: tuple[str, str], *, fits: bool) -> None:
    assert matches(platform_of([wants]), dict([has]), RECORDED_PROPERTIES) is fits


def test_minimum_properties_are_consumed_and_given_back() -> None:
    bench = Bench()
    worker = bench.worker(properties=(("cpu_count", "8"),), max_inflight_tasks=0)
    five, four = bench.run(Job(("5",), (("cpu_count", "5"),))), bench.run(Job(("4",), (("cpu_count", "4"),)))
    assert worker.remaining == {"cpu_count": 3}
    assert four.operation.stage == Stage.QUEUED
    bench.finish(worker, five.operation.id)
    assert four.operation.worker_id == worker.id
    assert worker.remaining == {"cpu_count": 4}


def test_the_worker_that_has_waited_longest_is_chosen_among_all_kinds() -> None:
    bench = Bench()
    small, large = bench.worker("small-", (("cpu_count", "1"),)), bench.worker("large-", (("cpu_count", "9"),))
    first = bench.run(Job(("1",), (("cpu_count", "1"),)))
    bench.finish(small, first.operation.id)
    second = bench.run(Job(("2",), (("cpu_count", "1"),)))
    assert [first.operation.worker_id, second.operation.worker_id] == [small.id, large.id]


def test_what_cannot_be_placed_does_not_hold_up_what_can() -> None:
    bench = Bench()
    stuck = bench.execute(Job(("stuck",), (("pool", "nowhere"),), priority=9))
    free = bench.execute(Job(("free",)))
    bench.worker()
    bench.scheduler.match()
    assert (stuck.operation.stage, free.operation.stage) == (Stage.QUEUED, Stage.EXECUTING)

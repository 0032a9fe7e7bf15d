from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.registry import Collector

from gateway.serve.metrics import families
from gateway.serve.metrics.scrape import Scrape
from tests.serve.metrics.scraped import of, parsed, samples


class Once(Collector):
    def __init__(self, scrape: Scrape) -> None:
        self.scrape = scrape

    def collect(self) -> Scrape:
        return self.scrape


def written(scrape: Scrape) -> bytes:
    registry = CollectorRegistry()
    registry.register(Once(scrape))
    return generate_latest(registry)


def test_every_family_is_there_with_and_without_samples() -> None:
    names = {family.name for family in parsed(written(Scrape()))}
    assert names == {each.name.removesuffix("_total") for each in families.FAMILIES}


def test_values_have_their_labels() -> None:
    scrape = Scrape()
    scrape.put(families.RESULTS, 3, "OK", "zero")
    scrape.put(families.QUEUE_AGE, 1.5)
    found = samples(written(scrape))
    assert found["nativelink_results_total", (("exit", "zero"), ("status", "OK"))] == 3
    assert found["nativelink_queue_oldest_age_seconds", ()] == 1.5


def test_a_histogram_adds_up() -> None:
    scrape = Scrape()
    scrape.distribute(families.QUEUE_DURATION, [0.5, 1], [2, 0, 3], 12.5)
    found = samples(written(scrape))
    assert of(found, "nativelink_queue_duration_seconds_bucket") == {"0.5": 2, "1.0": 2, "+Inf": 5}
    assert found["nativelink_queue_duration_seconds_count", ()] == 5
    assert found["nativelink_queue_duration_seconds_sum", ()] == 12.5


@pytest.mark.parametrize("labels", [(), ("OK",), ("OK", "zero", "more")])
def test_every_label_needs_its_value(labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="zip"):
        Scrape().put(families.RESULTS, 1, *labels)

"""A scrape: values by family come in, metrics of prometheus-client go out, every family of the table once and in its order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from gateway.serve.metrics.families import FAMILIES, Family, Kind

#: Name of the family, name of the sample, labels, value.
Sample = tuple[str, str, dict[str, str], float]
_FAMILIES = {family.name: family for family in FAMILIES}
_CLASSES: dict[Kind, type[GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily]] = {
    Kind.GAUGE: GaugeMetricFamily,
    Kind.COUNTER: CounterMetricFamily,
    Kind.HISTOGRAM: HistogramMetricFamily,
}


class Scrape:
    """All values of one moment."""

    def __init__(self) -> None:
        self._metrics: dict[Family, Metric] = {
            family: _CLASSES[family.kind](family.name, family.help, labels=family.labels) for family in FAMILIES
        }

    def put(self, family: Family, value: float, *labels: str) -> None:
        """A gauge or counter, with values for the family's labels."""
        metric = self._metrics[family]
        name = family.name
        metric.add_sample(name, dict(zip(family.labels, labels, strict=True)), value)

    def distribute(self, family: Family, bounds_s: Iterable[float], counts: Sequence[int], sum_s: float, *labels: str) -> None:
        """A histogram: counts without those of the bounds before, one more than bounds."""
        metric = self._metrics[family]
        named = dict(zip(family.labels, labels, strict=True))
        bounds = [*map(floatToGoString, bounds_s), "+Inf"]
        for bound, count in zip(bounds, accumulate(counts), strict=True):
            metric.add_sample(f"{family.name}_bucket", {**named, "le": bound}, count)
        metric.add_sample(f"{family.name}_count", named, sum(counts))
        metric.add_sample(f"{family.name}_sum", named, sum_s)

    def samples(self) -> list[Sample]:
        """All, for another scrape to take."""
        return [
            (family.name, each.name, each.labels, float(each.value))
            for family, metric in self._metrics.items()
            for each in metric.samples
        ]

    def take(self, samples: Iterable[Sample]) -> None:
        """Put in what another scrape has."""
        for family, name, labels, value in samples:
            self._metrics[_FAMILIES[family]].add_sample(name, labels, value)

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics.values())

"""Latencies: route, status and seconds of every answer come in, a histogram for each route and class of status goes out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

#: Upper bounds, seconds: from a kept body to a long list that is made anew on a busy machine.
BOUNDS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5)
#: Whatever is no route.
OTHER = "other"
CLASSES = ("2xx", "3xx", "4xx", "5xx")


class Latencies:
    """Since serve started. Routes are templates, so there is a stated number of histograms: (routes + 1) * len(CLASSES)."""

    def __init__(self, routes: Iterable[str]) -> None:
        #: (route, class of status) -> counts, each without those before, and the sum in seconds.
        self._histograms: dict[tuple[str, int], tuple[list[int], list[float]]] = {
            (route, status): ([0] * (len(BOUNDS_S) + 1), [0.0]) for route in (*routes, OTHER) for status in range(2, 6)
        }

    def observe(self, route: str, status: int, seconds: float) -> None:
        """An answer was made; a status outside of CLASSES is not counted."""
        histogram = self._histograms.get((route, status // 100))
        if histogram is not None:
            histogram[0][bisect_left(BOUNDS_S, seconds)] += 1
            histogram[1][0] += seconds

    def __iter__(self) -> Iterator[tuple[str, str, list[int], float]]:
        for (route, status), (counts, sums) in self._histograms.items():
            yield route, CLASSES[status - 2], counts, sums[0]

from __future__ import annotations

from gateway.serve.metrics.latencies import BOUNDS_S, CLASSES, OTHER, Latencies


def test_there_is_a_histogram_for_every_route_and_class_from_the_start() -> None:
    told = list(Latencies(["/a", "/b/{id}"]))
    assert {(route, code) for route, code, _, _ in told} == {
        (route, code) for route in ("/a", "/b/{id}", OTHER) for code in CLASSES
    }
    assert all((counts, sum_s) == ([0] * (len(BOUNDS_S) + 1), 0) for _, _, counts, sum_s in told)


def test_answers_are_counted_under_their_bound() -> None:
    latencies = Latencies(["/a"])
    for seconds in (0.0001, 0.001, 0.3, 2.6):
        latencies.observe("/a", 204, seconds)
    latencies.observe("/a", 404, 1)
    found = {(route, code): (counts, sum_s) for route, code, counts, sum_s in latencies}
    assert found["/a", "2xx"] == ([2, 0, 0, 0, 1, 0, 1], 2.9011)
    assert found["/a", "4xx"] == ([0, 0, 0, 0, 0, 1, 0], 1)


def test_what_has_no_histogram_is_not_counted() -> None:
    latencies = Latencies(["/a"])
    latencies.observe("/a", 101, 1)
    latencies.observe("/b", 200, 1)
    assert not any(any(counts) for _, _, counts, _ in latencies)

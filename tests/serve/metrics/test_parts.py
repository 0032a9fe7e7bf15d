from __future__ import annotations

from dataclasses import dataclass

from gateway.serve.metrics import families
from gateway.serve.metrics.parts import Part, merged
from gateway.serve.metrics.scrape import Scrape
from tests.serve.metrics.scraped import Samples, of, samples
from tests.serve.metrics.test_scrape import written


@dataclass
class Process:
    """What a part is made of."""

    name: str
    is_current: bool = True
    silence_s: float = 0.1
    epoch: str = "e"
    number: int = 5
    connections: int = 10
    tap_connections: int = 3

    def part(self) -> Part:
        state, own = Scrape(), Scrape()
        state.put(families.WORKER_CONNECTIONS, self.connections)
        state.put(families.TAP_CONNECTIONS, self.tap_connections, "execution")
        state.distribute(families.QUEUE_DURATION, [1.0], [2, 3], 4.5)
        own.put(families.EVENTS, 7, self.name)
        own.distribute(families.HTTP, [1.0], [2, 0], 0.5, "/livez", "2xx", self.name)
        return Part(self.name, self.is_current, self.silence_s, self.epoch, self.number, state.samples(), own.samples())


def found(*processes: Process, missing: tuple[str, ...] = ()) -> Samples:
    return samples(written(merged([each.part() for each in processes], missing)))


def connections(*processes: Process) -> float:
    """As they are told, whoever is asked."""
    (told,) = {of(found(*order), "nativelink_worker_connections_total")[""] for order in (processes, processes[::-1])}
    return told


def test_each_process_tells_of_itself_and_the_state_is_told_once() -> None:
    told = found(Process("serve-0"), Process("serve-1"), missing=("serve-2",))
    assert of(told, "nativelink_gateway_events_total") == {"": 7, "serve-1": 7}
    assert of(told, "nativelink_gateway_http_request_duration_seconds_count") == {"2xx /livez": 2, "2xx serve-1 /livez": 2}
    assert of(told, "nativelink_gateway_upstream_connected") == {"serve-2": 0}
    assert of(told, "nativelink_queue_duration_seconds_bucket") == {"1.0": 2, "+Inf": 5}
    assert of(told, "nativelink_worker_connections_total") == {"": 10}


def test_of_one_epoch_the_state_that_came_furthest_is_told() -> None:
    assert connections(Process("a", number=5, connections=10), Process("b", number=6, connections=12, silence_s=0.9)) == 12


def test_what_belongs_to_no_revision_is_told_apart_by_what_was_counted() -> None:
    later = Process("b", connections=11, silence_s=0.9, tap_connections=0)
    assert connections(Process("a", connections=10), later) == 11


def test_a_state_that_is_not_current_counts_only_where_there_is_no_other() -> None:
    away = Process("b", is_current=False, epoch="old", number=900, connections=99, silence_s=7)
    assert connections(Process("a"), away) == 10
    assert connections(Process("a", is_current=False, silence_s=8), away) == 99


def test_before_the_first_snapshot_there_is_no_state() -> None:
    part = Part("serve-0", is_current=False, silence_s=1.0, epoch="", number=0, state=[], own=[])
    assert not samples(written(merged([part], [])))

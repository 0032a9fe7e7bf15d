from __future__ import annotations

from gateway.config.types import TapLimits
from gateway.tap.journal import Journal
from tests.tap.reading import EXECUTION, WORKERS, parse


def test_a_run_begins_with_its_listeners_and_ties_its_clock_to_unix_time() -> None:
    raw: list[bytes] = []
    Journal("r", 10**18, 77, [EXECUTION, WORKERS], TapLimits(), raw.append)
    (record,) = [parse(each) for each in raw]
    assert (record.sequence, record.monotonic_ns) == (1, 77)
    started = record.run_started
    assert (started.run, started.unix_ns, started.monotonic_ns) == ("r", 10**18, 77)
    assert [each.name for each in started.listeners] == ["execution", "workers"]
    assert list(started.listeners[1].carries) == ["admin", "worker_api"]


def test_a_tick_counts_connections_by_listener() -> None:
    raw: list[bytes] = []
    journal = Journal("r", 0, 0, [EXECUTION, WORKERS], TapLimits(), raw.append)
    first, second = journal.connection(1, "execution", "p"), journal.connection(2, "workers", "p")
    first.opened(1)
    second.opened(2)
    second.refused(3, "no")
    second.closed(4, 3, reset=True)
    journal.tick(5)
    tick = parse(raw[-1]).tick
    assert [(each.name, each.connections, each.open_connections, each.upstream_refused) for each in tick.listeners] == [
        ("execution", 1, 1, 0),
        ("workers", 1, 0, 1),
    ]

"""A scrape of /metrics with a large state behind it against the same with a small one: the peer is the gateway itself.

    scripts/bench scrape [--scrapes N]

Large is 10,000 workers and 100,000 operations, small a hundredth of that. CPU time, in this process: of a scrape's bytes as
Prometheus asks for them, OpenMetrics and gzip; the longest that making them holds the loop; what observe spends on statistics for
each batch that it publishes, and for each change. Ends with 1 where a large scrape costs more than CEILING times a small one.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvloop

from gateway.config.types import Address, Config
from gateway.model import events
from gateway.model.changes import Change
from gateway.model.events import Stage
from gateway.model.identity import ActionKey, Digest, StreamId
from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings
from gateway.observe.introspection.accumulated import Accumulated
from gateway.observe.statistics import Statistics
from gateway.pb import introspection_pb2 as pb
from gateway.serve.authentication.refusal import Refusals
from gateway.serve.metrics.exposition import Exposition
from gateway.serve.metrics.latencies import Latencies
from gateway.serve.ongoing import Ongoing
from gateway.serve.overview import Overview
from gateway.serve.replica import Replica
from gateway.serve.rows import operation_row, worker_row
from gateway.serve.siblings import Siblings
from gateway.serve.upstream import Upstream
from tests.serve.builders import busy_operation, worker
from tests.serve.metrics.scraped import busy_scheduler

SIZES = {"small": (100, 1_000), "large": (10_000, 100_000)}
#: Nothing is walked, so that it should be 1; two cores and other people's load are in between.
CEILING = 1.5
_ACCEPT = "application/openmetrics-text;version=1.0.0"
#: Routes there are, or soon.
_ROUTES = [f"/api/v1/route-{number}" for number in range(12)]


@dataclass
class Cost:
    """Milliseconds."""

    scrape: float
    held: float
    publish: float
    change: float


class _Exposition(Exposition):
    """Makes every scrape anew."""

    async def make(self) -> None:
        self._kept.clear()
        await self.reply(_ACCEPT, "gzip")


def _observed(workers: int, operations: int) -> tuple[SchedulerModel, Statistics, float]:
    """A model in which most is queued, what was counted of it, and milliseconds for each change."""
    model = SchedulerModel(ModelSettings())
    counted = Statistics(model)
    spent = changed = 0

    def tell(event: events.Event) -> None:
        nonlocal spent, changed
        changes: list[Change] = model.apply(event)
        began = time.process_time_ns()
        counted.count(changes, model)
        spent += time.process_time_ns() - began
        changed += len(changes)

    for number in range(workers):
        stream = StreamId("run", number, 1)
        tell(events.WorkerConnected(number, f"w{number}", stream, (("cpu_count", "8"),), "w", 0, "peer", "agent"))
    for number in range(operations):
        stream = StreamId("run", workers + number, 1)
        key = ActionKey("", Digest("sha256", f"{number:064x}", 1), cacheable=True)
        tell(events.ExecuteRequested(workers + number, stream, key, 0, None, "peer", "agent"))
        tell(events.OperationUpdated(workers + number, stream, f"/c{number}", Stage.QUEUED, None, None))
    return model, counted, spent / changed / 1e6


def _followed(workers: int, operations: int, told: pb.Statistics) -> Upstream:
    config = Config(http=Address("127.0.0.1", 0), scheduler_name="S", taps=(), cas=None, state_dir=Path("/nonexistent"))
    upstream = Upstream(config)
    replica = upstream.replica = Replica("epoch", 1)
    replica.load(
        (worker_row(worker(number)) for number in range(workers)),
        (operation_row(busy_operation(workers + number)) for number in range(operations)),
    )
    replica.scheduler = busy_scheduler()
    replica.scheduler.statistics.CopyFrom(told)
    upstream.problem = None
    return upstream


async def _measure(workers: int, operations: int, scrapes: int) -> Cost:
    _, counted, change = _observed(workers, operations)
    made_by, publish, told = Accumulated(), [], b""
    for _ in range(scrapes):
        began = time.process_time_ns()
        told = made_by.encode(counted, sees_clients=True, sees_workers=True)
        publish.append((time.process_time_ns() - began) / 1e6)
    upstream = _followed(workers, operations, pb.Statistics.FromString(told))
    exposed = _Exposition(
        upstream, Overview(upstream), Latencies(_ROUTES), Refusals(), Ongoing(), Siblings([Path("serve-0.sock")], 0)
    )
    made = []
    held: list[float] = []
    watching = asyncio.create_task(_watch(held), name="watch")
    for _ in range(scrapes):
        await asyncio.sleep(0.001)
        began = time.process_time_ns()
        await exposed.make()
        made.append((time.process_time_ns() - began) / 1e6)
    watching.cancel()
    # Of each scrape the longest: as many as there were scrapes are far above what the loop does by itself.
    longest = sorted(held)[-scrapes:]
    return Cost(statistics.median(made), statistics.median(longest), statistics.median(publish), change)


async def _watch(held: list[float]) -> None:
    """CPU time between two turns: what others would have waited for this process."""
    while True:
        began = time.process_time_ns()
        await asyncio.sleep(0)
        held.append((time.process_time_ns() - began) / 1e6)


def _lines(costs: dict[str, Cost]) -> Iterator[str]:
    small, large = costs["small"], costs["large"]
    for name, text in (
        ("scrape", "a scrape"),
        ("held", "of it, the longest without a turn for others"),
        ("publish", "observe: statistics of a batch"),
        ("change", "observe: counting a change"),
    ):
        before, after = getattr(small, name), getattr(large, name)
        yield f"{text:45} {before:9.4f} ms {after:9.4f} ms {after / before:6.2f}"


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/bench scrape", description=__doc__)
    parser.add_argument("--scrapes", type=int, default=200)
    scrapes = parser.parse_args().scrapes
    costs = {name: uvloop.run(_measure(*size, scrapes)) for name, size in SIZES.items()}
    print(f"{'':45} {'small':>12} {'large':>12} {'ratio':>6}")
    for line in _lines(costs):
        print(line)
    return int(costs["large"].scrape > CEILING * costs["small"].scrape)


if __name__ == "__main__":
    sys.exit(main())

"""What checkpoints cost the observer: a forked copy that writes them against the observer writing them itself, and against none.

    scripts/bench checkpoint [--rounds N] [--seconds S] [--operations N] [--rate N]

The real observe role reads a scripted tap in another process that sends RATE actions a second, eight records each, while OPERATIONS
completed ones are retained. What counts is how long a record is under way from that tap's clock to the model: p99 and the longest.
A checkpoint is due every second, five times as often as by default. Then what one costs alone, and what it takes to start from one.
Ends with 1 where the median p99 with a copy misses its floor.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

# As `gateway.cli.roles` does, before grpc is imported.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "false"

import uvloop

from gateway.config.types import Address, Carries, Config, Observe, Retention, Tap
from gateway.observe import role
from gateway.observe.checkpoint import codec, file, writer
from gateway.observe.checkpoint.child import do_in_child
from gateway.observe.checkpoint.restore import restore
from gateway.observe.introspection.history import History
from gateway.observe.introspection.overview import Overview
from gateway.observe.introspection.state import PublishedState
from gateway.observe.links import LinkState
from gateway.observe.observer import Observer, model_settings

if TYPE_CHECKING:
    from gateway.pb import tap_pb2

#: Bar of issue 4, milliseconds.
FLOOR_P99_MS = 50.0
_MS = 1e6


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench checkpoint", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="0: only what one costs alone")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each kind in each round")
    parser.add_argument("--operations", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=1_000)
    chosen = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {"none": [], "copy": [], "itself": []}
    for number in range(chosen.rounds):
        names = list(found)
        for name in names if number % 2 == 0 else reversed(names):
            with tempfile.TemporaryDirectory(prefix="bench-checkpoint-") as directory:
                config = _config(Path(directory), chosen.operations, 0.0 if name == "none" else 1.0)
                with _feeding(config, chosen):
                    delays = uvloop.run(_observe(config, name, chosen))
            p99, longest = statistics.quantiles(delays, n=100)[98] / _MS, max(delays) / _MS
            found[name].append((p99, longest))
            print(f"round {number + 1}, written by {name:6}: p99 {p99:7.1f} ms, longest {longest:7.1f} ms, {len(delays)} batches")
    medians = {name: statistics.median(p99 for p99, _ in rounds) for name, rounds in found.items() if rounds}
    for name, p99 in medians.items():
        print(f"{name:6}: p99 {p99:6.1f} ms (median of rounds), {p99 / medians['none']:5.2f} of none")
    with tempfile.TemporaryDirectory(prefix="bench-checkpoint-") as directory:
        uvloop.run(_alone(Path(directory), chosen.operations))
    return int(medians.get("copy", 0.0) > FLOOR_P99_MS)


@contextmanager
def _feeding(config: Config, chosen: argparse.Namespace) -> Iterator[None]:
    """The scripted tap."""
    command = [sys.executable, "-m", "benchmarks.checkpoint_feed", str(config.record_sockets[0])]
    with subprocess.Popen([*command, str(chosen.operations), str(chosen.rate)]) as feeder:
        yield
        feeder.kill()


def _config(directory: Path, operations: int, interval_s: float) -> Config:
    tap = Tap("t", Address("127.0.0.1", 1), Address("127.0.0.1", 2), frozenset({Carries.EXECUTION, Carries.WORKER_API}))
    return Config(
        http=Address("127.0.0.1", 0),
        scheduler_name="MAIN_SCHEDULER",
        taps=(tap,),
        cas=None,
        state_dir=directory,
        retention=Retention(completed_s=86_400, completed_max=operations),
        observe=Observe(interval_s),
    )


async def _observe(config: Config, name: str, chosen: argparse.Namespace) -> list[int]:
    """Nanoseconds that the last record of each batch was under way, once all operations are there."""
    delays: list[int] = []
    began = float("inf")
    stop = asyncio.Event()
    receive = Observer.receive

    def timed(self: Observer, source: str, records: Iterable[tap_pb2.TapRecord]) -> None:
        nonlocal began
        batch = list(records)
        receive(self, source, batch)
        now = time.monotonic_ns()
        if batch[-1].sequence > 8 * chosen.operations:
            began = min(began, now)
            delays.append(now - batch[-1].monotonic_ns)
            if now - began > chosen.seconds * 1e9:
                stop.set()

    async def itself(work: Callable[[], None], within_s: float) -> str | None:
        del within_s
        work()
        return None

    setattr(Observer, "receive", timed)  # noqa: B010 - for this run
    setattr(writer, "do_in_child", itself if name == "itself" else do_in_child)  # noqa: B010 - as above
    try:
        await role.run(config, stop)
    finally:
        setattr(Observer, "receive", receive)  # noqa: B010 - as above
    return delays


async def _alone(directory: Path, operations: int) -> None:
    """One checkpoint of a state of that size, without anything else going on."""
    from benchmarks.checkpoint_feed import action, beginning  # noqa: PLC0415 - needs the environment above

    config = _config(directory, operations, 0.0)
    begun = restore(config, model_settings(config), ["tap-0"], 0)
    state = begun.state
    links = {"tap-0": LinkState(0.0, is_fresh=True, problem=None, run=None)}
    published = PublishedState(state.model, Overview(config, state.model, state.statistics, lambda: links, dict), begun.history)
    for record in beginning(0):
        for event in state.translators["tap-0"].translate(record):
            state.model.apply(event)
    for number in range(operations):
        for record in action(number, number * 1_000):
            for event in state.translators["tap-0"].translate(record):
                state.model.apply(event)
    published.publish()
    state.history = History("epoch")

    def write() -> None:
        file.write(directory, lambda target: codec.dump(state, target), written_at=time.time_ns(), continues=False)

    paused = []
    for _ in range(5):
        before = time.perf_counter()
        copying = asyncio.create_task(do_in_child(write, 600), name="copy")
        await asyncio.sleep(0)
        paused.append(time.perf_counter() - before)
        if (problem := await copying) is not None:
            print(f"the copy failed: {problem}")
    took = time.perf_counter() - before
    before = time.perf_counter()
    write()
    itself = time.perf_counter() - before
    size = (directory / file.NAME).stat().st_size
    before = time.perf_counter()
    loaded = restore(config, model_settings(config), ["tap-0"], time.time_ns()).state
    loading = time.perf_counter() - before
    before = time.perf_counter()
    PublishedState(
        loaded.model,
        Overview(config, loaded.model, loaded.statistics, lambda: links, dict),
        History("epoch"),
        is_published=True,
    )
    encoding = time.perf_counter() - before
    print(
        f"{operations} operations, {size / 1e6:.2f} MB: the observer stands still for {statistics.median(paused) * 1e3:.1f} ms "
        f"(longest {max(paused) * 1e3:.1f}), its copy needs {took * 1e3:.0f} ms; writing it itself takes {itself * 1e3:.0f} ms"
    )
    print(f"to start from it: loading and checking {loading * 1e3:.0f} ms, encoding all of it {encoding * 1e3:.0f} ms")


if __name__ == "__main__":
    sys.exit(main())

"""The parts of the reading benchmark that take the whole gateway, or a recording: memory, and how soon things are shown."""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks import tap_messages as messages
from benchmarks import tap_places as places
from benchmarks.http_peers import get
from benchmarks.processes import Process, cpu_s, resident_mb
from benchmarks.reading_places import PROCESSES, Serving
from benchmarks.verdicts import Verdicts, share

#: A recording at this rate has most stages in large numbers: more is asked for than all workers can do.
_RECORDED_RATE = 20_000
#: Of `visible`: connections, how long an action runs, every so many actions one is looked for, and how often.
_CLIENTS, _WORKERS, _RUNS_S, _EVERY, _PAUSE_S = 20, 100, 0.1, 97, 0.005
_SETTLED_S = 1.0


def size(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    """Memory of serve and observe, and stalls of observe while serve comes."""
    file = directory / "recording"
    load = [f"--workers={chosen.workers}", f"--operations={chosen.operations}", f"--rate={_RECORDED_RATE}"]
    began = time.monotonic()
    subprocess.run(["nativelink-gateway", "demo", f"--record={file}", *load], check=True, stdout=subprocess.DEVNULL)
    print(f"recorded in {time.monotonic() - began:.1f} s, {file.stat().st_size / 1e6:.1f} MB", flush=True)
    observe = Process(stack, PROCESSES, "observe", directory, file)
    serving = Serving(directory)
    stack.callback(serving.end)
    began = time.monotonic()
    observe.ask("over")
    print(f"replayed in {time.monotonic() - began:.1f} s", flush=True)
    serving.ready()
    print(_settled(serving), flush=True)
    held = {"serve": [resident_mb(serving.serve.pid)], "observe": [resident_mb(observe.pid)]}
    verdicts.values(held, "MB")
    verdicts.below("serve, MB", held["serve"], floor=300.0, aim=150.0)
    verdicts.below("observe, MB", held["observe"], floor=500.0, aim=250.0)
    observe.ask("watch")
    stalls = []
    for _ in range(min(chosen.rounds, 5)):
        observe.ask("longest_ms")
        other = Serving(directory)
        other.ready()
        stalls.append(observe.ask("longest_ms"))
        other.end()
    verdicts.below("observe, a snapshot is read, longest stall of all, ms", [max(stalls)], floor=50.0, aim=20.0)


def _settled(serving: Serving) -> dict[str, int]:
    """The status, once it stays as it is."""
    before: dict[str, int] = {}
    while True:
        now: dict[str, int] = json.loads(get(f"{serving.base}/api/v1/scheduler/status"))
        del now["uptime_seconds"]
        if now == before:
            return now
        before = now
        time.sleep(_SETTLED_S)


def visible(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    """How old an operation is when an answer has it; looking for it takes its part."""
    place = places.gateway(stack, directory)
    player = place.player()
    seconds = chosen.seconds * 10
    count = int(chosen.rate * seconds)
    player.ask("connect", _CLIENTS, _WORKERS, _RUNS_S)
    player.ask("record", 1, count)
    poll = Process(stack, PROCESSES, "poll", directory, place.http)
    player.ask("rest", 1.0)
    numbers = range(_EVERY, count + 1, _EVERY)
    before = {name: cpu_s(pid) for name, pid in place.pids.items()}
    player.begin("at_rate", chosen.rate, count)
    poll.begin("seen", [messages.CLIENT_ID.format(number) for number in numbers], _PAUSE_S)
    took = player.answer()
    seen = poll.answer()
    verdicts.values({name: [(cpu_s(pid) - before[name]) / took] for name, pid in place.pids.items()}, "cores")
    began = player.ask("began", list(numbers))
    delays = [(shown - asked) / 1e6 for shown, asked in zip(seen, began, strict=False) if shown] or [float("inf")]
    print(f"{count} actions in {took:.1f} s; {len(numbers)} were looked for, of {len(delays)} it was seen how they came")
    verdicts.below("visible, not shown", [len(numbers) - len(seen)], floor=0)
    verdicts.below("visible, p50, ms", [share(delays, 0.5)], floor=40.0)
    verdicts.below("visible, p99, ms", [share(delays, 0.99)], floor=100.0, aim=50.0)
    verdicts.below("visible, seconds it took / planned", [took / seconds], floor=1.05)

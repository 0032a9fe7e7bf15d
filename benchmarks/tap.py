"""The tap and the observer under load, against a direct connection, a splice that decodes nothing, and Envoy.

    scripts/bench tap [PART …] [--rounds N] [--calls N] [--seconds S] [--workers N] [--rate N] [--minute S]

latency  a sequential Execute between ends that speak gRPC by the library: direct, Envoy, Envoy with its tap filter, the splice,
         the tap of a whole running gateway
played   the same between played ends, which cost next to nothing: what the tap adds to a splice (no floor)
cost     CPU of tap and observer for an Execute with its worker's side (assignment, execute_complete, result), to the splice
bulk     messages of 256 KiB in both directions through the same port: direct, the splice, the tap
mixed    p99 of Execute while bulk runs through the same tap, to without
idle     workers that only keep alive: cores and memory of the tap
flood    1,000 actions a second for a minute; nothing dropped, and how old is what a subscriber of Watch hears

Peers are played from pre-recorded frames (`tap_messages`, `tap_clients`). Places are asked in turn, the order turned round from
round to round, and what counts are the ratios within a round. The gateway is `nativelink-gateway run` with all its roles and
`serve` subscribed; CPU is that of exactly these processes over exactly a round and the half second after it. `flood` measures
from the tap's reading of a request to its first appearance at a subscriber of Watch, everything between included (10 ms until it
is decoded, 20 ms of the feed, gRPC): more than record to model, never less. Ends with 1 where a median misses its floor.
"""
# peers in Python: requirements/bench.txt

from __future__ import annotations

import argparse
import resource
import statistics
import sys
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import tap_places as places
from benchmarks.parts import judged
from benchmarks.processes import Process, cpu_s, resident_mb
from benchmarks.tap_places import PROCESSES, Place
from benchmarks.verdicts import Verdicts, in_turn, share

#: An operation is known by its number; no two of a run have the same.
_WARM_CALLS = 200
#: The tap's and the observer's work for a round is over.
_SETTLE_S = 0.5
_BULK_IN_FLIGHT = 4
_KINDS: dict[str, Callable[..., Place]] = {"direct": places.direct, "splice": places.splice, "tap": places.gateway}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="scripts/bench tap", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000, help="of each place in each round")
    parser.add_argument("--seconds", type=float, default=2.0, help="of bulk, and of each look at idle workers times ten")
    parser.add_argument("--workers", type=int, default=10_000, help="idle ones")
    parser.add_argument("--rate", type=int, default=1_000, help="actions a second")
    parser.add_argument("--minute", type=float, default=60.0, help="seconds of flood")
    return judged(parser, PARTS)


class _Calls:
    """A client before a place, with calls to play."""

    def __init__(self, place: Place, workers: int = 0) -> None:
        self.place = place
        self.player: Process = place.player()
        self._next = 1
        self.player.ask("connect", 1, workers)
        self.play(_WARM_CALLS)

    def play(self, count: int) -> list[int]:
        """So many one after another: nanoseconds of each."""
        self.player.ask("record", self._next, count)
        self._next += count
        took: list[int] = self.player.ask("sequence", count)
        self.place.tidy()
        return took

    def cost(self, count: int) -> dict[str, float]:
        """Seconds of CPU of each process in between, for one of so many."""
        self.player.ask("record", self._next, count)
        self._next += count
        before = {name: cpu_s(pid) for name, pid in self.place.pids.items()}
        self.player.ask("sequence", count)
        self.player.ask("rest", _SETTLE_S)
        return {name: (cpu_s(pid) - before[name]) / count for name, pid in self.place.pids.items()}


class _GrpcCalls:
    """As `_Calls`, by the library."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._player = place.player()
        self._next = 1
        self.play(_WARM_CALLS)

    def play(self, count: int) -> list[int]:
        """So many one after another: nanoseconds of each."""
        took: list[int] = self._player.ask("by_grpc", self._next, count)
        self._next += count
        self._place.tidy()
        return took


def _latency(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    kinds: dict[str, Callable[..., Place]] = {**_KINDS, "envoy": places.envoy, "envoy with tap": partial(places.envoy, tapped=True)}
    clients = {name: _GrpcCalls(kind(stack, directory, upstream=places.GRPC)) for name, kind in kinds.items()}
    found = in_turn(list(clients), chosen.rounds, lambda name: statistics.median(clients[name].play(chosen.calls)) / 1e3)
    verdicts.values(found, "µs an Execute")
    verdicts.at_most("latency, tap / direct", found["tap"], found["direct"], floor=1.35, aim=1.10)
    verdicts.at_most("latency, tap / envoy with tap", found["tap"], found["envoy with tap"], floor=1.0)
    for name in ("splice", "envoy", "envoy with tap"):
        verdicts.at_most(f"latency, {name} / direct", found[name], found["direct"])
    verdicts.at_most("latency, tap / splice", found["tap"], found["splice"])


def _played(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    calls = {name: _Calls(kind(stack, directory)) for name, kind in _KINDS.items()}
    found = in_turn(list(calls), chosen.rounds, lambda name: statistics.median(calls[name].play(chosen.calls)) / 1e3)
    verdicts.values(found, "µs an Execute")
    verdicts.at_most("latency of played ends, tap / splice", found["tap"], found["splice"])
    verdicts.at_most("latency of played ends, tap / direct", found["tap"], found["direct"])


def _cost(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    calls = {
        "splice": _Calls(places.splice(stack, directory), workers=4),
        "gateway": _Calls(places.gateway(stack, directory), workers=4),
    }
    found: dict[str, list[float]] = {}

    def measure(name: str) -> float:
        for process, seconds in calls[name].cost(chosen.calls).items():
            found.setdefault(process, []).append(seconds * 1e6)
        return 0.0

    in_turn(list(calls), chosen.rounds, measure)
    verdicts.values(found, "µs of CPU an Execute")
    verdicts.at_most("CPU, tap / splice", found["tap"], found["splice"], floor=2.0, aim=1.4)
    verdicts.at_most("CPU, observer / splice", found["observe"], found["splice"], floor=2.0, aim=1.0)


def _bulk(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    ways = {name: kind(stack, directory) for name, kind in _KINDS.items()}

    def measure(name: str) -> float:
        with ExitStack() as once:
            player = Process(once, PROCESSES, "client", *ways[name].ports)
            player.ask("begin_bulk", _BULK_IN_FLIGHT)
            player.ask("rest", 0.2)
            answered: int = player.ask("rest", chosen.seconds)
            return answered * 2 * 256 / 1024 / float(chosen.seconds)

    found = in_turn(list(ways), chosen.rounds, measure)
    verdicts.values(found, "MiB/s, both directions together")
    verdicts.at_least("bulk, tap / splice", found["tap"], found["splice"], floor=0.85, aim=0.95)
    verdicts.at_least("bulk, tap / direct", found["tap"], found["direct"], floor=0.60, aim=0.75)


def _mixed(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    calls = {name: _Calls(kind(stack, directory)) for name, kind in (("splice", places.splice), ("tap", places.gateway))}

    def measure(name: str) -> float:
        place, _, bulk = name.partition(" ")
        with ExitStack() as once:
            if bulk:
                Process(once, PROCESSES, "client", *calls[place].place.ports).ask("begin_bulk", _BULK_IN_FLIGHT)
            return share(calls[place].play(chosen.calls), 0.99) / 1e6

    found = in_turn(["splice", "splice with bulk", "tap", "tap with bulk"], chosen.rounds, measure)
    verdicts.values(found, "ms, p99 of Execute")
    verdicts.at_most("p99 with bulk, tap / tap without", found["tap with bulk"], found["tap"], floor=3.0, aim=1.5)
    verdicts.at_most("p99 with bulk, splice / splice without", found["splice with bulk"], found["splice"])


def _idle(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    # The tap has two descriptors for each, and keeps some back.
    fit = (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 1_000) // 2
    count = min(chosen.workers, fit)
    if count < chosen.workers:
        print(f"only {count} workers: more would need more open files than this machine allows; all is told for {chosen.workers}")
    place = places.gateway(stack, directory)
    empty = resident_mb(place.pids["tap"])
    player = place.player()
    player.ask("connect", 0, count)
    scale = chosen.workers / count
    cores: dict[str, list[float]] = {name: [] for name in place.pids}
    seconds = chosen.seconds * 10
    for _ in range(3):
        before = {name: cpu_s(pid) for name, pid in place.pids.items()}
        player.ask("rest", seconds)
        for name, pid in place.pids.items():
            cores[name].append((cpu_s(pid) - before[name]) / seconds * scale)
    verdicts.values(cores, "cores")
    verdicts.below("idle workers, cores of the tap", cores["tap"], floor=0.5, aim=0.2)
    held = resident_mb(place.pids["tap"])
    verdicts.below("idle workers, MB of the tap", [empty + (held - empty) * scale], floor=400, aim=200)


def _flood(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    place = places.gateway(stack, directory)
    player, count = place.player(), int(chosen.rate * chosen.minute)
    player.ask("connect", 20, 100, 0.1)
    player.ask("record", 1, count)
    watch = Process(stack, PROCESSES, "watch", place.introspection)
    player.ask("rest", 2.0)
    watch.ask("seen")
    before = {name: cpu_s(pid) for name, pid in place.pids.items()}
    took = player.ask("at_rate", chosen.rate, count)
    cores = {name: [(cpu_s(pid) - before[name]) / took] for name, pid in place.pids.items()}
    player.ask("rest", 2.0)
    seen = watch.ask("seen")
    print(f"{count} actions in {took:.1f} s; seen {len(seen['delays'])}, completed {seen['completed']}")
    verdicts.values(cores, "cores")
    lost = abs(count - len(seen["delays"])) + abs(count - seen["completed"]) + seen["missed"] + seen["blind"] + seen["gaps"]
    verdicts.below("flood, dropped (operations, records, connections, gaps)", [lost], floor=0)
    delays = [delay * 1e3 for delay in seen["delays"]] or [float("inf")]
    print(f"request at the tap to a subscriber: median {statistics.median(delays):.1f} ms, longest {max(delays):.1f} ms")
    verdicts.below("flood, p99 from the tap to a subscriber, ms", [share(delays, 0.99)], floor=50)
    verdicts.below("flood, seconds it took / planned", [took / chosen.minute], floor=1.05)


PARTS = {"latency": _latency, "played": _played, "cost": _cost, "bulk": _bulk, "mixed": _mixed, "idle": _idle, "flood": _flood}

if __name__ == "__main__":
    sys.exit(main())

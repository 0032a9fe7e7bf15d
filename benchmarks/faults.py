"""How long calls take through the tap while something befalls those who read it or what they write to, against the same without.

    scripts/bench faults [--rounds N] [--seconds S] [--pause MS] [--only FAULT …]

One Execute after the other through an established connection, paced, timed at its client; both ends are the benchmark's own. In
each round every fault is measured for S seconds and its absence for as long right before or after it, in turn; what counts is,
round by round, the p99 with it to the p99 without it. Other people's load is in both; "nothing" to nothing shows how much of it is
left.
Ends with 1 where the median of a fault misses the floor.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from benchmarks.faults_gateway import Gateway

#: Of issue 4.
FLOOR = 1.5

_PATIENCE_S = 90.0

_Fault = Callable[[float], AbstractContextManager[None]]
#: p50 and p99 in microseconds, without and with the fault.
_Pair = tuple[tuple[float, float], tuple[float, float]]


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench faults", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each fault, and of its absence, in each round")
    parser.add_argument("--pause", type=float, default=2.0, metavar="MS", help="after each call")
    parser.add_argument("--only", nargs="+", metavar="FAULT", help="some of the faults")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-faults-")))
        serving = stack.enter_context(_peer("serve", "0"))
        gateway = Gateway(directory, int(_line(serving)))
        stack.callback(gateway.end)
        caller = stack.enter_context(_peer("call", str(gateway.port), str(arguments.pause / 1000)))
        if _line(caller) != "ready":
            raise SystemExit("the tap did not let the caller through")
        faults = _chosen(gateway, arguments.only)
        print(f"{arguments.rounds} rounds, {arguments.seconds:g} s of each; round trips of an Execute through the tap")
        _measured(caller, gateway.nothing, arguments.seconds)
        found: dict[str, list[_Pair]] = {name: [] for name in faults}
        for number in range(arguments.rounds):
            for name, fault in faults.items():
                found[name].append(_compare(gateway, caller, fault, arguments.seconds, is_first=number % 2 == 1))
    met = [_judge(name, pairs) for name, pairs in found.items()]
    return 0 if all(met) else 1


def _chosen(gateway: Gateway, only: list[str] | None) -> Mapping[str, _Fault]:
    """Name -> what is there while its body runs."""
    faults: dict[str, _Fault] = {
        "nothing": gateway.nothing,
        "observe-killed": gateway.observe_killed,
        "observe-stopped": gateway.observe_stopped,
        "observe-slow": gateway.observe_slow,
        "serve-killed": gateway.serve_killed,
        "disk-full": gateway.disk_full,
    }
    unknown = set(only or ()) - faults.keys()
    if unknown:
        raise SystemExit(f"--only: {', '.join(sorted(unknown))}: one of {', '.join(faults)}")
    return {name: fault for name, fault in faults.items() if only is None or name in only}


def _compare(gateway: Gateway, caller: subprocess.Popen[str], fault: _Fault, seconds: float, *, is_first: bool) -> _Pair:
    """Without it and with it, in that order or the other one."""
    found = {}
    for has_fault in (True, False) if is_first else (False, True):
        gateway.settle()
        found[has_fault] = _measured(caller, fault if has_fault else gateway.nothing, seconds)
    return found[False], found[True]


def _measured(caller: subprocess.Popen[str], fault: _Fault, seconds: float) -> tuple[float, float]:
    """p50 and p99 of a phase."""
    with fault(seconds):
        assert caller.stdin is not None
        caller.stdin.write(f"{seconds}\n")
        caller.stdin.flush()
        took = [int(each) for each in _line(caller).split()]
    if len(took) < 100:
        raise SystemExit(f"{len(took)} calls have no p99: let it take longer")
    cuts = statistics.quantiles(took, n=100)
    return cuts[49], cuts[98]


def _judge(name: str, pairs: list[_Pair]) -> bool:
    ratios = [with_it[1] / without[1] for without, with_it in pairs]
    halves = [with_it[0] / without[0] for without, with_it in pairs]
    median = statistics.median(ratios)
    without_us, with_us = (statistics.median(pair[which][1] for pair in pairs) for which in (0, 1))
    verdict = "no fault" if name == "nothing" else "met" if median <= FLOOR else "MISSED"
    print(
        f"{name:>16}: p99 {without_us:6.0f} us without, {with_us:6.0f} with; ratio of p99 median {median:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}), of p50 {statistics.median(halves):.2f}; floor {FLOOR:g}: {verdict}"
    )
    return median <= FLOOR or name == "nothing"


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit("an end of the benchmark is gone")
    return line.strip()


@contextmanager
def _peer(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.faults_peers", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(main())

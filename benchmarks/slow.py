"""500 slow clients, and what everybody else notices of them: throughput and p99 latency with them and without, also of nginx.

    scripts/bench slow [--clients N] [--rounds N] [--seconds S]

A third of them dribbles a request's head, a byte a second, and comes again when that is ended with 408; a third asks for a list of
1,000 operations and takes a byte of it a second; a third connects and says nothing, and comes again too (slow_clients.py).

`wrk -t1 -c32` asks for that list and for /scheduler/status, each of four servers in turn, the order turned round from round to
round: two serve roles that follow the same implementer, one with slow clients from before the first round to after the last, one
without; and likewise two nginx with the same bytes in files. So a head's limit of 10 s is reached all the time, as in a real siege,
what the machine does otherwise moves all of them alike, and what remains in the ratio is what slow connections do to a server.
nginx's own limit for a head is 60 s: its slow clients stay where they are, and it has the easier part.

Ends with 1

- at once, where wrk sees a socket error or an answer that is not 2xx: somebody was refused; or where slow clients were ended in
  another way than they should be, so that there were not that many;
- where throughput with slow clients, or requests in a second of the server's CPU (less noisy), is below 0.8 of that without. What
  they ask for by themselves, 170 bytes and some 30 connects a second, is printed: hundredths of a core, so that nearly 1 can be
  had; the rest is for the noise of two busy cores, which nginx's own ratios show. A server that walks through its connections for
  each request, or has a thread for each, is below;
- where p99 with them is above 2 times that without: nobody waits for slow clients, but those that are late are ended together in
  one turn of the loop. A server in which a slow client holds up others has p99 of that client's seconds: a hundred times as much.
"""
# peers: nginx wrk

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.http_peers import Nginx, get, wrk
from benchmarks.processes import Process, resident_mb, tree_cpu_s
from benchmarks.reading_places import Followed, Serving
from benchmarks.verdicts import Verdicts, in_turn

THROUGHPUT_FLOOR = 0.8
LATENCY_FLOOR = 2.0
_OPERATIONS = 1_000
_PATHS = {"list": "/api/v1/operations", "status": "/api/v1/scheduler/status"}
_ALONE_S = 2.0
#: How slow clients end: served, too late with a head, having said nothing, too late with taking.
_AS_THEY_SHOULD = {"200", "408", "closed", "cut"}


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="scripts/bench slow", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--clients", type=int, default=500, help="slow ones of each server that has some")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=1, help="of each server and address in each round")
    chosen = parser.parse_args()
    verdicts = Verdicts()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-slow-")))
        _measure(stack, directory, chosen, verdicts)
    return verdicts.told()


def _measure(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    calm = Followed(stack, directory / "serve", _OPERATIONS)
    # Neither watches its stalls, which costs as much as slow clients do.
    slow = Serving(directory / "serve")
    stack.callback(slow.end)
    slow.ready()
    bodies = {name: get(calm.base + path) for name, path in _PATHS.items()}
    # nginx's worker may be another user.
    directory.chmod(0o755)
    nginx = {}
    for name in ("calm", "slow"):
        place = directory / name
        place.mkdir()
        nginx[name] = Nginx(stack, place, bodies)
    addresses: dict[str, str] = {}
    for name, path in _PATHS.items():
        addresses |= {f"serve {name}": calm.base + path, f"serve {name}, slow": slow.base + path}
        addresses |= {f"nginx {name}": nginx["calm"].address(name), f"nginx {name}, slow": nginx["slow"].address(name)}
    besieging = {name: _besiege(stack, addresses[f"{name} list, slow"], chosen.clients) for name in ("serve", "nginx")}
    for clients in besieging.values():
        assert clients.line() == "ready\n"
    print(f"{chosen.clients} slow clients; list {len(bodies['list'])} bytes, status {len(bodies['status'])} bytes", flush=True)
    before = tree_cpu_s(slow.serve.pid)
    time.sleep(_ALONE_S)
    print(f"serve, CPU for slow clients alone: {(tree_cpu_s(slow.serve.pid) - before) / _ALONE_S:.4f} of a core", flush=True)

    pids: dict[str, int] = {}
    for name in _PATHS:
        pids |= {f"serve {name}": calm.serve.pid, f"serve {name}, slow": slow.serve.pid}
        pids |= {f"nginx {name}": nginx["calm"].pid, f"nginx {name}, slow": nginx["slow"].pid}
    latencies: dict[str, list[float]] = {name: [] for name in addresses}
    efficiency: dict[str, list[float]] = {name: [] for name in addresses}

    def measure(name: str) -> float:
        pid = pids[name]
        before = tree_cpu_s(pid)
        asked = wrk(addresses[name], chosen.seconds)
        efficiency[name].append(asked.requests / (tree_cpu_s(pid) - before))
        latencies[name].append(asked.p99_ms)
        return asked.per_second

    throughput = in_turn(list(addresses), chosen.rounds, measure)
    print(
        f"serve, memory: {resident_mb(slow.serve.pid):.1f} MB with slow clients, {resident_mb(calm.serve.pid):.1f} MB without",
        flush=True,
    )
    for name, clients in besieging.items():
        check(name, clients.ask("came"))
    _judge(verdicts, throughput, efficiency, latencies)


def _besiege(stack: ExitStack, address: str, count: int) -> Process:
    parts = urlsplit(address)
    return Process(stack, "slow_clients", str(parts.port), parts.path, count)


def check(server: str, came: Mapping[str, int]) -> None:
    """Says what came of slow clients.

    Raises:
        SystemExit: not what should: there were not that many.
    """
    told = ", ".join(f"{how} {times} times" for how, times in sorted(came.items()))
    print(f"{server}, what came of slow clients: {told or 'nothing yet'}", flush=True)
    if set(came) - _AS_THEY_SHOULD:
        raise SystemExit(f"{server}: not as it should be, of slow clients: {told}")


def _judge(
    verdicts: Verdicts,
    throughput: Mapping[str, list[float]],
    efficiency: Mapping[str, list[float]],
    latencies: Mapping[str, list[float]],
) -> None:
    verdicts.values(throughput, "requests/s")
    verdicts.values(efficiency, "requests a second of CPU")
    verdicts.values(latencies, "ms p99")
    for path in _PATHS:
        for server in ("serve", "nginx"):
            name = f"{server} {path}"
            for what, found in (("throughput", throughput), ("requests a second of CPU", efficiency)):
                ratio = f"{name}, {what}, with / without slow clients"
                if server == "serve":
                    verdicts.at_least(ratio, found[f"{name}, slow"], found[name], floor=THROUGHPUT_FLOOR)
                else:
                    # Without a floor: what there is to be had, and what noise there is.
                    verdicts.at_most(ratio, found[f"{name}, slow"], found[name])
            floor = LATENCY_FLOOR if server == "serve" else None
            verdicts.at_most(f"{name}, p99, with / without slow clients", latencies[f"{name}, slow"], latencies[name], floor=floor)


if __name__ == "__main__":
    sys.exit(main())

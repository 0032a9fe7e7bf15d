"""The HTTP side against nginx with the same bytes in files, and against itself with more behind it.

    scripts/bench reading [PART …] [--rounds N] [--seconds S] [--operations N] [--workers N] [--rate N]

list      1,000 operations: unchanged, and while 500 changes a second arrive; also against a gRPC call for each request
small     /scheduler/status and one operation, against files of their size; another operation each time, likewise
known     304 on the list, against nginx's
workers   CPU of a request for 10,000 workers, against nginx's
page      CPU of a request for limit=100 while 500 changes a second arrive: 100,000 operations against 1,000
search    filters that no index has on 100,000 operations: the longest stall of the loop
stalls    the longest stall of serve in a snapshot of 100,000 operations and 10,000 workers, in a reconnect, in a scrape
size      memory of serve and observe with a recorded load of 10,000 workers and 100,000 operations; stalls of observe
visible   from a request on the wire, through tap, observe and serve, to its operation in an answer, at 1,000 actions a second

Servers are asked by `wrk -t1 -c32` in turn, the order turned round from round to round, and what counts are the ratios within a
round: two cores and other people's load move all of them alike. Ends with 1 where a median misses its floor. `serve` is the role
itself with all of its headers and metrics; it wants a token, and follows a scripted implementer except in `size` and `visible`. A
stall is CPU time between two turns of a loop.
"""
# peers: nginx wrk

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from pathlib import Path

from benchmarks import reading_whole as whole
from benchmarks.http_peers import Nginx, entity_tag, get, wrk, wrk_in_turn
from benchmarks.parts import judged
from benchmarks.processes import tree_cpu_s
from benchmarks.reading_places import Followed
from benchmarks.verdicts import Verdicts, in_turn

_LIST = "/api/v1/operations"
_PAGE = f"{_LIST}?limit=100"
#: Changes a second.
_CHANGES = 500
_SMALL_OPERATIONS = 1_000
#: Asked for in turn: few enough for nginx to keep all files open.
_OTHERS = 500
_UNARY_LEAST_S = 4
_MB = 1e6


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench reading", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seconds", type=int, default=2, help="of each peer in each round; of `visible` ten times that")
    parser.add_argument("--operations", type=int, default=100_000, help="where there are many")
    parser.add_argument("--workers", type=int, default=10_000, help="likewise")
    parser.add_argument("--rate", type=int, default=1_000, help="actions a second of `visible`")
    return judged(parser, PARTS)


def _list(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    followed = Followed(stack, directory, _SMALL_OPERATIONS)
    ours = followed.base + _LIST
    body = get(ours)
    nginx = Nginx(stack, directory, {"list.json": body}).address("list.json")
    unary = followed.unary() + _LIST
    get(unary)
    print(f"{_SMALL_OPERATIONS} operations, {len(body)} bytes")

    def measure(name: str) -> float:
        if name == "changing":
            followed.change(_CHANGES)
        try:
            # 32 calls at a time take the slow peer a second and more.
            seconds = max(chosen.seconds, _UNARY_LEAST_S) if name == "unary" else chosen.seconds
            return wrk({"nginx": nginx, "unary": unary}.get(name, ours), seconds).per_second
        finally:
            followed.change(0)

    found = in_turn(["unchanged", "changing", "nginx", "unary"], chosen.rounds, measure)
    verdicts.values(found, "requests/s")
    verdicts.at_least("list, unchanged / nginx", found["unchanged"], found["nginx"], floor=0.60, aim=0.90)
    verdicts.at_least(f"list, {_CHANGES} changes a second / nginx", found["changing"], found["nginx"], floor=0.45, aim=0.60)
    verdicts.at_least("list, unchanged / unary gRPC calls", found["unchanged"], found["unary"], floor=20.0)


def _small(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    followed = Followed(stack, directory, _SMALL_OPERATIONS)
    paths = {"status": "/api/v1/scheduler/status", "operation": f"{_LIST}/{followed.operation_id(7)}"}
    others = [f"{_LIST}/{followed.operation_id(arrival)}" for arrival in range(1, _OTHERS + 1)]
    bodies = {name: get(followed.base + path) for name, path in paths.items()}
    files = {f"{number}.json": get(followed.base + path) for number, path in enumerate(others)}
    nginx = Nginx(stack, directory, {**bodies, **files})
    ours = {name: followed.base + path for name, path in paths.items()}
    peers = {**ours, **{f"nginx, {name}": nginx.address(name) for name in bodies}}
    in_turns = {"others": (followed.base, others), "nginx, others": (nginx.base, [f"/{name}" for name in files])}

    def measure(name: str) -> float:
        if name in in_turns:
            return wrk_in_turn(directory / "in_turn.lua", *in_turns[name], chosen.seconds).per_second
        return wrk(peers[name], chosen.seconds).per_second

    found = in_turn([*peers, *in_turns], chosen.rounds, measure)
    verdicts.values(found, "requests/s")
    for name, body in bodies.items():
        verdicts.at_least(f"{name}, {len(body)} bytes / nginx", found[name], found[f"nginx, {name}"], floor=0.25, aim=0.50)
    verdicts.at_least("another operation each time / nginx", found["others"], found["nginx, others"], floor=0.25, aim=0.50)


def _known(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    followed = Followed(stack, directory, _SMALL_OPERATIONS)
    ours = followed.base + _LIST
    peers = {"serve": ours, "nginx": Nginx(stack, directory, {"list.json": get(ours)}).address("list.json")}
    tags = {name: entity_tag(address) for name, address in peers.items()}

    def measure(name: str) -> float:
        return wrk(peers[name], chosen.seconds, f"If-None-Match: {tags[name]}").per_second

    found = in_turn(list(peers), chosen.rounds, measure)
    verdicts.values(found, "requests/s")
    verdicts.at_least("304 / nginx's 304", found["serve"], found["nginx"], floor=0.18, aim=0.40)


def _workers(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    followed = Followed(stack, directory, _SMALL_OPERATIONS, chosen.workers)
    ours = f"{followed.base}/api/v1/workers?limit={chosen.workers}"
    body = get(ours)
    nginx = Nginx(stack, directory, {"workers.json": body})
    print(f"{chosen.workers} workers, {len(body) / _MB:.2f} MB")
    peers = {"serve": (ours, followed.serve.pid), "nginx": (nginx.address("workers.json"), nginx.pid)}

    def measure(name: str) -> float:
        address, pid = peers[name]
        before = tree_cpu_s(pid)
        return wrk(address, chosen.seconds).requests / (tree_cpu_s(pid) - before)

    found = in_turn(list(peers), chosen.rounds, measure)
    verdicts.values(found, "requests a second of CPU")
    verdicts.at_least("list of workers, CPU of a request, nginx / serve", found["serve"], found["nginx"], floor=0.40, aim=0.60)


def _page(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    sizes = {"few": _SMALL_OPERATIONS, "many": chosen.operations}
    followed = {name: Followed(stack, directory / name, count) for name, count in sizes.items()}

    def measure(name: str) -> float:
        place = followed[name]
        place.change(_CHANGES)
        before = tree_cpu_s(place.serve.pid)
        asked = wrk(place.base + _PAGE, chosen.seconds)
        spent = tree_cpu_s(place.serve.pid) - before
        place.change(0)
        return spent / asked.requests * 1e6

    found = in_turn(list(followed), chosen.rounds, measure)
    verdicts.values(found, "µs of CPU a request")
    verdicts.at_most(f"limit=100, of {sizes['many']} / of {sizes['few']}", found["many"], found["few"], floor=1.3, aim=1.0)


def _search(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    followed = Followed(stack, directory, chosen.operations)
    followed.watch()
    last = f"{chosen.operations:064x}"
    questions = {
        "digest": f"digest=sha256:{last}",
        "invocation": f"invocation_id=6b8f6c1e-2f9a-4c51-9d0e-{7:012x}",
        "target": "target=//service/3/",
        "property": "property.cpu_count=4&limit=100",
    }
    for name, question in questions.items():
        get(f"{followed.base}{_LIST}?{question}&min_age_s=0")
        followed.longest_ms()
        stalls = []
        for number in range(chosen.rounds):
            # No two questions are alike, so that none is answered by what is kept.
            get(f"{followed.base}{_LIST}?{question}&min_age_s={number + 1}")
            stalls.append(followed.longest_ms())
        verdicts.values({name: stalls}, "ms of the longest stall")
        verdicts.below(f"search by {name}, longest stall of all, ms", [max(stalls)], floor=5.0)


def _stalls(stack: ExitStack, directory: Path, chosen: argparse.Namespace, verdicts: Verdicts) -> None:
    followed = Followed(stack, directory, chosen.operations, chosen.workers)
    found: dict[str, list[float]] = {"snapshot": [], "scrape": [], "reconnect": []}
    for _ in range(min(chosen.rounds, 5)):
        fresh = followed.another()
        found["snapshot"].append(fresh.longest_ms())
        get(f"{fresh.base}/metrics")
        found["scrape"].append(fresh.longest_ms())
        fresh.reconnect()
        found["reconnect"].append(fresh.longest_ms())
        fresh.end()
    verdicts.values(found, "ms of the longest stall")
    for name, stalls in found.items():
        verdicts.below(f"serve, {name}, longest stall of all, ms", [max(stalls)], floor=50.0, aim=20.0)


PARTS = {
    "list": _list,
    "small": _small,
    "known": _known,
    "workers": _workers,
    "page": _page,
    "search": _search,
    "stalls": _stalls,
    "size": whole.size,
    "visible": whole.visible,
}

if __name__ == "__main__":
    sys.exit(main())

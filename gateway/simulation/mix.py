"""What a lively build farm consists of: kinds of workers, kinds of actions, builds.

In: a seed. Out: specs and jobs, the same each time.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from gateway.simulation.clients import Invocation, Job
from gateway.simulation.playbook import Run
from gateway.simulation.workers import WorkerSpec

_Properties = tuple[tuple[str, str], ...]

#: google.rpc codes.
_DEADLINE_EXCEEDED = 4
_RESOURCE_EXHAUSTED = 8


@dataclass(frozen=True, slots=True)
class WorkerKind:
    """Workers of one make."""

    prefix: str
    #: How many of a fleet, relative to the others.
    share: int
    max_inflight_tasks: int
    properties: _Properties


@dataclass(frozen=True, slots=True)
class JobKind:
    """Actions of one make."""

    mnemonic: str
    #: How many of all actions, relative to the others.
    share: int
    #: Seconds that half of them take at most.
    median_s: float
    platform: _Properties
    target: str
    is_cacheable: bool = True
    #: Chance of a non-zero exit code.
    fails: float = 0.01
    #: Chance of a timeout.
    times_out: float = 0.0


def _linux(arch: str, cpu: int, memory_gib: int, **more: str) -> _Properties:
    memory_kb = memory_gib * 1024 * 1024
    return (("cpu_arch", arch), ("cpu_count", f"{cpu}"), ("memory_kb", f"{memory_kb}"), ("OSFamily", "Linux"), *more.items())


def _needs(cpu: int, memory_gib: int = 1, arch: str = "x86_64", **more: str) -> _Properties:
    return (("cpu_arch", arch), ("cpu_count", f"{cpu}"), ("memory_kb", f"{memory_gib * 1024 * 1024}"), *more.items())


WORKER_KINDS = (
    WorkerKind("linux-large-", 5, 4, _linux("x86_64", 16, 64)),
    WorkerKind("linux-small-", 3, 1, _linux("x86_64", 4, 8)),
    WorkerKind("arm64-", 2, 2, _linux("arm64", 8, 16)),
    WorkerKind("gpu-", 2, 1, _linux("x86_64", 8, 32, pool="gpu")),
)

JOB_KINDS = (
    JobKind("CppCompile", 40, 1.5, _needs(1), "//engine/{}:core"),
    JobKind("CppLink", 5, 4.0, _needs(4, 8), "//engine/{}:server", fails=0.02),
    JobKind("Javac", 15, 2.0, _needs(2, 2), "//services/{}:lib"),
    JobKind("GoCompilePkg", 12, 1.0, _needs(1, 1, "arm64"), "//agents/{}:go"),
    JobKind("Genrule", 10, 0.5, _needs(1), "//tools/{}:generated"),
    JobKind("TestRunner", 15, 4.0, _needs(2, 4), "//services/{}:test", is_cacheable=False, fails=0.08, times_out=0.02),
    JobKind("TrainModel", 3, 8.0, _needs(4, 16, pool="gpu"), "//models/{}:weights", is_cacheable=False),
)

#: What no worker of the fleet can ever take.
UNPLACEABLE = Job(
    ("train", "--accelerator=h100"),
    _needs(8, 32, pool="gpu-h100"),
    timeout_s=7200,
    mnemonic="TrainModel",
    target="//models/large:weights",
)

_PACKAGES = ("render", "physics", "auth", "billing", "search", "ingest", "mail", "maps", "ads", "feed")

#: Priority of a build -> how often, relative to the others.
_PRIORITIES = {0: 6, 10: 3, -5: 1}

#: Chances of what may happen to any action: wanted a second time, the worker fails once, the worker has no room once. Both
#: together are well below what deploy/prometheus takes for too many requeues: the farm works.
_WANTED_AGAIN = 0.03
_INTERNAL_ERROR = 0.01
_EXHAUSTED = 0.01


def fleet(count: int, keep_alive_s: float = 2.5) -> list[WorkerSpec]:
    """So many workers, of every kind in proportion; the first few are of different kinds."""
    shares = {kind: kind.share / sum(kind.share for kind in WORKER_KINDS) for kind in WORKER_KINDS}
    given = dict.fromkeys(WORKER_KINDS, 0)
    specs = []
    for number in range(count):
        kind = max(WORKER_KINDS, key=lambda kind: shares[kind] * (number + 1) - given[kind])
        given[kind] += 1
        specs.append(WorkerSpec(kind.prefix, kind.properties, kind.max_inflight_tasks, keep_alive_s))
    return specs


@dataclass(slots=True)
class _Build:
    invocation: Invocation
    priority: int
    configuration: str
    left: int


@dataclass(frozen=True, slots=True)
class Planned:
    """One Execute."""

    #: Seconds after the start.
    at_s: float
    #: Number of the client, from 0.
    client: int
    invocation: Invocation
    job: Job


def plan(rate: float, clients: int, seed: int, speed: float = 1.0) -> Iterator[Planned]:
    """Endless Executes, `rate` a second at random moments, of builds that the clients do one after another.

    Durations of actions are divided by `speed`. Equal arguments give equal plans, ids included.
    """
    chance = random.Random(seed)  # noqa: S311 - reproducible, not secret
    builds = [_build(chance) for _ in range(clients)]
    at_s, number = 0.0, 0
    previous: Job | None = None
    while True:
        at_s += chance.expovariate(rate)
        client = chance.randrange(clients)
        if builds[client].left == 0:
            builds[client] = _build(chance)
        build = builds[client]
        build.left -= 1
        if previous is None or chance.random() >= _WANTED_AGAIN:
            number += 1
            previous = _job(chance, build, f"{seed}-{number}", speed)
        yield Planned(at_s, client, build.invocation, previous)


def _build(chance: random.Random) -> _Build:
    (priority,) = chance.choices(list(_PRIORITIES), list(_PRIORITIES.values()))
    invocation = Invocation(id=str(uuid.UUID(int=chance.getrandbits(128), version=4)), correlated_id=f"pipeline-{priority}")
    return _Build(invocation, priority, chance.choice(("k8-fastbuild", "k8-opt")), chance.randint(20, 80))


def _job(chance: random.Random, build: _Build, name: str, speed: float) -> Job:
    (kind,) = chance.choices(JOB_KINDS, [kind.share for kind in JOB_KINDS])
    duration_s = min(kind.median_s * chance.lognormvariate(0, 0.5), 60) / speed
    return Job(
        (kind.mnemonic, name),
        kind.platform,
        timeout_s=600 if kind.times_out else None,
        run=_run(chance, kind, duration_s),
        priority=build.priority,
        is_cacheable=kind.is_cacheable,
        mnemonic=kind.mnemonic,
        target=kind.target.format(chance.choice(_PACKAGES)),
        configuration=build.configuration,
    )


def _run(chance: random.Random, kind: JobKind, duration_s: float) -> Run:
    memory_kb = int(chance.lognormvariate(11, 1))
    draw = chance.random()
    if draw < kind.fails:
        return Run(duration_s, exit_code=1, stderr=b"error: expected ';'\n", peak_memory_kb=memory_kb)
    if draw < kind.fails + kind.times_out:
        return Run(duration_s, exit_code=9, status_code=_DEADLINE_EXCEEDED, status_message="Command timed out after 600 seconds")
    output = (("out", f"{draw}".encode()),)
    if chance.random() < _INTERNAL_ERROR:
        return Run(duration_s, outputs=output, internal_errors=1, internal_error_message="Could not download inputs")
    if chance.random() < _EXHAUSTED:
        return Run(duration_s, outputs=output, internal_errors=1, internal_error_code=_RESOURCE_EXHAUSTED)
    return Run(duration_s, duration_s / 20, outputs=output, peak_memory_kb=memory_kb)

"""What the scripted implementer of the reading benchmark shows: workers and operations as long as those of a real fleet."""

from __future__ import annotations

from gateway.pb import introspection_pb2 as pb
from tests.serve.builders import NOW, busy_operation, documented_scheduler, properties

_PER_BUILD = 50
_MNEMONICS = ("CppCompile", "Javac", "GoCompilePkg", "TestRunner")


def operation(arrival: int, version: int = 0) -> pb.Operation:
    """About 430 bytes of JSON; another version is another moment of it."""
    made = busy_operation(arrival)
    made.load.seconds += version
    build = arrival // _PER_BUILD
    made.tool_invocation_ids.append(f"6b8f6c1e-2f9a-4c51-9d0e-{build:012x}")
    made.target_ids.append(f"//service/{build % 100}/library:module_{arrival % _PER_BUILD}")
    made.action_mnemonics.append(_MNEMONICS[arrival % len(_MNEMONICS)])
    return made


def worker(arrival: int) -> pb.Worker:
    """About 440 bytes of JSON: two operations run on it."""
    made = pb.Worker(
        id=f"linux-large-0196a3f2-7c5e-7d11-9a52-{arrival:012x}",
        arrival=arrival,
        properties=properties(
            cpu_arch="x86_64", cpu_count="16", memory_kb="67108864", OSFamily="Linux", container="debian12-gcc13"
        ),
        is_paused=False,
        is_draining=False,
        can_accept_work=True,
        running_operations=[f"0196a3f2-7c5e-7d11-9a52-{2 * arrival + number:012x}" for number in range(2)],
        actions_completed=arrival % 1_000,
    )
    made.connected.seconds = NOW + arrival // 10
    made.last_update.seconds = NOW + 3_600
    return made


def scheduler() -> pb.Scheduler:
    """A healthy one."""
    return documented_scheduler()

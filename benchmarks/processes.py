"""The processes of benchmarks: started, told and asked, measured, and gone afterwards, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
PATIENCE_S = 90.0
#: clock_gettime's name for the CPU time of a process by its pid (linux/posix-timers.h: CPUCLOCK_SCHED).
_CPUCLOCK_SCHED = 2


class Process:
    """One process of a benchmark's own; told and asked line by line."""

    def __init__(self, stack: ExitStack, module: str, role: str, *arguments: object) -> None:
        command = [sys.executable, "-m", f"benchmarks.{module}", role, *map(str, arguments)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(end, self._process)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def line(self) -> str:
        """The next that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args!r} ended")
        return line

    def begin(self, what: str, *arguments: object) -> None:
        """Tells it to do something; `answer` waits for the end."""
        assert self._process.stdin is not None
        print(json.dumps([what, arguments]), file=self._process.stdin, flush=True)

    def answer(self) -> Any:
        """What came of it."""
        return json.loads(self.line())

    def ask(self, what: str, *arguments: object) -> Any:
        """Tells it, and waits."""
        self.begin(what, *arguments)
        return self.answer()


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used with all its threads, to the nanosecond where /proc has hundredths."""
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) / 1e9


def tree_cpu_s(pid: int) -> float:
    """As `cpu_s`, of a process and all that live below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return cpu_s(pid) + sum(tree_cpu_s(int(child)) for child in children)


def resident_mb(pid: int) -> float:
    """What a process holds in memory, 10^6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def end(process: subprocess.Popen[Any]) -> None:
    """A process is gone afterwards, whatever happens."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """As `end`, for a block."""
    try:
        yield process
    finally:
        end(process)


def first_line(process: subprocess.Popen[str]) -> int:
    """The number that it says first."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def until_exists(path: Path) -> None:
    """Waits for a file."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} did not appear")
        time.sleep(0.02)

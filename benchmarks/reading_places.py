"""Where the reading benchmark asks: serve behind an implementer whose state is scripted. In: sizes. Out: running processes."""

from __future__ import annotations

import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from benchmarks.http_peers import get
from benchmarks.processes import HOST, PATIENCE_S, Process, until_exists
from benchmarks.reading_state import operation

#: The module of the processes here.
PROCESSES = "reading_processes"
_SNAPSHOTS = b"nativelink_gateway_snapshots_total{"


class Serving:
    """One serve role that follows whoever answers introspection in a directory."""

    def __init__(self, directory: Path) -> None:
        self._own = ExitStack()
        self.serve = Process(self._own, PROCESSES, "serve", directory)
        self.base = f"http://{HOST}:{int(self.serve.line())}"

    def ready(self, within_s: float = PATIENCE_S) -> None:
        """Once the first snapshot is there."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                with urllib.request.urlopen(f"{self.base}/readyz", timeout=PATIENCE_S):  # noqa: S310 - a loopback address
                    return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def watch(self) -> None:
        """Its stalls are measured from now on."""
        self.serve.ask("watch")

    def longest_ms(self) -> float:
        """Of its stalls, since the last question."""
        longest: float = self.serve.ask("longest_ms")
        return longest

    def end(self) -> None:
        """It is gone then."""
        self._own.close()


class Followed(Serving):
    """A serve role behind a scripted implementer."""

    def __init__(self, stack: ExitStack, directory: Path, operations: int, workers: int = 0) -> None:
        directory.mkdir(exist_ok=True)
        self._stack = stack
        self._directory = directory
        self._implementer = Process(stack, PROCESSES, "implementer", directory, operations, workers)
        until_exists(directory / "introspection.sock")
        super().__init__(directory)
        stack.callback(self.end)
        self.ready()

    def change(self, rate: int) -> None:
        """So many changes a second from now on."""
        self._implementer.ask("change", rate)

    def operation_id(self, arrival: int) -> str:
        """Of the operation with this number."""
        return operation(arrival).operation_id

    def unary(self) -> str:
        """The address of a peer that calls the implementer for each request."""
        return f"http://{HOST}:{int(Process(self._stack, PROCESSES, 'unary', self._directory).line())}"

    def another(self) -> Another:
        """A serve role beside the first, after its first snapshot."""
        other = Another(self._directory, self._implementer)
        other.watch()
        other.ready()
        return other


class Another(Serving):
    """A further serve role behind the same implementer."""

    def __init__(self, directory: Path, implementer: Process) -> None:
        super().__init__(directory)
        self._implementer = implementer

    def reconnect(self) -> None:
        """The implementer goes and comes back as another: until the second snapshot is there."""
        before = self._snapshots()
        self._implementer.ask("restart")
        deadline = time.monotonic() + PATIENCE_S
        while self._snapshots() == before:
            if time.monotonic() > deadline:
                raise SystemExit("no second snapshot came")
            time.sleep(0.1)

    def _snapshots(self) -> int:
        (line,) = [line for line in get(f"{self.base}/metrics").splitlines() if line.startswith(_SNAPSHOTS)]
        return int(float(line.split()[1]))

"""What simulated commands do. In: a `Run` per action, from whoever uploads it. Out: the same, to the worker that runs it.

A real worker learns it by running the Command from the CAS; nothing on the two tapped conversations depends on how.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.pb import remote_execution_pb2 as remote_execution

#: Actions remembered; the oldest give way and then do what `Run()` does.
_MAX_ACTIONS = 500_000


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command. Durations in seconds."""

    duration_s: float = 0.05
    #: Between ExecuteComplete and ExecuteResult, while results are uploaded.
    upload_s: float = 0.0
    exit_code: int = 0
    #: google.rpc code in ExecuteResponse.status, such as 4 for a timeout (with exit code 9).
    status_code: int = 0
    status_message: str = ""
    #: Contents of stdout and stderr; only their digests travel.
    stdout: bytes = b""
    stderr: bytes = b""
    #: Path and contents of the files that it writes.
    outputs: tuple[tuple[str, bytes], ...] = ()
    #: The first so many runs of the action end as `internal_error` with this code instead.
    internal_errors: int = 0
    internal_error_code: int = 13
    internal_error_message: str = "the simulated worker could not run it"
    #: Runs on after `duration_s` until `Playbook.open` is called with this name; "": does not.
    gate: str = ""
    #: 0: too short to be sampled, so there is no resource_usage.
    peak_memory_kb: int = 3120


class Playbook:
    """Runs by action."""

    def __init__(self) -> None:
        #: Action hash -> [what it does, runs so far], oldest first.
        self._runs: dict[str, tuple[Run, int]] = {}
        #: Gate -> set once it is open.
        self._gates: dict[str, asyncio.Event] = {}

    def write(self, action: remote_execution.Digest, run: Run) -> None:
        """From now on this is what the action does; its runs are counted anew."""
        self._runs[action.hash] = (run, 0)
        if len(self._runs) > _MAX_ACTIONS:
            del self._runs[next(iter(self._runs))]

    def open(self, gate: str) -> None:
        """Let those go on that wait at a gate, or will come to it."""
        self.gate(gate).set()

    def gate(self, name: str) -> asyncio.Event:
        """What a worker waits for at a gate. Whoever writes runs with gates decides how many there are."""
        return self._gates.setdefault(name, asyncio.Event())

    def begin(self, action: remote_execution.Digest) -> tuple[Run, bool]:
        """A worker begins to run it: what it does, and whether this time the worker fails to run it."""
        run, count = self._runs.get(action.hash, (Run(), 0))
        if action.hash in self._runs:
            self._runs[action.hash] = (run, count + 1)
        return run, count < run.internal_errors

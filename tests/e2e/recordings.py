"""The recordings of a real NativeLink and what its scheduler knew (tests/recordings/, format in its README)."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config.types import PropertyType, Scheduler

FOLDER = Path(__file__).parent.parent / "recordings"

#: What each recording's NativeLink was told, where it differs from the default (README of the recordings).
SETTINGS: Mapping[str, Scheduler] = {
    "client_gone": Scheduler(client_action_timeout_s=12),
    "abandoned_queue": Scheduler(client_action_timeout_s=12),
    "failures": Scheduler(max_job_retries=2),
}
MODERN = (
    "basic",
    "dedup",
    "queue",
    "worker_lost",
    "refused",
    "drain",
    "client_gone",
    "abandoned_queue",
    "failures",
    "scheduler_restart",
    "bazel",
)
ALL = (*MODERN, "legacy")
PROPERTY_TYPES = {
    "cpu_count": PropertyType.MINIMUM,
    "memory_kb": PropertyType.MINIMUM,
    "cpu_arch": PropertyType.EXACT,
    "OSFamily": PropertyType.PRIORITY,
    "pool": PropertyType.EXACT,
    "ignored": PropertyType.IGNORE,
}


@dataclass(frozen=True)
class Entry:
    """One line of a recording that belongs to a connection."""

    #: Seconds since the recording began.
    at: float
    connection: int
    #: open, >, <, >., <., refused, close
    kind: str
    data: bytes
    #: Listener of `open`, reason of `refused`.
    text: str


@dataclass(frozen=True)
class Recording:
    name: str
    #: Unix seconds at second 0.
    began: float
    entries: tuple[Entry, ...]
    #: (seconds, text)
    notes: tuple[tuple[float, str], ...]

    @property
    def ends(self) -> float:
        return self.entries[-1].at

    @property
    def farewell(self) -> float:
        """The moment before the first of the connections that lasted to the end began to close."""
        return min(entry.at for entry in self.entries if entry.kind in {">.", "<."} and entry.at > self.ends - 0.2) - 0.001

    def is_quiet(self, begin: float, end: float) -> bool:
        """Whether nothing was on the wire in that time."""
        return not any(begin < entry.at <= end for entry in self.entries)

    def of_connection(self) -> dict[int, list[Entry]]:
        """Each connection's own entries, in order."""
        found: dict[int, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.connection, []).append(entry)
        return found

    def sent(self, connection: int, kind: str) -> bytes:
        """All bytes of one direction of a connection."""
        return b"".join(entry.data for entry in self.of_connection()[connection] if entry.kind == kind)


def load(name: str) -> Recording:
    began = 0.0
    entries: list[Entry] = []
    notes: list[tuple[float, str]] = []
    for at, connection, kind, payload in _lines(name):
        if kind == "start":
            began = payload["unix_time"]
        elif kind == "note":
            notes.append((at, payload))
        else:
            is_data = kind in {">", "<"}
            data = base64.b64decode(payload) if is_data else b""
            entries.append(Entry(at, connection, kind, data, payload if isinstance(payload, str) and not is_data else ""))
    return Recording(name, began, tuple(entries), tuple(notes))


def _lines(name: str) -> Iterator[tuple[float, int, str, Any]]:
    with gzip.open(FOLDER / f"{name}.jsonl.gz", "rt") as file:
        for line in file:
            at, connection, kind, payload = json.loads(line)
            yield at, connection, kind, payload


@dataclass(frozen=True)
class Checkpoint:
    """Between `at` and `until` (seconds of the recording) the scheduler's state was this."""

    at: float
    until: float
    workers: tuple[Mapping[str, Any], ...]
    operations: tuple[Mapping[str, Any], ...]


def truth(name: str) -> tuple[Checkpoint, ...]:
    """What the scheduler knew: not what was last read of one that was killed then, nor what it said during the farewell."""
    checkpoints = [
        Checkpoint(entry["at"], entry["until"], tuple(entry["workers"]), tuple(entry["operations"]))
        for entry in json.loads((FOLDER / f"{name}.truth.json").read_text())
    ]
    farewell = load(name).farewell
    checkpoints = [Checkpoint(c.at, min(c.until, farewell), c.workers, c.operations) for c in checkpoints]
    if name == "scheduler_restart":
        # The scheduler is killed at 2.58 and answers again at 4.77: what was read last stands in between, and is not its state.
        killed = next(at for at, text in load(name).notes if text == "scheduler is killed")
        checkpoints = [
            Checkpoint(c.at, min(c.until, killed) if c.at < killed else c.until, c.workers, c.operations) for c in checkpoints
        ]
    return tuple(checkpoints)

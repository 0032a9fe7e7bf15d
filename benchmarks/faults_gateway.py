"""The gateway of the faults benchmark: a directory and an upstream in, its three roles as processes, and what befalls them.

The roles run without a supervisor, whose pauses before a new start would be a kindness here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.command import free_ports
from tests.e2e.faults.observers import INJECTED
from tests.e2e.faults.processes import full_disk

_PATIENCE_S = 90.0
_UP = {"tap": "forwards", "observe": "reading the tap", "serve": "answering on"}
#: Of a phase, the part that observe is stopped or slow; in the rest it catches up.
_SHARE = 0.75


class _Role:
    """One process, which may be started again."""

    def __init__(self, name: str, config: Path) -> None:
        # The one whose fault can be switched on, and which is as it is otherwise.
        program = INJECTED if name == "observe" else ("-m", "gateway.cli")
        self._command = [sys.executable, "-P", *program, name, f"--config={config}"]
        self._up = _UP[name]
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when it works."""
        self._process = subprocess.Popen(
            self._command, stderr=subprocess.PIPE, text=True, env={**os.environ, "INJECT": "slow"}, cwd="/"
        )
        assert self._process.stderr is not None
        said = ""
        for line in self._process.stderr:
            said += line
            if self._up in line:
                threading.Thread(target=self._process.stderr.read, daemon=True).start()
                return
        raise SystemExit(f"a role did not start:\n{said}")

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(_PATIENCE_S)

    def cpu_s(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Gateway:
    """All three, and faults of them; each fault is a context whose body is measured."""

    def __init__(self, directory: Path, upstream: int) -> None:
        self.port, http = free_ports(2)
        listener = {"http": {"socket_address": f"127.0.0.1:{http}"}}
        tap = {
            "name": "execution",
            "listen": f"127.0.0.1:{self.port}",
            "upstream": f"127.0.0.1:{upstream}",
            "carries": ["execution"],
        }
        document = {
            "servers": [{"listener": listener, "services": {"monitoring": {"scheduler": "S"}}}],
            "gateway": {"taps": [tap], "cas": None, "state_dir": str(directory / "state")},
        }
        config = directory / "gateway.json5"
        config.write_text(json.dumps(document))
        self._roles: Mapping[str, _Role] = {name: _Role(name, config) for name in _UP}
        for role in self._roles.values():
            role.start()

    def end(self) -> None:
        """At once."""
        for role in self._roles.values():
            role.kill()

    def settle(self) -> None:
        """Wait until observe has nothing left to do."""
        observe = self._roles["observe"]
        ends = time.monotonic() + _PATIENCE_S
        while time.monotonic() < ends:
            before = observe.cpu_s()
            time.sleep(0.3)
            if observe.cpu_s() - before < 0.05:
                return

    @contextmanager
    def nothing(self, _seconds: float) -> Iterator[None]:
        """For comparison."""
        yield

    @contextmanager
    def observe_killed(self, _seconds: float) -> Iterator[None]:
        """Again and again."""
        with self._again_and_again("observe"):
            yield

    @contextmanager
    def serve_killed(self, _seconds: float) -> Iterator[None]:
        """Again and again."""
        with self._again_and_again("serve"):
            yield

    @contextmanager
    def observe_stopped(self, seconds: float) -> Iterator[None]:
        """And goes on towards the end."""
        with self._between(seconds, signal.SIGSTOP, signal.SIGCONT):
            yield

    @contextmanager
    def observe_slow(self, seconds: float) -> Iterator[None]:
        """5 ms for each record; towards the end it catches up."""
        with self._between(seconds, signal.SIGUSR1, signal.SIGUSR2):
            yield

    @contextmanager
    def disk_full(self, _seconds: float) -> Iterator[None]:
        """For all three."""
        with full_disk([role.pid for role in self._roles.values()]):
            yield

    @contextmanager
    def _again_and_again(self, name: str) -> Iterator[None]:
        """SIGKILL, a new start, and so on as soon as it works again."""
        over = threading.Event()

        def kill() -> None:
            while not over.is_set():
                self._roles[name].kill()
                self._roles[name].start()

        with _beside(kill):
            try:
                yield
            finally:
                over.set()

    @contextmanager
    def _between(self, seconds: float, begin: signal.Signals, end: signal.Signals) -> Iterator[None]:
        over = threading.Event()

        def signal_later() -> None:
            self._roles["observe"].send(begin)
            over.wait(_SHARE * seconds)
            self._roles["observe"].send(end)

        with _beside(signal_later):
            try:
                yield
            finally:
                over.set()


@contextmanager
def _beside(do: Callable[[], None]) -> Iterator[None]:
    thread = threading.Thread(target=do)
    thread.start()
    try:
        yield
    finally:
        thread.join()

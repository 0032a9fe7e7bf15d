"""A thousand clients of /api/v1/events at 500 changes a second, and the same changes through nginx with Nchan.

    scripts/bench events [--clients N] [--rate N] [--seconds S]

The real serve role follows an implementer that changes 1,000 operations in turn. Printed are the share of a core that serve took,
its kernel's work included, whether every client got every change, delays from the change to the client, and memory; then the same
of nginx's worker, which is given ready-made messages. Ends with 1 where a change was missed or serve took more than FLOOR_CORES.
"""
# peers: nginx libnginx-mod-nchan

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import ended, first_line, free_ports, until_exists

#: Of issue 5: 1,000 clients at 500 changes a second.
FLOOR_CORES = 0.35
#: How long after the last change clients are listened to.
_SETTLE_S = 2.0
_PATIENCE_S = 90.0
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")

_NGINX = """
daemon off;
load_module {module};
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ worker_connections 4096; }}
http {{
  access_log off;
  tcp_nodelay on;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  client_max_body_size 8m;
  client_body_buffer_size 8m;
  server {{
    listen 127.0.0.1:{port};
    location = /publish {{ nchan_publisher; nchan_channel_id events; nchan_message_buffer_length 100; }}
    location = /events {{ nchan_subscriber eventsource; nchan_channel_id events; nchan_subscriber_first_message newest; }}
  }}
}}
"""


@dataclass
class Outcome:
    """Of one server."""

    cores: float
    peak_mb: float
    #: Clients that got every change, each once and in order as far as was looked.
    complete: int
    delays_ms: list[float]


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench events", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=500.0, help="changes a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    arguments = parser.parse_args()
    clients, rate, seconds = arguments.clients, arguments.rate, arguments.seconds
    print(f"{clients} clients, {rate:g} changes a second for {seconds:g} s")
    with tempfile.TemporaryDirectory(prefix="bench-events-") as name, ExitStack() as stack:
        directory = Path(name)
        feed = stack.enter_context(_python("events_feed", "gateway", name, str(rate), str(seconds)))
        until_exists(directory / "introspection.sock")
        serve = stack.enter_context(_python("reading_processes", "serve", name))
        port = first_line(serve)
        _until_ready(port)
        own = _measure(feed, serve.pid, port, "/api/v1/events?kind=operations", clients, seconds)
    _show("gateway", own, clients)
    if _NCHAN.exists():
        with tempfile.TemporaryDirectory(prefix="bench-events-") as name, ExitStack() as stack:
            port, worker = stack.enter_context(_nginx(Path(name)))
            feed = stack.enter_context(_python("events_feed", "nchan", f"http://127.0.0.1:{port}/publish", str(rate), str(seconds)))
            peer = _measure(feed, worker, port, "/events", clients, seconds)
        _show("nchan", peer, clients)
        if peer.cores:
            print(f"gateway / nchan: {own.cores / peer.cores:.2f} of its cores")
    else:
        print(f"no peer: {_NCHAN} is not there")
    met = own.cores <= FLOOR_CORES and own.complete == clients
    print(f"every change to every client, at most {FLOOR_CORES:g} of a core: {'met' if met else 'MISSED'}")
    return 0 if met else 1


def _measure(feed: subprocess.Popen[str], pid: int, port: int, path: str, clients: int, seconds: float) -> Outcome:
    with _python("events_clients", str(port), path, str(clients)) as listening:
        assert listening.stdout is not None
        assert listening.stdin is not None
        assert feed.stdin is not None
        assert feed.stdout is not None
        assert listening.stdout.readline() == "ready\n"
        time.sleep(_SETTLE_S)
        before, began = _cpu_s(pid), time.monotonic()
        feed.stdin.write("\n")
        feed.stdin.flush()
        total = int(feed.stdout.readline())
        cores = (_cpu_s(pid) - before) / (time.monotonic() - began)
        time.sleep(_SETTLE_S)
        peak_mb = _peak_mb(pid)
        told = json.loads(listening.communicate("", timeout=seconds + _PATIENCE_S)[0])
    in_order = all(numbers == list(range(total)) for numbers in told["numbers"])
    complete = sum(changes == total for changes in told["changes"]) if in_order else 0
    return Outcome(cores, peak_mb, complete, told["delays_ms"])


def _show(name: str, outcome: Outcome, clients: int) -> None:
    quantiles = statistics.quantiles(outcome.delays_ms, n=100) if len(outcome.delays_ms) > 1 else [float("nan")] * 99
    print(
        f"{name:>8}: {outcome.cores:.3f} of a core, {outcome.complete} of {clients} clients got everything, "
        f"delay p50 {quantiles[49]:.0f} ms, p99 {quantiles[98]:.0f} ms, peak {outcome.peak_mb:.0f} MB"
    )


@contextmanager
def _python(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    with ended(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as process:
        yield process


@contextmanager
def _nginx(directory: Path) -> Iterator[tuple[int, int]]:
    """Its port, and the worker's process."""
    directory.chmod(0o755)
    (port,) = free_ports(1)
    user = "user nobody nogroup;" if os.geteuid() == 0 else ""
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port, user=user, module=_NCHAN))
    command = ["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(configuration)]
    with ended(subprocess.Popen(command, text=True)) as master:
        deadline = time.monotonic() + _PATIENCE_S
        children = Path(f"/proc/{master.pid}/task/{master.pid}/children")
        while not (workers := children.read_text().split()):
            if time.monotonic() > deadline:
                raise SystemExit("nginx did not start")
            time.sleep(0.05)
        time.sleep(_SETTLE_S)
        yield port, int(workers[0])


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=_PATIENCE_S):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _cpu_s(pid: int) -> float:
    """Of all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    sys.exit(main())

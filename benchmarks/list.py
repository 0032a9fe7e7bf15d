"""The operation list of a live replica against nginx with the same bytes in a file, and against a gRPC call for each request.

    scripts/bench list [--rounds N] [--seconds S] [--operations N]

Every peer is asked by `wrk -t1 -c32` in turn, the order turned round from round to round, and what counts are the ratios within a
round: two cores and other people's load move all of them alike. Ends with 1 where a median misses its floor.
"""
# peers: nginx wrk

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

#: Of issue 3.
FLOOR_TO_NGINX = 0.55
FLOOR_TO_UNARY = 20.0

_PATIENCE_S = 30.0

#: A fair file server: nothing logged, the file kept open, sent by the kernel, connections kept as long as wrk wants them.
_NGINX = """
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
{user}
events {{ worker_connections 1024; }}
http {{
  access_log off;
  sendfile on;
  sendfile_max_chunk 0;
  tcp_nopush on;
  tcp_nodelay on;
  open_file_cache max=16 inactive=10m;
  open_file_cache_valid 10m;
  keepalive_requests 1000000000;
  keepalive_timeout 10m;
  server_tokens off;
  default_type application/json;
  client_body_temp_path {directory}/body;
  proxy_temp_path {directory}/proxy;
  fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi;
  scgi_temp_path {directory}/scgi;
  server {{
    listen 127.0.0.1:{port};
    root {directory}/files;
  }}
}}
"""


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(prog="scripts/bench list", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=int, default=2, help="of each peer in each round")
    parser.add_argument("--operations", type=int, default=1_000)
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-list-")))
        # nginx's worker is another user where its master is root.
        directory.chmod(0o755)
        count = arguments.operations
        stack.enter_context(_process("implementer", directory, count))
        _until_exists(directory / "introspection.sock")
        addresses = {}
        for role in ("gateway", "unary"):
            port = _first_line(stack.enter_context(_process(role, directory, count)))
            addresses[role] = f"http://127.0.0.1:{port}/api/v1/operations?limit={count}"
        # wrk and urllib get the documented address where it means the same.
        if count == 1_000:
            addresses = {role: address.partition("?")[0] for role, address in addresses.items()}
        body = _get(addresses["gateway"])
        addresses["nginx"] = stack.enter_context(_nginx(directory, body))
        _check(addresses, body, count)
        print(f"{count} operations, {len(body)} bytes; wrk -t1 -c32, {arguments.rounds} rounds of {arguments.seconds} s each")
        rates = _measure(addresses, arguments.rounds, arguments.seconds)
    for name, values in rates.items():
        print(f"{name:>8}: median {statistics.median(values):8.0f} requests/s   ({min(values):.0f} to {max(values):.0f})")
    met = [_judge(rates, "nginx", FLOOR_TO_NGINX), _judge(rates, "unary", FLOOR_TO_UNARY)]
    return 0 if all(met) else 1


def _measure(addresses: dict[str, str], rounds: int, seconds: int) -> dict[str, list[float]]:
    """{peer: requests a second, round by round}."""
    rates: dict[str, list[float]] = {name: [] for name in sorted(addresses)}
    for address in addresses.values():
        _wrk(address, 1)
    for number in range(rounds):
        for name in sorted(addresses, reverse=number % 2 == 1):
            rates[name].append(_wrk(addresses[name], seconds))
    return rates


def _judge(rates: dict[str, list[float]], peer: str, floor: float) -> bool:
    ratios = [own / other for own, other in zip(rates["gateway"], rates[peer], strict=True)]
    median = statistics.median(ratios)
    verdict = "met" if median >= floor else "MISSED"
    print(f"gateway / {peer}: median {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}); floor {floor:g}: {verdict}")
    return median >= floor


def _wrk(address: str, seconds: int) -> float:
    """Requests a second; a failed request ends the benchmark."""
    report = subprocess.run(
        ["wrk", "-t1", "-c32", "--timeout", "30s", f"-d{seconds}s", address],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + _PATIENCE_S,
    ).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(f"{address}: not every request was answered\n{report}")
    found = re.search(r"Requests/sec:\s+([0-9.]+)", report)
    if found is None:
        raise SystemExit(f"wrk said something else\n{report}")
    return float(found[1])


def _check(addresses: dict[str, str], body: bytes, count: int) -> None:
    """Everybody answers the question."""
    assert len(json.loads(body)) == count
    assert _get(addresses["nginx"]) == body
    assert len(json.loads(_get(addresses["unary"]))["operations"]) == count


def _get(address: str) -> bytes:
    """The body, as soon as it is there."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=_PATIENCE_S) as response:  # noqa: S310 - a loopback address from above
                body: bytes = response.read()
                return body
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def _process(role: str, directory: Path, count: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.list_processes", role, str(directory), str(count)]
    with _ended(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)) as process:
        yield process


@contextmanager
def _nginx(directory: Path, body: bytes) -> Iterator[str]:
    files = directory / "files"
    files.mkdir()
    (files / "operations.json").write_bytes(body)
    port = _free_port()
    # The directive is for root alone; others get a warning for it.
    user = "user nobody nogroup;" if _is_root() else ""
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port, user=user))
    command = ["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(configuration)]
    with _ended(subprocess.Popen(command, text=True)):
        yield f"http://127.0.0.1:{port}/operations.json"


@contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone afterwards, whatever happens."""
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _first_line(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline())


def _until_exists(path: Path) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not path.exists():
        if time.monotonic() > deadline:
            raise SystemExit(f"{path} did not appear")
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_root() -> bool:
    return os.geteuid() == 0


if __name__ == "__main__":
    sys.exit(main())

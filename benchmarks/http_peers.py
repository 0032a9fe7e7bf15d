"""What HTTP benchmarks share: nginx with files, wrk that asks, bodies. In: bodies and addresses. Out: how many, how fast."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from benchmarks import credential
from benchmarks.processes import HOST, PATIENCE_S, end, free_ports

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
  open_file_cache max=1024 inactive=10m;
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


class Asked(NamedTuple):
    """What one run of wrk was answered."""

    requests: int
    per_second: float
    p99_ms: float


class Nginx:
    """nginx with one worker process."""

    def __init__(self, stack: ExitStack, directory: Path, files: Mapping[str, bytes]) -> None:
        """Args: {name: body}; `directory` is its own."""
        # Its worker is another user where its master is root.
        directory.chmod(0o755)
        folder = directory / "files"
        folder.mkdir()
        for name, body in files.items():
            (folder / name).write_bytes(body)
        (port,) = free_ports(1)
        # The directive is for root alone; others get a warning for it.
        user = "user nobody nogroup;" if os.geteuid() == 0 else ""
        configuration = directory / "nginx.conf"
        configuration.write_text(_NGINX.format(directory=directory, port=port, user=user))
        command = ["nginx", "-p", str(directory), "-e", str(directory / "error.log"), "-c", str(configuration)]
        process = subprocess.Popen(command)
        stack.callback(end, process)
        #: Of the master; its worker is below it.
        self.pid = process.pid
        self.base = f"http://{HOST}:{port}"
        for name, body in files.items():
            assert get(self.address(name)) == body

    def address(self, name: str) -> str:
        """Of a file."""
        return f"{self.base}/{name}"


def get(address: str) -> bytes:
    """The body, as soon as somebody answers with one."""
    return _answer(address)[0]


def entity_tag(address: str) -> str:
    """The ETag of what is there now."""
    return _answer(address)[1]


def _answer(address: str) -> tuple[bytes, str]:
    deadline = time.monotonic() + PATIENCE_S
    request = urllib.request.Request(address, headers=credential.HEADERS)  # noqa: S310 - a loopback address
    while True:
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:  # noqa: S310 - as above
                return response.read(), response.headers["ETag"] or ""
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


#: Asks for one path after the other, each of 32 connections where the one before stopped.
_IN_TURN = """
local paths = {{ {paths} }}
local next_one = 0
request = function()
  next_one = next_one % #paths + 1
  return wrk.format("GET", paths[next_one])
end
"""


def wrk_in_turn(script: Path, base: str, paths: Sequence[str], seconds: int) -> Asked:
    """As `wrk`, but no request is that before it; `script` is a file to write."""
    script.write_text(_IN_TURN.format(paths=", ".join(f'"{path}"' for path in paths)))
    return _wrk(base, seconds, "-s", str(script))


def wrk(address: str, seconds: int, *headers: str) -> Asked:
    """One thread, 32 connections; a failed request ends the benchmark."""
    return _wrk(address, seconds, *(part for header in headers for part in ("-H", header)))


def _wrk(address: str, seconds: int, *options: str) -> Asked:
    shown = [f"{name}: {value}" for name, value in credential.HEADERS.items()]
    asked = [*(part for header in shown for part in ("-H", header)), *options]
    report = subprocess.run(
        ["wrk", "-t1", "-c32", "--latency", "--timeout", "30s", f"-d{seconds}s", *asked, address],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + PATIENCE_S,
    ).stdout
    if "Non-2xx" in report or "Socket errors" in report:
        raise SystemExit(f"{address}: not every request was answered\n{report}")
    patterns = (r"(\d+) requests in", r"Requests/sec:\s+([0-9.]+)", r"\n\s+99%\s+(\S+)")
    requests, per_second, p99 = (re.search(pattern, report) for pattern in patterns)
    if requests is None or per_second is None or p99 is None:
        raise SystemExit(f"wrk said something else\n{report}")
    if not int(requests[1]):
        raise SystemExit(f"{address}: no request was answered in {seconds} s")
    return Asked(int(requests[1]), float(per_second[1]), milliseconds(p99[1]))


def milliseconds(said: str) -> float:
    """Of what wrk says, 12.34ms."""
    found = re.fullmatch(r"([0-9.]+)([a-z]+)", said)
    assert found is not None
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}[found[2]]

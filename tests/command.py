"""`nativelink-gateway` as a process of its own, for tests: arguments come in; what it logs, its children and its end go out."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import random
import re
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

#: Far more than anything here takes; a test that needs it has failed.
PATIENCE_S = 90
#: What is run, unless said otherwise.
PROGRAM = ("-m", "gateway.cli")

#: Below what Linux gives to outgoing connections.
_PORTS = range(20_000, 32_000)
#: Far more than any test asks for; those of tests that are over are given back.
_MOST_HELD = 256
_held: deque[socket.socket] = deque()
atexit.register(lambda: _give_back(0))


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody has; a configuration file cannot say 0.

    They stay bound here: whoever is given one may listen on it or not, and nobody is given it twice, by no process of tests.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            _give_back(_MOST_HELD)
            return found
        with contextlib.suppress(OSError):
            _held.append(_hold(port))
            found.append(port)
    raise AssertionError("no ports are left")


def _hold(port: int) -> socket.socket:
    with contextlib.ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        # Of a port that anybody has, listening or not, OSError comes of this.
        sock.bind(("127.0.0.1", port))
        # And from now on it may be listened on by those who say the same, as all servers do, while this one does not listen.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stack.pop_all()
        return sock


def _give_back(most: int) -> None:
    while len(_held) > most:
        _held.popleft().close()


async def connects(port: int) -> bool:
    """Whether somebody listens on that port of loopback: connects, and leaves."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionResetError:
        # Somebody had it, and has no upstream for it: that may be known before the end of the connect is.
        return True
    except OSError:
        return False
    writer.close()
    return True


class Settings:
    """A configuration on free ports whose upstreams are not there; `file` is the path of it."""

    def __init__(self, directory: Path, **more: Any) -> None:
        self.state_dir = directory / "state"
        self.http, self.execution, self.workers, upstream = free_ports(4)
        upstream_address = f"127.0.0.1:{upstream}"
        taps = [
            {"name": "execution", "listen": f"127.0.0.1:{self.execution}", "upstream": upstream_address, "carries": ["execution"]},
            {"name": "workers", "listen": f"127.0.0.1:{self.workers}", "upstream": upstream_address, "carries": ["worker_api"]},
        ]
        http = {"listener": {"http": {"socket_address": f"127.0.0.1:{self.http}"}}, "services": {"monitoring": {"scheduler": "S"}}}
        self.file = directory / "gateway.json5"
        # The default is short for a busy machine, and SIGALRM ends who takes longer.
        gateway = {"taps": taps, "cas": None, "state_dir": str(self.state_dir), "stop_timeout_s": 60, **more}
        self.file.write_text(json.dumps({"servers": [http], "gateway": gateway}))


class Command:
    """A running command; its stderr is read as it comes."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid
        self.log: list[str] = []
        self._came = asyncio.Event()

    async def read(self) -> None:
        """Collect lines until the command, and every process that it started, has closed stderr."""
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.log.append(line.decode())
            self._came.set()
        self._came.set()

    async def logged(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """The first `count` matches of a pattern in the log, waiting for them."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    self._came.clear()
                    found = [match for line in self.log if (match := re.search(pattern, line))]
                    if len(found) >= count:
                        return found[:count]
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"nothing logged {pattern}; the log: {''.join(self.log)}") from None

    async def printed(self, pattern: str) -> str:
        """The first group of the next line of stdout that matches."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._process.stdout:
                if match := re.search(pattern, line.decode().rstrip("\n")):
                    return match[1]
        raise AssertionError(f"stdout ended without {pattern}; the log: {self.log}")

    async def pid_of(self, role: str, life: int = 1) -> int:
        """The process of a role, in its first, second, … life."""
        return int((await self.logged(rf"role {role} started \(pid (\d+)\)", life))[-1][1])

    def send(self, number: signal.Signals) -> None:
        """Send the command a signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Its exit code, waiting for it."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()


@contextlib.asynccontextmanager
async def command(*arguments: str, program: Sequence[str] = PROGRAM, **environment: str) -> AsyncIterator[Command]:
    """Start the command line, or a Python program like it; whatever is left of it is killed in the end."""
    process = await create_subprocess_exec(
        sys.executable, "-P", *program, *arguments, stdout=PIPE, stderr=PIPE, env={**os.environ, **environment}
    )
    running = Command(process)
    reading = asyncio.create_task(running.read(), name="read log")
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        assert process.stdout is not None
        await process.stdout.read()
        await process.wait()
        await asyncio.wait_for(reading, PATIENCE_S)


async def finished(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command that ends by itself."""
    process = await create_subprocess_exec(
        sys.executable, "-P", "-m", "gateway.cli", *arguments, stdout=PIPE, stderr=PIPE, env={**os.environ, **environment}
    )
    async with asyncio.timeout(PATIENCE_S):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}

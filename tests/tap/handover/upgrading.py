"""Tap processes that take over from each other, between peers in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from tests.command import PATIENCE_S, Command, Settings, command, free_ports
from tests.tap.running import LinkReader, Pair, link_reader, listening

_FAULTY = "import os, sys, time\n{fault}\nfrom gateway.cli import main\nraise SystemExit(main(sys.argv[1:]))"


class Upgradable:
    """A tap process, the one after it, and so on."""

    def __init__(self, settings: Settings, port: int, upstream: socket.socket, stack: contextlib.AsyncExitStack) -> None:
        self.settings = settings
        self.port = port
        self.upstream = upstream
        self._stack = stack
        #: The latest.
        self.process: Command

    async def begin(self) -> None:
        """The first one."""
        self.process = await self._stack.enter_async_context(command("tap", f"--config={self.settings.file}"))
        await self.process.logged("tap execution forwards")

    async def upgrade(self) -> None:
        """Another one takes over, and the one before it ends."""
        before = self.process
        self.process = await self._stack.enter_async_context(command("tap", f"--config={self.settings.file}", "--take-over"))
        await self.process.logged("tap execution forwards")
        assert await before.ended() == 0, before.log

    async def faulty(self, fault: str, *arguments: str) -> Command:
        """Starts a process in which some lines of Python make something go wrong; not yet the latest."""
        process = await create_subprocess_exec(
            *(sys.executable, "-P", "-c", _FAULTY.format(fault=fault), "tap", f"--config={self.settings.file}", *arguments),
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        found = Command(process)
        reading = asyncio.create_task(found.read(), name="read log")

        async def end() -> None:
            if process.returncode is None:
                process.kill()
            assert process.stdout is not None
            await process.stdout.read()
            await process.wait()
            await asyncio.wait_for(reading, PATIENCE_S)

        self._stack.push_async_callback(end)
        return found

    async def client(self, receive_bytes: int = 0) -> socket.socket:
        """A client of the tap, which takes about so much unread; 0: as the system likes."""
        client = socket.socket()
        if receive_bytes:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        client.setblocking(False)
        self._stack.callback(client.close)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", self.port))
        return client

    async def pair(self, receive_bytes: int = 0) -> Pair:
        """A connection through the tap; `receive_bytes` of its client."""
        client = await self.client(receive_bytes)
        async with asyncio.timeout(PATIENCE_S):
            server, _ = await asyncio.get_running_loop().sock_accept(self.upstream)
        self._stack.callback(server.close)
        return Pair(client, server)

    def link(self, run: str = "", next_sequence: int = 0) -> contextlib.AbstractAsyncContextManager[LinkReader]:
        """A reader of the latest."""
        return link_reader(self.settings.state_dir / "tap-0.sock", run, next_sequence)


@asynccontextmanager
async def upgradable(directory: Path, *other_taps: Mapping[str, object], **more: object) -> AsyncIterator[Upgradable]:
    """A tap in front of a listening socket, besides others; everything that is started is ended."""
    async with listening() as upstream, contextlib.AsyncExitStack() as stack:
        (port,) = free_ports(1)
        address = f"127.0.0.1:{upstream.getsockname()[1]}"
        tap_of_all = {"name": "execution", "listen": f"127.0.0.1:{port}", "upstream": address, "carries": ["execution"]}
        taps = [tap_of_all, *({"upstream": address, **each} for each in other_taps)]
        tap = Upgradable(Settings(directory, taps=taps, **more), port, upstream, stack)
        await tap.begin()
        yield tap


async def talks(pair: Pair) -> bool:
    """Whether bytes go both ways."""
    await pair.send(pair.client, b"to server")
    await pair.send(pair.server, b"to client")
    return (await pair.read(pair.server, 9), await pair.read(pair.client, 9)) == (b"to server", b"to client")

"""A TCP proxy that keeps what passes in the format of the shared recordings (recordings.md), in memory."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Self

from tests.simulation.wire import Line


class Recorder:
    """`async with Recorder({"execution": address, "workers": address}) as recorder`: its listeners' addresses are in `via`."""

    def __init__(self, upstreams: dict[str, str]) -> None:
        self.lines: list[Line] = []
        self.via: dict[str, str] = {}
        self._upstreams = upstreams
        self._servers: list[asyncio.Server] = []
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()

    async def __aenter__(self) -> Self:
        for listener, upstream in self._upstreams.items():

            async def accept(
                reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: str = listener, upstream: str = upstream
            ) -> None:
                task = asyncio.current_task()
                assert task is not None
                self._tasks.add(task)
                await self._connection(listener, upstream, reader, writer)
                self._tasks.discard(task)

            server = await asyncio.start_server(accept, "127.0.0.1", 0)
            self._servers.append(server)
            self.via[listener] = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def note(self, text: str) -> None:
        self._add(0, "note", text)

    def _add(self, connection: int, kind: str, payload: object) -> None:
        self.lines.append(Line(time.monotonic() - self._began, connection, kind, payload))

    async def _connection(self, listener: str, upstream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self._numbers)
        self._add(number, "open", listener)
        host, _, port = upstream.rpartition(":")
        try:
            up_reader, up_writer = await asyncio.open_connection(host, int(port))
        except OSError as error:
            self._add(number, "refused", str(error))
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._copy(number, ">", reader, up_writer), self._copy(number, "<", up_reader, writer))
        finally:
            writer.transport.abort()
            up_writer.transport.abort()

    async def _copy(self, number: int, direction: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self._add(number, direction, data)
                writer.write(data)
                await writer.drain()
            self._add(number, f"{direction}.", None)
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            self._add(number, "close", None)
            writer.transport.abort()

"""A small server of events, on aiohttp: the test says what each connection brings; who came from where is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

#: Ends the connection; in a queue of what it brings.
CUT = b""


class Publisher:
    """Every connection takes from one queue."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(1_000)
        #: Of every request: its address, and what it says that it had last.
        self.came: list[tuple[str, str | None]] = []
        #: Statuses that the next requests get instead.
        self.refusals: list[int] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, *blocks: bytes) -> None:
        for block in blocks:
            self.queue.put_nowait(block)

    async def events(self, request: web.BaseRequest) -> web.StreamResponse:
        self.came.append((request.path_qs, request.headers.get("Last-Event-ID")))
        if self.refusals:
            return web.json_response({"error": "not now"}, status=self.refusals.pop(0))
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        response.force_close()
        await response.prepare(request)
        await response.write(b"retry: 10\n\n")
        while block := await self.queue.get():
            await response.write(block)
        if request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def publishing() -> AsyncIterator[Publisher]:
    publisher = Publisher()
    runner = web.ServerRunner(web.Server(publisher.events), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    publisher.port = runner.addresses[0][1]
    try:
        yield publisher
    finally:
        publisher.say(*[CUT] * 10)
        await runner.cleanup()


def block(kind: str, data: str, id_: str | None = None) -> bytes:
    return f"{f'id: {id_}' if id_ else 'id'}\nevent: {kind}\ndata: {data}\n\n".encode()

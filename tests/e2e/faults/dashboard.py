"""A dashboard that never stops asking: the port of `serve` in; what it was answered, and how often not, out."""

from __future__ import annotations

import asyncio
from collections import Counter
from email.utils import parsedate_to_datetime
from typing import NamedTuple

import aiohttp

from tests.command import PATIENCE_S

_EVERY_S = 0.05


class Clocks(NamedTuple):
    """What an answer says of time."""

    status: str
    #: Unix seconds: of the body, and of the head.
    timestamp: int
    date: int
    uptime_s: int


class Dashboard:
    """Asks on a connection of its own each time."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"
        self._answered = asyncio.Event()
        #: Status -> answers; 0: connections that ended without one, or were refused.
        self.answers: Counter[int] = Counter()

    async def watch(self) -> None:
        """For ever."""
        async with aiohttp.ClientSession(self._base, connector=aiohttp.TCPConnector(force_close=True)) as session:
            while True:
                try:
                    async with session.get("/api/v1/scheduler/status", timeout=aiohttp.ClientTimeout(PATIENCE_S)) as answer:
                        await answer.read()
                except aiohttp.ClientError:
                    self.answers[0] += 1
                else:
                    self.answers[answer.status] += 1
                    if answer.status == 200:
                        self._answered.set()
                await asyncio.sleep(_EVERY_S)

    async def answered(self) -> None:
        """Wait for the next two answers with status 200: the second was asked for after now."""
        for _ in range(2):
            self._answered.clear()
            async with asyncio.timeout(PATIENCE_S):
                await self._answered.wait()

    async def clocks(self) -> Clocks:
        """Of GET /api/v1/system/health, as soon as something is known."""
        async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession(self._base) as session:
            while True:
                async with session.get("/api/v1/system/health") as answer:
                    body = await answer.json()
                    date = int(parsedate_to_datetime(answer.headers["Date"]).timestamp())
                if body["uptime_seconds"] is not None:
                    return Clocks(body["status"], body["timestamp"], date, body["uptime_seconds"])
                await asyncio.sleep(_EVERY_S)

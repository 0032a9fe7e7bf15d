"""A client of event streams: the parser of WHATWG HTML 9.2.6, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.serve.running import PATIENCE_S, Client


@dataclass(frozen=True)
class Event:
    """As a browser dispatches it."""

    type: str
    data: Any
    last_event_id: str

    @property
    def name(self) -> str:
        """`type` and what it is about, in short."""
        entity = self.data.get("operation") or self.data.get("worker")
        return f"{self.type} {entity.get('operation_id') or entity.get('id')}" if entity else self.type


@dataclass
class Parser:
    """Bytes come in, events go out."""

    events: list[Event] = field(default_factory=list)
    comments: int = 0
    retry_ms: int | None = None
    last_event_id: str = ""
    _rest: bytes = b""
    _fields: dict[str, str] = field(default_factory=dict)

    def feed(self, chunk: bytes) -> None:
        """Whatever pieces it comes in."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._line(line.decode())

    def _line(self, line: str) -> None:
        if not line:
            self._dispatch()
        elif line.startswith(":"):
            self.comments += 1
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data" and "data" in self._fields:
                value = f"{self._fields['data']}\n{value}"
            if name == "retry":
                self.retry_ms = int(value)
            self._fields[name] = value

    def _dispatch(self) -> None:
        fields, self._fields = self._fields, {}
        self.last_event_id = fields.get("id", self.last_event_id)
        if fields.get("data"):
            self.events.append(Event(fields.get("event", "message"), json.loads(fields["data"]), self.last_event_id))


class Listener:
    """One stream."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.parser = Parser()
        self.raw = b""

    async def next(self, count: int = 1, *, kinds: tuple[str, ...] = ("snapshot", "reset", "worker", "operation")) -> list[Event]:
        """The next events that are not of scheduler or health."""
        return [await self._next(kinds) for _ in range(count)]

    async def names(self, count: int) -> list[str]:
        """Of the next events."""
        return [event.name for event in await self.next(count)]

    async def until_comments(self, count: int) -> None:
        """Until so many came."""
        async with asyncio.timeout(PATIENCE_S):
            while self.parser.comments < count:
                await self._read()

    async def rest(self) -> list[Event]:
        """Everything up to the end of the stream."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._read():
                pass
        return self.parser.events

    async def _next(self, kinds: tuple[str, ...]) -> Event:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                while self.parser.events:
                    event = self.parser.events.pop(0)
                    if event.type.startswith(kinds):
                        return event
                assert await self._read(), "the stream ended"

    async def _read(self) -> bool:
        chunk = await self.answer.content.readany()
        self.parser.feed(chunk)
        self.raw += chunk
        return bool(chunk)


@asynccontextmanager
async def listening(client: Client, query: str = "", *, last_event_id: str | None = None) -> AsyncIterator[Listener]:
    """A client of /api/v1/events."""
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.get(f"http://{client.host}:{client.port}/api/v1/events{query}", headers=headers) as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Listener(answer)

"""A bounded queue towards one peer with an end. In: messages of the scheduler. Out: the same, to the coroutine that writes them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")

#: Messages that wait for one peer at most. A peer with so many is not reading.
LIMIT = 10_000


class Outbox(Generic[T]):
    """Put from anywhere in the loop, read by one."""

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, message: T, *, overtake: bool = False) -> None:
        """Queue a message; with `overtake`, or at the limit, in the place of the last one. After `close` nothing happens."""
        if self._closed:
            return
        if self._waiting and (overtake or len(self._waiting) >= LIMIT):
            self._waiting.pop()
        self._waiting.append(message)
        self._changed.set()

    @property
    def is_full(self) -> bool:
        """Whether the next message would take the place of one that waits."""
        return len(self._waiting) >= LIMIT

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def waiting(self) -> list[T]:
        """What was not delivered yet, to look at."""
        return list(self._waiting)

    def close(self) -> None:
        """No more messages; what waits is still delivered."""
        self._closed = True
        self._changed.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        """All messages until `close`."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._closed:
                return
            self._changed.clear()
            await self._changed.wait()

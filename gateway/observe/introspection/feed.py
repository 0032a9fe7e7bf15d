"""The Watch feed: what is published goes to every subscriber, at once after a rest, then every `COALESCE_S`, at least every second.

Each batch is encoded once, and all subscribers get the same bytes. A subscriber is a bounded queue: one that does not empty it is
dropped and told so when it next takes something; the model, the feed and other subscribers never wait for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager

from gateway.observe.introspection.errors import StoppingError, TooSlowError
from gateway.observe.introspection.state import PublishedState
from gateway.pb import introspection_pb2 as pb

COALESCE_S = 0.02
#: Between two messages at most; the contract promises a second.
HEARTBEAT_S = 0.9
#: Entities encoded before others get their turn: a few milliseconds.
ENCODE_SLICE = 250
#: What may wait for one subscriber: ten seconds of a busy feed.
QUEUE_MESSAGES = 512
QUEUE_BYTES = 16 * 1024 * 1024
SUBSCRIBERS_MAX = 256


class Subscriber:
    """What waits for one caller of Watch."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque()
        self._bytes = 0
        self._some = asyncio.Event()
        #: Why there will be no more; None: there will.
        self._over: TooSlowError | StoppingError | None = None

    def push(self, messages: Iterable[bytes]) -> bool:
        """Put in what was published; False: it did not fit, and the subscriber is over."""
        if self._over is not None:
            return False
        for message in messages:
            self._messages.append(message)
            self._bytes += len(message)
        if len(self._messages) > QUEUE_MESSAGES or self._bytes > QUEUE_BYTES:
            self.end(TooSlowError("too slow for the changes: come back with the revision that was reached"))
            return False
        self._some.set()
        return True

    def end(self, why: TooSlowError | StoppingError) -> None:
        """Let go of what waits."""
        self._over = why
        self._messages.clear()
        self._bytes = 0
        self._some.set()

    async def take(self) -> bytes:
        """The next message.

        Raises:
            TooSlowError: messages were dropped.
            StoppingError: the process stops.
        """
        while not self._messages:
            if self._over is not None:
                raise self._over
            self._some.clear()
            await self._some.wait()
        message = self._messages.popleft()
        self._bytes -= len(message)
        return message


class Feed:
    """Publishes the state and hands it around. `run` does so until it is cancelled."""

    def __init__(self, state: PublishedState) -> None:
        self.state = state
        self._subscribers: set[Subscriber] = set()
        self._changed = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """The model changed, and `state` has been told."""
        self._changed.set()

    async def run(self) -> None:
        """Publish what changed, and that nothing did."""
        loop = asyncio.get_running_loop()
        not_before = 0.0
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                pass
            else:
                await asyncio.sleep(max(not_before - loop.time(), 0))
            not_before = loop.time() + COALESCE_S
            self._changed.clear()
            await self.catch_up(heartbeat=True)

    async def catch_up(self, *, heartbeat: bool = False) -> None:
        """Publish what the model is now. After it, and up to the next await, published state and model are one."""
        limit = ENCODE_SLICE
        turns = self.state.waiting // limit + 1
        while not self.state.encode(limit):
            await asyncio.sleep(0)
            turns -= 1
            if turns < 0:
                # More changes in each turn than are encoded in it, as while a backlog is read: it would go on for as long as that.
                limit *= 2
        messages = self.state.publish()
        if not messages and heartbeat:
            messages = [self.state.heartbeat()]
        for subscriber in [each for each in self._subscribers if not each.push(messages)]:
            self._subscribers.discard(subscriber)

    async def watch(self, known: pb.Revision | None) -> AsyncGenerator[bytes]:
        """WatchResponses, encoded: a snapshot or what changed since `known`, then what is published.

        Raises:
            TooSlowError: the caller did not keep up, or is one too many.
            StoppingError: the process stops.
        """
        await self.catch_up()
        state = self.state
        with self._subscribed() as subscriber:
            changes = state.since(known.number) if known is not None and known.epoch == state.epoch else None
            beginning = iter((changes,)) if changes is not None else state.snapshot()
            for message in beginning:
                yield message
                await asyncio.sleep(0)
            while True:
                yield await subscriber.take()

    def close(self) -> None:
        """Let every subscriber go."""
        self._stopping = True
        for subscriber in self._subscribers:
            subscriber.end(StoppingError("observe stops"))
        self._subscribers.clear()

    @contextmanager
    def _subscribed(self) -> Iterator[Subscriber]:
        if self._stopping:
            raise StoppingError("observe stops")
        if len(self._subscribers) >= SUBSCRIBERS_MAX:
            raise TooSlowError(f"{SUBSCRIBERS_MAX} subscribers are here already")
        subscriber = Subscriber()
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

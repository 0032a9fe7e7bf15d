"""Subscribers: bounded, independent, let go at the end."""

from __future__ import annotations

import asyncio

import pytest

from gateway.observe.introspection import feed as module
from gateway.observe.introspection.errors import StoppingError, TooSlowError
from gateway.observe.introspection.feed import Subscriber
from gateway.pb import introspection_pb2 as pb
from tests.command import PATIENCE_S
from tests.observe.introspection.observed import Observed, Replica


async def test_a_subscriber_gets_what_was_pushed_in_order() -> None:
    subscriber = Subscriber()
    assert subscriber.push([b"1", b"2"])
    assert [await subscriber.take(), await subscriber.take()] == [b"1", b"2"]
    waiting = asyncio.create_task(subscriber.take(), name="waiting")
    await asyncio.sleep(0)
    subscriber.push([b"3"])
    assert await waiting == b"3"


@pytest.mark.parametrize("bound", ["QUEUE_MESSAGES", "QUEUE_BYTES"])
async def test_a_subscriber_that_does_not_take_is_over_and_holds_nothing(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, bound, 2)
    subscriber = Subscriber()
    assert subscriber.push([b"1", b"2"])
    assert not subscriber.push([b"3"])
    assert not subscriber.push([b"4"])
    with pytest.raises(TooSlowError):
        await subscriber.take()


async def test_one_that_is_slow_does_not_take_anything_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUE_MESSAGES", 3)
    observed = Observed()
    slow, quick = observed.feed.watch(None), observed.feed.watch(None)
    replica = Replica()
    await anext(slow)
    replica.take(pb.WatchResponse.FromString(await anext(quick)))
    for number in range(10):
        observed.queued(f"main/c-{number}", number)
        observed.play()
        await observed.feed.catch_up()
        replica.take(pb.WatchResponse.FromString(await anext(quick)))
    assert len(replica.operations) == 10
    with pytest.raises(TooSlowError):
        await anext(slow)
    await quick.aclose()


async def test_one_too_many_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBSCRIBERS_MAX", 1)
    observed = Observed()
    first, second = observed.feed.watch(None), observed.feed.watch(None)
    await anext(first)
    with pytest.raises(TooSlowError, match="subscribers"):
        await anext(second)
    await first.aclose()
    third = observed.feed.watch(None)
    await anext(third)
    await third.aclose()


async def test_what_changes_faster_than_it_is_encoded_in_slices_is_published_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENCODE_SLICE", 1)
    observed = Observed()
    said = 0

    async def backlog() -> None:
        nonlocal said
        while True:
            for _ in range(3):
                said += 1
                observed.queued(f"main/c-{said}", said)
            observed.play()
            await asyncio.sleep(0)

    reading = asyncio.create_task(backlog(), name="backlog")
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await observed.feed.catch_up()
    reading.cancel()
    assert len(observed.feed.state.operations) == said


async def test_at_the_end_everybody_is_let_go() -> None:
    observed = Observed()
    subscriber, late = observed.feed.watch(None), observed.feed.watch(None)
    await anext(subscriber)
    observed.feed.close()
    with pytest.raises(StoppingError):
        await anext(subscriber)
    with pytest.raises(StoppingError):
        await anext(late)


async def test_changes_come_by_themselves_and_so_does_their_absence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEARTBEAT_S", 0.01)
    observed = Observed()
    running = asyncio.create_task(observed.feed.run(), name="feed")
    subscriber = observed.feed.watch(None)
    await anext(subscriber)
    heartbeat = pb.WatchResponse.FromString(await anext(subscriber))
    assert not heartbeat.changes.operations
    observed.queued("main/c-1", 1)
    observed.play()
    async with asyncio.timeout(PATIENCE_S):
        while not pb.WatchResponse.FromString(await anext(subscriber)).changes.operations:
            pass
    await subscriber.aclose()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_many_changes_are_encoded_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENCODE_SLICE", 5)
    observed = Observed()
    await observed.feed.catch_up()
    for number in range(20):
        observed.queued(f"main/c-{number}", number)
    observed.play()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count(), name="count")
    await observed.feed.catch_up()
    counting.cancel()
    assert turns >= 3
    assert len(observed.state.operations) == 20

from __future__ import annotations

import asyncio

from gateway.simulation.outbox import LIMIT, Outbox


async def _all(outbox: Outbox[int]) -> list[int]:
    return [message async for message in outbox]


async def test_what_waits_is_delivered_before_the_end() -> None:
    outbox: Outbox[int] = Outbox()
    reader = asyncio.create_task(_all(outbox))
    outbox.put(1)
    await asyncio.sleep(0)
    outbox.put(2)
    outbox.close()
    outbox.put(3)
    assert await reader == [1, 2]


async def test_at_the_limit_the_latest_message_takes_the_place_of_the_one_before() -> None:
    outbox: Outbox[int] = Outbox()
    for number in range(LIMIT + 5):
        outbox.put(number)
    assert outbox.is_full
    outbox.close()
    messages = await _all(outbox)
    assert len(messages) == LIMIT
    assert messages[-1] == LIMIT + 4


async def test_a_message_overtakes_only_one_that_still_waits() -> None:
    outbox: Outbox[int] = Outbox()
    outbox.put(1, overtake=True)
    outbox.put(2, overtake=True)
    outbox.put(3)
    assert outbox.waiting() == [2, 3]

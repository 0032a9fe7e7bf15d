from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.client.connection import Gateway
from gateway.client.looking import Looks, Sight
from gateway.client.problems import MistakeError, NoAnswerError
from gateway.config.types import Config
from gateway.pb import introspection_pb2 as pb
from tests.serve.builders import NOW, operation
from tests.serve.implementer import Implementer
from tests.serve.running import serving


@pytest.fixture
async def gateway(url: str) -> AsyncIterator[Gateway]:
    gateway = Gateway(url, None)
    yield gateway
    gateway.close()


async def look(looks: Looks, rows: int = 10) -> Sight:
    return await asyncio.to_thread(looks.look, rows)


def ids(sight: Sight) -> list[str | None]:
    return [each.text("operation_id") for each in sight.operations]


async def test_nothing_is_asked_in_full_while_nothing_changes(implementer: Implementer, gateway: Gateway) -> None:
    looks = Looks(gateway, [("stage", "executing,completed")])
    first = await look(looks)
    assert (ids(first), first.total) == (["op-456", "op-4"], 2)
    assert first.operations[0].rows("clients")[0].text("target_id") == "//a:b"
    asked = len(implementer.questions)
    assert asked == 1
    for _ in range(3):
        assert (await look(looks)).operations is first.operations
    assert len(implementer.questions) == asked
    implementer.set(operations=[operation(9, pb.STAGE_EXECUTING, id_="op-9", worker_id="w")])
    while len((later := await look(looks)).operations) == 2:
        pass
    assert (ids(later), later.total) == (["op-456", "op-9", "op-4"], 3)
    assert len(implementer.questions) == asked + 1


async def test_another_number_of_rows_is_another_question(gateway: Gateway) -> None:
    looks = Looks(gateway, [])
    assert len((await look(looks, 1)).operations) == 1
    sight = await look(looks, 2)
    assert (len(sight.operations), sight.total) == (2, 3)


async def test_it_is_asked_in_full_again_when_the_observer_is_back(implementer: Implementer, gateway: Gateway) -> None:
    looks = Looks(gateway, [("stage", "executing")])
    await implementer.stop()
    while (away := await look(looks)).operations[0].rows("clients"):
        looks = Looks(gateway, [("stage", "executing")])
    assert ids(away) == ["op-456"]
    await implementer.start()
    while not (back := await look(looks)).operations[0].rows("clients"):
        pass
    assert ids(back) == ["op-456"]


async def test_before_there_is_anything_it_sees_why(config: Config) -> None:
    async with serving(config, ready=False) as client:
        gateway = Gateway(f"http://127.0.0.1:{client.port}", None)
        sight = await look(Looks(gateway, []))
        gateway.close()
    assert (sight.health.text("status"), list(sight.operations), sight.total) == ("unhealthy", [], 0)
    assert sight.status.number("total_workers") is None


async def test_what_cannot_be_asked_is_an_error(url: str, gateway: Gateway) -> None:
    with pytest.raises(MistakeError):
        await look(Looks(gateway, [("stage", "x")]))
    gone = Gateway("http://127.0.0.1:1", None)
    with pytest.raises(NoAnswerError):
        await look(Looks(gone, []))


async def test_the_gateways_clock_goes_on_between_looks(gateway: Gateway) -> None:
    sight = await look(Looks(gateway, []))
    assert sight.now_at(sight.taken + 5) == sight.now + 5
    assert sight.now > NOW

"""What is answered at once, by the real role; what the answers are, the tests of routes say."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from gateway.config.trust import Role
from gateway.config.types import Config
from gateway.serve.description.entry import Route
from gateway.serve.description.table import EVENTS, EXPOSITION, METRICS, OPERATION, ROUTES
from gateway.serve.routes import Routes
from gateway.serve.routing import Found
from tests.serve.authentication.showing import new_token, shown
from tests.serve.description.described import address
from tests.serve.implementer import Implementer
from tests.serve.running import Answer, Client, serving
from tests.serve.test_routes import fill

#: Those that have to be waited for whatever they are asked; and those of drains, which observe keeps.
WAITED_FOR = {EVENTS, EXPOSITION}
READ = [route for route in ROUTES if route.method == "GET" and route.tag != "drains"]


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


@pytest.fixture
def waited_for(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were not answered at once."""
    paths: list[str] = []
    answer = Routes.answer

    async def noted(self: Routes, found: Found, request: web.BaseRequest) -> object:
        paths.append(found.path or "")
        return await answer(self, found, request)

    monkeypatch.setattr(Routes, "answer", noted)
    return paths


async def ask(client: Client, route: Route, headers: str = "") -> Answer:
    # The endless one only begins.
    return await client.get(address(route), method="HEAD" if route is EVENTS else "GET", headers=headers)


@pytest.mark.parametrize("route", READ, ids=lambda route: route.path)
@pytest.mark.parametrize("coding", ["", "Accept-Encoding: gzip\r\n"], ids=["plain", "gzip"])
async def test_what_is_there_is_answered_at_once(client: Client, waited_for: list[str], route: Route, coding: str) -> None:
    first = await ask(client, route, coding)
    waited_for.clear()
    second = await ask(client, route, coding)
    assert (first.status, second.status) == (200, 200)
    assert waited_for == ([route.path] if route in WAITED_FOR else [])
    assert route in WAITED_FOR or first.body == second.body


@pytest.mark.parametrize("query", ["view=full", "wait_for=executing&timeout=0"])
async def test_what_is_not_there_is_waited_for(client: Client, waited_for: list[str], query: str) -> None:
    answer = await client.get(f"/api/v1/operations/client-op-4?{query}")
    assert answer.status == 200
    assert waited_for == ["/api/v1/operations/{id}"]


async def test_errors_are_answered_at_once_too(client: Client, config: Config, waited_for: list[str]) -> None:
    await client.get("/api/v1/workers")
    waited_for.clear()
    for path, status in (("/nothing", 404), ("/api/v1/workers/none", 404), ("/api/v1/workers?x=y", 400), ("/livez?%ff", 400)):
        assert await client.status(path) == status
    new_token(config)
    await client.until("/api/v1/workers", lambda answer: answer.status == 401)
    assert waited_for == []


async def test_a_change_is_never_made_at_once(client: Client, config: Config, waited_for: list[str]) -> None:
    token = shown(new_token(config, Role.OPERATOR))
    await client.until("/api/v1/workers", lambda answer: answer.status == 200, headers=token)
    waited_for.clear()
    for method in ("GET", "HEAD"):
        assert await client.status("/api/v1/drain", method=method, headers=token) == 405
    assert waited_for == []
    assert await client.status("/api/v1/drain", method="POST", headers=token) == 415
    assert waited_for == ["/api/v1/drain"]


async def test_both_ways_are_counted_as_their_route(client: Client) -> None:
    for path in (METRICS.path, "/api/v1/operations/client-op-4", "/api/v1/operations/client-op-4?view=full", "/nothing"):
        await client.get(path)
    # A wait is no latency.
    await client.get("/api/v1/operations/client-op-4?wait_for=executing&timeout=0")
    counted = re.findall(
        r"^nativelink_gateway_http_request_duration_seconds_count\{(.*)\} ([1-9].*)$",
        (await client.body("/metrics")).decode(),
        re.MULTILINE,
    )
    counts = {labels["route"]: float(value) for text, value in counted if (labels := dict(re.findall(r'(\w+)="([^"]*)"', text)))}
    assert counts == {METRICS.path: 1.0, OPERATION.path: 2.0, "other": 1.0, "/readyz": counts["/readyz"]}

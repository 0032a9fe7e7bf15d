from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.config.types import Authentication, Config, HttpOptions
from gateway.serve.description.table import ROUTES
from tests.serve.authentication.showing import new_token, shown
from tests.serve.description.described import address
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Answer, Client, serving
from tests.serve.test_routes import fill, golden

DASHBOARD = "https://dash.example"
FROM_DASHBOARD = f"Origin: {DASHBOARD}\r\n"
#: Of others, and what is no origin of theirs although it looks like it.
OTHERS = ("https://dash.example.org", "http://dash.example", "https://dash.example:444", "HTTPS://DASH.EXAMPLE", "null", "*", "")
EXPOSED = (
    "Age, Allow, Content-Encoding, Date, ETag, Link, Retry-After, WWW-Authenticate, X-Accel-Buffering, X-Revision, X-Total-Count, "
    "X-Wait-For"
)


@pytest.fixture
async def implementer(implementer: Implementer) -> Implementer:
    fill(implementer)
    await implementer.start()
    return implementer


@pytest.fixture
def config(config: Config) -> Config:
    origins = HttpOptions(cors_origins=(DASHBOARD, "http://localhost:3000"))
    return replace(config, authentication=Authentication.REQUIRED, http_options=origins)


@pytest.fixture
def token(config: Config) -> str:
    """The line of a request that shows one."""
    return shown(new_token(config))


@pytest.fixture
async def client(config: Config, token: str, implementer: Implementer) -> AsyncIterator[Client]:
    assert token
    async with serving(config) as client:
        yield client


def shared(answer: Answer) -> dict[str, str]:
    """Its headers of CORS."""
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


async def preflight(client: Client, path: str, method: str, headers: str = FROM_DASHBOARD) -> Answer:
    return await client.get(path, method="OPTIONS", headers=f"{headers}Access-Control-Request-Method: {method}\r\n")


async def test_a_page_of_a_named_origin_may_read_every_answer_also_errors(token: str, client: Client) -> None:
    for path, line, status, vary in (
        ("/api/v1/workers", token, 200, "Authorization, Accept-Encoding, Origin"),
        ("/metrics", token, 200, "Authorization, Accept, Accept-Encoding, Origin"),
        ("/livez", "", 200, "Origin"),
        ("/api/v1/workers", "", 401, "Authorization, Accept-Encoding, Origin"),
        ("/api/v1/nothing", token, 404, "Authorization, Accept-Encoding, Origin"),
        ("/api/v1/operations?limit=x", token, 400, "Authorization, Accept-Encoding, Origin"),
        ("/api/v1/workers", f"{token}If-None-Match: *\r\n", 304, "Authorization, Accept-Encoding, Origin"),
    ):
        for origin in (DASHBOARD, "http://localhost:3000"):
            answer = await client.get(path, headers=f"{line}Origin: {origin}\r\n")
            assert (answer.status, answer.headers["Vary"]) == (status, vary)
            assert shared(answer) == {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED}


async def test_a_page_of_any_other_origin_may_not_and_the_answer_is_as_ever(token: str, client: Client) -> None:
    plain = await client.get("/api/v1/workers", headers=token)
    for origin in OTHERS:
        answer = await client.get("/api/v1/workers", headers=f"{token}Origin: {origin}\r\n")
        assert (answer.status, answer.body, shared(answer)) == (200, plain.body, {})
        assert answer.headers["Vary"] == plain.headers["Vary"] == "Authorization, Accept-Encoding, Origin"
        asked = await preflight(client, "/api/v1/workers", "GET", f"Origin: {origin}\r\n")
        assert (asked.status, asked.body, shared(asked)) == (401, golden("error_no_credential"), {})


async def test_a_stream_of_events_has_the_headers_too(token: str, client: Client) -> None:
    reader, writer = await asyncio.open_connection(client.host, client.port)
    request = f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n{token}{FROM_DASHBOARD}\r\n"
    writer.write(request.encode())
    async with asyncio.timeout(PATIENCE_S):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    writer.close()
    await writer.wait_closed()
    assert head.startswith("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream")
    assert f"\r\nAccess-Control-Allow-Origin: {DASHBOARD}\r\n" in head
    assert "\r\nVary: Authorization, Accept-Encoding, Origin\r\n" in head


async def test_a_browser_learns_the_methods_of_every_route_without_a_credential(client: Client) -> None:
    for route in ROUTES:
        answer = await preflight(client, address(route), route.method)
        assert (answer.status, answer.body) == (204, b"")
        assert not {"Content-Length", "Content-Type"} & set(answer.headers)
        assert answer.headers["Access-Control-Allow-Methods"] == ", ".join(route.methods)


async def test_the_answer_to_a_browser_that_asks_first_is_exactly_this(client: Client) -> None:
    answer = await preflight(client, "/api/v1/drain", "POST")
    assert answer.headers["Vary"] == "Origin"
    assert shared(answer) == {
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "Authorization, Content-Type, If-None-Match, Last-Event-ID, Idempotency-Key",
        "Access-Control-Max-Age": "600",
        "Access-Control-Allow-Origin": DASHBOARD,
        "Access-Control-Expose-Headers": EXPOSED,
    }


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/", "/%ff"])
async def test_a_page_may_ask_where_there_is_nothing_and_read_that(client: Client, path: str) -> None:
    answer = await preflight(client, path, "GET")
    assert (answer.status, answer.headers["Access-Control-Allow-Methods"]) == (204, "GET, HEAD")


async def test_options_without_what_a_browser_asks_is_as_ever(token: str, client: Client) -> None:
    assert (await client.get("/api/v1/workers", method="OPTIONS", headers=FROM_DASHBOARD)).status == 401
    asks = "Access-Control-Request-Method: GET\r\n"
    assert (await client.get("/api/v1/workers", method="OPTIONS", headers=asks)).status == 401
    assert (await client.get("/api/v1/workers", method="OPTIONS", headers=token + FROM_DASHBOARD)).status == 405


async def test_a_connection_goes_on_after_it(client: Client) -> None:
    asked = f"OPTIONS /livez HTTP/1.1\r\nHost: localhost\r\n{FROM_DASHBOARD}Access-Control-Request-Method: GET\r\n\r\n"
    response = await client.exchange(f"{asked}GET /livez HTTP/1.0\r\n\r\n".encode())
    assert response.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert response.endswith(golden("livez"))


async def test_without_origins_nothing_is_said_of_them(config: Config, token: str, implementer: Implementer) -> None:
    async with serving(replace(config, http_options=HttpOptions())) as client:
        answer = await client.get("/api/v1/workers", headers=token + FROM_DASHBOARD)
        assert (answer.headers["Vary"], shared(answer)) == ("Authorization, Accept-Encoding", {})
        asked = await preflight(client, "/api/v1/workers", "GET")
        assert (asked.status, shared(asked)) == (401, {})

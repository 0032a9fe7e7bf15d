from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.config.types import Address, Authentication, Config
from tests.serve.authentication.showing import new_token, shown
from tests.serve.implementer import Implementer
from tests.serve.running import parse, serving
from tests.serve.test_routes import golden


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost", 200),
        ("GET /api/v1 HTTP/1.1\r\nHost: 127.0.0.1:50062", 200),
        ("GET /api/v1 HTTP/1.1\r\nHost: [::1]:1", 200),
        ("GET http://localhost/api/v1 HTTP/1.1\r\nHost: example.org", 200),
        ("GET /api/v1 HTTP/1.1\r\nHost: example.org", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: ", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost\r\nHost: example.org", 401),
        ("GET /api/v1 HTTP/1.1\r\nAccept: */*", 401),
        ("GET http://example.org/api/v1 HTTP/1.1\r\nHost: localhost", 401),
        ("GET http://[/api/v1 HTTP/1.1\r\nHost: localhost", 401),
        ("GET /api/v1 HTTP/1.0\r\nHost: localhost", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 127.0.0.1", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost\r\nx-forwarded-anything: ", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost\r\nForwarded: for=127.0.0.1", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost\r\nX-REAL-IP: 127.0.0.1", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost\r\nVia: 1.1 a", 401),
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost\r\nReferer: https://example.org/\r\nUser-Agent: a", 200),
    ],
)
async def test_a_request_reads_without_a_credential_if_everything_about_it_is_local(
    config: Config, implementer: Implementer, request_head: str, status: int
) -> None:
    await implementer.start()
    async with serving(config) as client:
        answer = await client.exchange(f"{request_head}\r\nConnection: close\r\n\r\n".encode())
    # What aiohttp does not take for HTTP does not come so far.
    assert int(answer.split(b" ")[1]) in ({status} if status == 200 else {status, 400})


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET /api/v1 HTTP/1.1\r\nHost: localhost:50062", 200),
        ("GET /api/v1 HTTP/1.1\r\nHost: [::1]\r\nX-Forwarded-For: 192.0.2.1", 200),
        ("GET http://localhost/api/v1 HTTP/1.1\r\nHost: example.org", 200),
        ("GET /api/v1 HTTP/1.0", 200),
        ("GET /livez HTTP/1.1\r\nHost: rebound.example", 200),
        ("GET /api/v1 HTTP/1.1\r\nHost: rebound.example:50062", 403),
        ("GET /api/v1 HTTP/1.1\r\nHost: rebound.example\r\nAuthorization: Bearer made-up", 403),
        ("GET http://rebound.example/api/v1 HTTP/1.1\r\nHost: localhost", 403),
        ("GET /api/v1/nothing HTTP/1.1\r\nHost: 127.0.0.1.rebound.example", 403),
        ("POST /api/v1/drain HTTP/1.1\r\nHost: rebound.example", 401),
    ],
)
async def test_where_nobody_needs_a_credential_loopback_is_asked_by_a_name_of_this_machine(
    config: Config, implementer: Implementer, request_head: str, status: int
) -> None:
    await implementer.start()
    async with serving(replace(config, authentication=Authentication.NONE)) as client:
        response = await client.exchange(f"{request_head}\r\nConnection: close\r\n\r\n".encode())
    answer = parse(response)
    assert answer.status == status
    if status == 403:
        assert answer.body == golden("error_foreign_host")


async def test_a_credential_counts_by_any_name(config: Config, implementer: Implementer) -> None:
    await implementer.start()
    line = shown(new_token(config))
    async with serving(replace(config, authentication=Authentication.NONE)) as client:
        response = await client.exchange(f"GET /api/v1 HTTP/1.1\r\nHost: a.example\r\n{line}Connection: close\r\n\r\n".encode())
    assert parse(response).status == 200


async def test_who_listens_to_others_is_asked_by_any_name(config: Config, implementer: Implementer) -> None:
    await implementer.start()
    config = replace(config, http=Address("0.0.0.0", 0), authentication=Authentication.NONE)
    async with serving(config) as client:
        response = await client.exchange(b"GET /api/v1 HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\n\r\n")
    assert parse(response).status == 200

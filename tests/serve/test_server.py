import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.config.types import Address, Authentication, Config
from gateway.serve.replica import Replica
from tests.serve.implementer import Implementer
from tests.serve.running import Client, parse, serving
from tests.serve.test_routes import fill, golden


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    await implementer.start()
    async with serving(config) as client:
        yield client


async def test_head_and_body_are_exactly_these_bytes(client: Client) -> None:
    response = await client.exchange(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    date = parse(response).headers["Date"]
    assert response == (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 18\r\nCache-Control: no-cache\r\n"
        b"X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
        b"Referrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: same-origin\r\n"
        b"Date: " + date.encode() + b'\r\nConnection: close\r\n\r\n{"status":"alive"}'
    )


async def test_nothing_says_which_software_answers(client: Client) -> None:
    for address in ("/livez", "/nothing", "/api/v1/operations?limit=x"):
        assert "Server" not in (await client.get(address)).headers
    assert b"Server" not in await client.exchange(b"nonsense\r\n\r\n")


async def test_a_connection_carries_many_requests_also_pipelined_and_a_body_that_nobody_asked_for(client: Client) -> None:
    response = await client.exchange(
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody"
        b"HEAD /api/v1/operations HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert response.count(b"HTTP/1.1 200 OK") == 4
    assert response.count(b"HTTP/1.1 404 Not Found") == 1
    assert response.count(b"Connection: close") == 1
    assert response.count(golden("livez")) == 2
    assert response.endswith(golden("livez"))


async def test_http_1_0_is_answered_and_closed_unless_it_wants_to_stay(client: Client) -> None:
    closed = await client.exchange(b"GET /livez HTTP/1.0\r\n\r\n")
    assert closed.endswith(golden("livez"))
    assert b"Connection: close" in closed
    stays = await client.exchange(b"GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /livez HTTP/1.0\r\n\r\n")
    assert stays.count(b"Connection: keep-alive") == 1
    assert stays.count(golden("livez")) == 2


async def test_what_is_no_http_gets_the_documented_error_and_is_disconnected(client: Client) -> None:
    for sent in (b"nonsense\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
        answer = parse(await client.exchange(sent))
        assert (answer.status, answer.body) == (400, golden("error_not_http"))
        assert answer.headers["Connection"] == "close"


async def test_a_line_over_the_bound_gets_the_documented_error(client: Client) -> None:
    for sent in (
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9_000 + b"\r\n\r\n",
    ):
        answer = parse(await client.exchange(sent))
        assert (answer.status, answer.body) == (400, golden("error_line_too_long"))


async def test_bytes_that_are_not_utf_8_get_the_documented_error(client: Client) -> None:
    answer = parse(await client.exchange(b"GET /api/v1/workers/\xff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    assert answer.status == 400
    assert answer.body in {golden("error_not_utf8"), golden("error_not_http")}


async def test_a_defect_is_500_without_details_and_logged(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(self: Replica, id_: str) -> bytes | None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Replica, "worker", fails)
    answer = await client.get("/api/v1/workers/a")
    assert (answer.status, answer.body) == (500, golden("error_internal"))
    assert "secret" in caplog.text
    assert (await client.get("/livez")).status == 200


async def test_requests_are_not_logged(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await client.get("/api/v1/workers")
    await client.get("/nothing")
    assert not [record for record in caplog.records if record.name.startswith("aiohttp")]


def addresses_of_this_machine() -> list[str]:
    """Not loopback; connecting a datagram socket asks the routing table and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


@pytest.mark.parametrize("authentication", list(Authentication))
async def test_a_peer_that_is_not_loopback_is_refused_unless_everybody_may_read(
    config: Config, implementer: Implementer, authentication: Authentication
) -> None:
    own = addresses_of_this_machine()
    if not own or own[0].startswith("127."):
        pytest.skip("this machine has no address but loopback")
    await implementer.start()
    async with serving(replace(config, http=Address("0.0.0.0", 0), authentication=authentication)) as client:
        outside = Client(client.port, own[0])
        for address in ("/api/v1/workers", "/api/v1/nothing", "/livez", "/metrics"):
            answer = await outside.get(address)
            if address == "/livez" or authentication is Authentication.NONE:
                assert answer.status in {200, 404}
            else:
                assert (answer.status, answer.body) == (401, golden("error_no_credential"))
                assert answer.headers["WWW-Authenticate"] == 'Bearer realm="nativelink-gateway"'


async def test_ids_that_a_parser_might_trip_over_are_answered(client: Client) -> None:
    for id_ in ("..", "%2e%2e", ".", "a//b", "%00", "a%20b", "%F0%9F%8C%B1", "%22%3C%3E", "a" * 5_000, ";a=b", "a:b@c", "*"):
        answer = await client.get(f"/api/v1/operations/{id_}")
        assert answer.status == 404
        assert answer.body.startswith(b'{"error":"Operation ')

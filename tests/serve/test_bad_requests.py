"""A thousand bad requests: each is told so, or hung up on; nothing leaks, nothing fails, and the next good one is answered."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from gateway.config.types import Authentication, Config
from tests.serve.authentication.showing import new_token, shown
from tests.serve.bad_requests import SMUGGLED, families
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Client, serving
from tests.serve.test_routes import fill

FAMILIES = families()
#: Asked at a time.
TOGETHER = 20
#: After a bad request comes one that ends the connection, so that all answers are seen and no end is waited for.
LAST = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
#: What would tell of the program, not of the request.
LEAKS = re.compile(rb"Traceback|File \"|aiohttp|site-packages|gateway\.serve|0x[0-9a-f]{8}")
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


#: A line that every request which is read to its end has.
HOST = b"Host: localhost\r\n"


@dataclass(frozen=True)
class Asked:
    """Of whom, and with what in every request."""

    client: Client
    credential: bytes


@pytest.fixture(params=["as anybody where nobody has to be known", "as anybody", "as a reader"])
async def asked(request: pytest.FixtureRequest, config: Config, implementer: Implementer) -> AsyncIterator[Asked]:
    fill(implementer)
    await implementer.start()
    token = shown(new_token(config)).encode() if request.param == "as a reader" else b""
    authentication = Authentication.AUTO if request.param.endswith("known") else Authentication.REQUIRED
    async with serving(replace(config, authentication=authentication)) as client:
        yield Asked(client, token)


async def answers(client: Client, request: bytes) -> bytes:
    """Everything that comes back until the connection ends."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    received = b""
    try:
        writer.write(request + LAST)
        async with asyncio.timeout(PATIENCE_S):
            while some := await reader.read(65_536):
                received += some
    except ConnectionResetError:
        # Hung up on while it was still talking.
        pass
    finally:
        writer.close()
    return received


def test_there_are_more_than_a_thousand_and_no_two_are_the_same() -> None:
    requests = [request for family in FAMILIES.values() for request in family]
    assert len(requests) > 1_000
    assert len(set(requests)) == len(requests)


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_bad_request_is_told_so_and_nothing_else_comes_of_it(
    family: str, asked: Asked, caplog: pytest.LogCaptureFixture
) -> None:
    requests = FAMILIES[family]
    caplog.set_level(logging.WARNING)
    free = asyncio.Semaphore(TOGETHER)

    async def ask(request: bytes) -> bytes:
        async with free:
            return await answers(asked.client, request.replace(HOST, HOST + asked.credential, 1))

    for request, received in zip(requests, await asyncio.gather(*map(ask, requests)), strict=True):
        statuses = [int(each) for each in STATUS.findall(received)]
        shown = (request[:300], received[:600])
        assert all(status < 500 for status in statuses), shown
        assert not LEAKS.search(received), shown
        assert SMUGGLED not in received, shown
        assert b"Set-Cookie" not in received.partition(b"\r\n\r\n")[0], shown
        # What follows it may be answered, but not in its place.
        assert not statuses or statuses[0] >= 400, shown
        for body in re.findall(rb"\r\n\r\n(\{[^\r]*\})(?=HTTP|$)", received):
            json.loads(body)
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR], caplog.text
    assert (await asked.client.get("/livez")).status == 200

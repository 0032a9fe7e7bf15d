"""Nothing that is shown, logged or printed has a secret in it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.resolved import to_json
from gateway.config.trust import Credentials, Role
from gateway.config.types import Authentication, Config
from gateway.serve import routes
from gateway.serve.authentication.caller import CALLER
from gateway.serve.authentication.first_token import make_first_token, show_first_token
from gateway.serve.authentication.gate import Gate
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.tokens import make_token
from gateway.serve.description.table import ROUTES
from gateway.serve.server import make_server
from tests.serve.authentication.issuing import Issuer, settings
from tests.serve.authentication.showing import NOW, new_token, shown
from tests.serve.description.described import address
from tests.serve.implementer import Implementer
from tests.serve.running import serving
from tests.serve.test_routes import fill

ISSUER = Issuer()


class Secrets:
    """Everything that must not get out: tokens that are known, others, and what is secret of each."""

    def __init__(self, config: Config) -> None:
        make_first_token(config.first_token_file)
        tokens = [new_token(config, role) for role in Role]
        tokens += [show_first_token(config.first_token_file), make_token("unknown", Role.READER, NOW)[0]]
        jwts = [ISSUER.token(), ISSUER.token(role=None), Issuer().token()]
        self.texts = tokens + jwts
        self._parts = [each[-64:] for each in tokens] + [part for each in jwts for part in each.split(".")[1:]]

    def are_in(self, text: str) -> list[str]:
        return [part for part in self._parts if part in text]


@pytest.fixture
def with_issuer(config: Config, tmp_path: Path) -> Config:
    """As a test's, with every kind of credential in it."""
    jwt = settings(tmp_path / "jwks.json", ISSUER)
    return replace(config, authentication=Authentication.REQUIRED, credentials=Credentials(jwt=jwt))


async def test_no_answer_and_no_line_of_the_log_has_one(
    with_issuer: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fill(implementer)
    await implementer.start()
    secrets = Secrets(with_issuer)
    said = []
    async with serving(with_issuer) as client:
        for text in secrets.texts:
            for route in ROUTES:
                # Of a stream without an end the head.
                method = "HEAD" if route.path.endswith("events") else route.method
                answer = await client.get(address(route), method=method, headers=shown(text) + "Content-Length: 0\r\n")
                said.append(f"{answer.headers} {answer.body!r}")
            for line in (f"Authorization: Bearer {text}\x00", f"Authorization: Bearer\r\n {text}", f"Authorization Bearer {text}"):
                request = f"GET /livez HTTP/1.1\r\nHost: localhost\r\n{line}\r\nConnection: close\r\n\r\n"
                said.append(repr(await client.exchange(request.encode())))
            said.append(repr(await client.exchange(f"Bearer {text}\r\n\r\n".encode())))

        def fails(*_: object) -> None:
            raise RuntimeError("the test says so")

        monkeypatch.setattr(routes, "no_parameters", fails)
        answer = await client.get("/metrics", headers=shown(secrets.texts[0]))
        assert answer.status == 500
        said.append(f"{answer.headers} {answer.body!r}")
    assert "the test says so" in caplog.text
    assert secrets.are_in("\n".join(said)) == []
    assert secrets.are_in(caplog.text) == []


async def test_nothing_that_may_be_printed_has_one(with_issuer: Config) -> None:
    secrets = Secrets(with_issuer)
    known = KnownTokens(with_issuer)
    gate = Gate(with_issuer, known, on_loopback=False)
    assert gate._web_tokens is not None
    for text in secrets.texts:
        gate._of_bearer(text)
    printed = [gate, known, known._known, known._made.tokens, known._first.tokens, vars(known), vars(known._made), vars(gate)]
    printed += [vars(gate._web_tokens), gate._web_tokens.source, gate.notes(), known.problems, CALLER, make_server]
    assert secrets.are_in("\n".join(map(repr, printed))) == []
    assert secrets.are_in(to_json(with_issuer)) == []


async def test_nothing_is_among_the_tasks_that_a_debugger_lists(with_issuer: Config, implementer: Implementer) -> None:
    await implementer.start()
    secrets = Secrets(with_issuer)
    async with serving(with_issuer) as client:
        await client.get("/api/v1", headers=shown(secrets.texts[0]))
        assert secrets.are_in("\n".join(map(repr, asyncio.all_tasks()))) == []

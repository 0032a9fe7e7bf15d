"""The table of who is answered what: every route there is, by every method, with every credential, in every mode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from gateway.config.trust import Credentials, Role
from gateway.config.types import Authentication, Config
from gateway.serve.authentication.first_token import make_first_token, show_first_token
from gateway.serve.authentication.tokens import make_token
from gateway.serve.description.table import ROUTES
from tests.serve.authentication.issuing import Issuer, settings
from tests.serve.authentication.showing import NOW, new_token, shown
from tests.serve.description.described import address
from tests.serve.implementer import Implementer
from tests.serve.metrics.scraped import of, samples
from tests.serve.running import Client, serving
from tests.serve.test_routes import fill

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
ISSUER = Issuer()
#: No routes, and what a stranger might try.
ELSEWHERE = ("/", "/api", "/api/v1/", "/api/v1/nothing", "/metrics/", "/livez/", "/%ff", "/api/v1/workers/%2e%2e/%2e%2e/livez")


@dataclass(frozen=True)
class Setup:
    """A configuration, and from where is asked."""

    authentication: Authentication
    #: Somebody has made tokens.
    has_tokens: bool = True
    local_read: bool = False
    #: A header that a proxy adds.
    forwarded: bool = False
    #: An issuer is configured.
    has_issuer: bool = False

    @property
    def reads_without(self) -> bool:
        """As docs/security.md has it."""
        if self.authentication is Authentication.AUTO:
            return not self.forwarded and (self.local_read or not (self.has_tokens or self.has_issuer))
        return self.authentication is Authentication.NONE


SETUPS = [
    Setup(Authentication.AUTO, has_tokens=False),
    Setup(Authentication.AUTO, has_tokens=False, forwarded=True),
    Setup(Authentication.AUTO),
    Setup(Authentication.AUTO, local_read=True),
    Setup(Authentication.AUTO, local_read=True, forwarded=True),
    Setup(Authentication.REQUIRED, has_tokens=False),
    Setup(Authentication.REQUIRED),
    Setup(Authentication.AUTO, has_tokens=False, has_issuer=True),
    Setup(Authentication.REQUIRED, has_issuer=True),
    Setup(Authentication.NONE, has_tokens=False),
    Setup(Authentication.NONE, forwarded=True),
]


def needed() -> Iterator[tuple[str, str, Role | None]]:
    """Address, method and role, of the table of routes and of what is none."""
    roles = {(route.path, method): route.role for route in ROUTES for method in route.methods}
    for route in ROUTES:
        for method in METHODS:
            # That there is no such method is a reader's to know.
            otherwise = None if route.role is None else Role.READER
            yield address(route), method, roles.get((route.path, method), otherwise)
    for path in ELSEWHERE:
        for method in METHODS:
            yield path, method, Role.READER


def expected(setup: Setup, credential: Role | str | None, role: Role | None) -> int | None:
    """401, 403, or None: anything else."""
    if role is None:
        return None
    if isinstance(credential, Role):
        return None if credential.includes(role) else 403
    if credential == "JWT without a role":
        return 403
    if credential in {f"JWT {each.value}" for each in Role}:
        return None if role.value in credential or "operator" in credential else 403
    ignored = credential is None or setup.authentication is Authentication.NONE
    return None if ignored and setup.reads_without and role is Role.READER else 401


@pytest.fixture
async def implementer(implementer: Implementer) -> Implementer:
    fill(implementer)
    await implementer.start()
    return implementer


def credentials(config: Config, setup: Setup) -> dict[Role | str | None, str]:
    """{what it is: the line of the request}"""
    bad, _ = make_token("bad", Role.OPERATOR, NOW)
    found: dict[Role | str | None, str] = {None: "", "bad": shown(bad)}
    if setup.has_issuer:
        found |= {f"JWT {role.value}": shown(ISSUER.token(role=role.value)) for role in Role}
        found |= {"JWT without a role": shown(ISSUER.token(role=None)), "bad JWT": shown(Issuer().token())}
    if setup.has_tokens:
        return found | {role: shown(new_token(config, role)) for role in Role}
    if setup.authentication is not Authentication.NONE:
        make_first_token(config.first_token_file)
        found[Role.READER] = shown(show_first_token(config.first_token_file))
    return found


@pytest.mark.parametrize("setup", SETUPS, ids=str)
async def test_every_route_answers_every_method_and_credential_as_its_role_says(
    config: Config, implementer: Implementer, setup: Setup
) -> None:
    jwt = settings(config.state_dir / "jwks.json", ISSUER) if setup.has_issuer else None
    kept = Credentials(local_read=setup.local_read, jwt=jwt)
    config = replace(config, authentication=setup.authentication, credentials=kept)
    lines = credentials(config, setup)
    forwarded = "X-Forwarded-For: 192.0.2.1\r\n" if setup.forwarded else ""
    wrong = []
    async with serving(config) as client:
        for path, method, role in needed():
            for credential, line in lines.items():
                status = await client.status(path, method=method, headers=line + forwarded)
                right = expected(setup, credential, role)
                if (status if status in {401, 403} else None) != right:
                    wrong.append((path, method, credential, status, right))
    assert not wrong


@pytest.mark.parametrize("line", ["", "Authorization: Bearer nlg_\r\n"])
async def test_a_refusal_is_the_same_whatever_there_is(config: Config, implementer: Implementer, line: str) -> None:
    async with serving(replace(config, authentication=Authentication.REQUIRED)) as client:
        found = {
            (answer.status, answer.body, answer.headers["WWW-Authenticate"], *sorted(set(answer.headers) - {"Date"}))
            for path in ("/api/v1/workers/worker-123", "/api/v1/workers/nobody", "/api/v1/operations?limit=x", *ELSEWHERE)
            for answer in [await client.get(path, headers=line)]
        }
    assert len(found) == 1


async def test_refusals_are_counted_by_why(config: Config, implementer: Implementer) -> None:
    reader = shown(new_token(config))
    async with serving(replace(config, authentication=Authentication.REQUIRED)) as client:
        for line in ("", "Authorization: Bearer nlg_\r\n", "Authorization: Bearer other\r\n"):
            assert await client.status("/api/v1", headers=line) == 401
        assert await client.status("/api/v1/drain", method="POST", headers=reader) == 403
        assert await counted(client, reader) == {"missing": 1, "unknown": 2, "role": 1, "host": 0}
    async with serving(replace(config, authentication=Authentication.NONE)) as client:
        foreign = b"GET /api/v1 HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n"
        assert (await client.exchange(foreign)).startswith(b"HTTP/1.1 403")
        assert await counted(client) == {"missing": 0, "unknown": 0, "role": 0, "host": 1}


async def counted(client: Client, headers: str = "") -> dict[str, float]:
    """Requests that were refused, by why."""
    found = samples((await client.get("/metrics", headers=headers)).body)
    return of(found, "nativelink_gateway_http_requests_refused_total")


async def test_what_is_no_http_is_told_so_before_anybody_is_asked_for_a_credential(config: Config) -> None:
    async with serving(replace(config, authentication=Authentication.REQUIRED), ready=False) as client:
        assert (await client.exchange(b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400")


async def test_who_revokes_a_token_is_heard_by_the_next_request_after_a_second(config: Config, implementer: Implementer) -> None:
    token = new_token(config)
    async with serving(config) as client:
        assert (await client.get("/api/v1", headers=shown(token))).status == 200
        config.tokens_file.unlink()
        await refused(client, token)


async def refused(client: Client, token: str) -> None:
    """Wait until it is."""
    while (await client.get("/api/v1", headers=shown(token))).status == 200:
        pass
    answer = await client.get("/api/v1", headers=shown(token))
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="nativelink-gateway", error="invalid_token"')

"""The table of routes against the process that serves: everything that is described is so, and nothing else is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace

import grpc
import pytest

from gateway.config.types import Address, Config, Introspection
from gateway.pb import introspection_pb2 as pb
from gateway.serve import waiting
from gateway.serve.authentication.caller import Identity, Kind
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.refusal import Refusals
from gateway.serve.authentication.role import Role
from gateway.serve.description import table
from gateway.serve.description.drain_table import DRAIN_ROUTES
from gateway.serve.description.entry import Parameter, Route
from gateway.serve.description.table import ROUTES
from gateway.serve.drains import body
from gateway.serve.events import publisher
from gateway.serve.overview import Overview
from gateway.serve.parameters import PROPERTY
from gateway.serve.routes import Routes
from gateway.serve.siblings import Siblings
from gateway.serve.upstream import Upstream
from tests.serve.builders import documented_drain
from tests.serve.description.described import address, conforms, said, written
from tests.serve.implementer import Implementer
from tests.serve.running import Answer, Client, parse, serving
from tests.serve.test_routes import fill

#: Addresses of the same route that are answered in another way.
VARIANTS = {
    table.WORKERS: ("view=full", "limit=1", "limit=0"),
    table.WORKER: ("view=full",),
    table.OPERATIONS: ("view=full", "limit=1", "limit=0", "stage=completed"),
    table.OPERATION: ("view=full", "wait_for=completed&timeout=0", "wait_for=executing"),
}
JSON = "Content-Type: application/json\r\n"
OPERATOR = "Authorization: Bearer operator\r\n"
ASK_UPSTREAM = (table.WORKERS, table.WORKER, table.OPERATIONS, table.OPERATION)


@pytest.fixture(autouse=True)
def _operator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody who may everything."""
    somebody = Identity("operator", Kind.TOKEN, Role.OPERATOR)
    monkeypatch.setattr(KnownTokens, "identify", lambda _, token: somebody if token == "operator" else None)  # noqa: S105


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    fill(implementer)
    implementer.drains["0c6b2f9d41aa"] = documented_drain()
    await implementer.start()
    async with serving(config) as client:
        yield client


async def ask(client: Client, route: Route, query: str = "", headers: str = "", credential: str = OPERATOR) -> Answer:
    """The answer to the route's example; of what has no end, the head. Who changes something says who they are."""
    if route.method == "POST":
        sent = headers if "Content-Type" in headers else f"Content-Type: application/json\r\n{headers}"
        answer = await client.post(address(route, query), said(route), f"{sent}{credential}")
        conforms(route, answer, "POST")
        return answer
    method = "HEAD" if route is table.EVENTS else "GET"
    answer = await client.get(address(route, query), method=method, headers=headers)
    conforms(route, answer, method)
    return answer


def test_what_is_served_is_what_is_described(config: Config) -> None:
    served = Routes(
        Upstream(config),
        Overview(Upstream(config)),
        Siblings(config.serve_sockets, 0),
        Refusals(),
        config.state_dir,
        now=lambda: 0.0,
    ).served
    assert set(served) == set(ROUTES)
    assert len(served) == len(ROUTES)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
@pytest.mark.parametrize("coding", ["", "gzip", "zstd"])
async def test_every_answer_is_as_described(client: Client, route: Route, coding: str) -> None:
    headers = f"Accept-Encoding: {coding}\r\n" if coding else ""
    for query in ("", *VARIANTS.get(route, ())):
        assert (await ask(client, route, query, headers)).status == 200
        if "HEAD" in route.methods:
            head = await client.get(address(route, query), method="HEAD", headers=headers)
            conforms(route, head, "HEAD")


async def test_what_is_said_to_be_there_sometimes_is(client: Client, implementer: Implementer) -> None:
    """Every header of every success; Age comes once upstream is away."""
    seen: dict[Route, set[str]] = {route: set() for route in ROUTES}

    async def look() -> None:
        for route in ROUTES:
            for query in ("", *VARIANTS.get(route, ())):
                seen[route] |= {*(await ask(client, route, query)).headers}
                seen[route] |= {*(await ask(client, route, query, "Accept-Encoding: gzip\r\n")).headers}

    # Enough for it to be worth compressing.
    implementer.set([pb.Worker(id=f"worker-{number}", arrival=number) for number in range(100, 120)])
    await client.until("/api/v1/workers", lambda answer: answer.headers["X-Total-Count"] == "23")
    await look()
    await implementer.stop()
    await client.until("/api/v1/workers", lambda answer: "Age" in answer.headers)
    await look()
    for route in ROUTES:
        answer = next(each for each in route.answers if each.status == 200)
        assert {header.name for header in (*answer.always, *answer.perhaps)} <= seen[route]


def asked(route: Route, parameter: Parameter) -> str:
    """An address that says it; what makes sense with another only gets that too."""
    return f"wait_for=executing&{written(parameter)}" if parameter.name == "timeout" else written(parameter)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_every_parameter_that_is_described_is_taken_and_no_other(client: Client, route: Route) -> None:
    known = {parameter.name for parameter in route.parameters}
    for parameter in route.parameters:
        query = asked(route, parameter).replace("wait_for=completed", "wait_for=executing")
        assert (await ask(client, route, query)).status == 200
        assert (await ask(client, route, f"{query}&{query.rpartition('&')[2]}")).status == 400
    others = {parameter.name: parameter for each in ROUTES for parameter in each.parameters if parameter.name not in known}
    for parameter in others.values():
        assert (await ask(client, route, written(parameter))).status == 400
    for name in ("colour", PROPERTY, "View", ""):
        assert (await ask(client, route, f"{name}=1")).status == 400


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_every_word_and_bound_that_is_described_is_taken_and_what_is_beyond_is_not(client: Client, route: Route) -> None:
    together = {"timeout": "&wait_for=executing"}
    for parameter in route.parameters:
        schema = parameter.schema
        words = schema.get("enum") or schema.get("items", {}).get("enum", ())
        ends = [schema["minimum"], schema["maximum"]] if "maximum" in schema else []
        beyond = [schema["minimum"] - 1, schema["maximum"] + 1] if ends else ["colour", f"{','.join(words)},"] if words else []
        for value in (*words, *ends, *([",".join(words)] if schema["type"] == "array" else [])):
            query = f"{parameter.name}={value}{together.get(parameter.name, '')}"
            # Nobody is waited for here.
            query += "&timeout=0" if parameter.name == "wait_for" else ""
            assert (await ask(client, route, query)).status == 200, query
        for value in beyond:
            query = f"{parameter.name}={value}{together.get(parameter.name, '')}"
            assert (await ask(client, route, query)).status == 400, query


class Trouble:
    """Brings each route to each of its answers."""

    def __init__(self, config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.config = config
        self.implementer = implementer
        self.patch = monkeypatch

    async def ok(self, client: Client, route: Route) -> Answer:
        return await ask(client, route)

    async def unchanged(self, client: Client, route: Route) -> Answer:
        tag = (await ask(client, route)).headers["ETag"]
        return await ask(client, route, headers=f"If-None-Match: {tag}\r\n")

    async def bad(self, client: Client, route: Route) -> Answer:
        return await ask(client, route, "colour=red")

    async def unauthenticated(self, client: Client, route: Route) -> Answer:
        return await ask(client, route, headers="Via: 1.1 proxy\r\n", credential="")

    async def forbidden(self, client: Client, route: Route) -> Answer:
        self.patch.setattr(KnownTokens, "identify", lambda *_: Identity("somebody", Kind.TOKEN, None))
        return await ask(client, route, headers="Authorization: Bearer a\r\n", credential="")

    async def missing(self, client: Client, route: Route) -> Answer:
        return await ask(client, replace(route, example_id="nobody"))

    async def defect(self, client: Client, route: Route) -> Answer:
        def fails(*_: object) -> None:
            raise RuntimeError("the test says so")

        self.patch.setattr(Routes, "find", fails)
        return await ask(client, route)

    async def conflict(self, client: Client, route: Route) -> Answer:
        return await self.refused(client, route, grpc.StatusCode.FAILED_PRECONDITION)

    async def key_reused(self, client: Client, route: Route) -> Answer:
        return await self.refused(client, route, grpc.StatusCode.ALREADY_EXISTS)

    async def not_offered(self, client: Client, route: Route) -> Answer:
        return await self.refused(client, route, grpc.StatusCode.UNIMPLEMENTED)

    async def refused_by_nativelink(self, client: Client, route: Route) -> Answer:
        return await self.refused(client, route, grpc.StatusCode.UNKNOWN)

    async def refused(self, client: Client, route: Route, code: grpc.StatusCode) -> Answer:
        self.implementer.refuse_drains_with = (code, "the test says so")
        return await ask(client, route)

    async def late_body(self, client: Client, route: Route) -> Answer:
        self.patch.setattr(body, "BODY_S", 0.05)
        head = (
            f"POST {address(route)} HTTP/1.1\r\nHost: localhost\r\n{JSON}{OPERATOR}Content-Length: 9\r\nConnection: close\r\n\r\n{{"
        )
        answer = parse(await client.exchange(head.encode()))
        conforms(route, answer, "POST")
        return answer

    async def too_large(self, client: Client, route: Route) -> Answer:
        self.patch.setattr(body, "BODY_MAX", 1)
        answer = await client.post(address(route), "{ }", f"{JSON}{OPERATOR}")
        conforms(route, answer, "POST")
        return answer

    async def not_json(self, client: Client, route: Route) -> Answer:
        return await ask(client, route, headers="Content-Type: text/plain\r\n")

    async def late(self, client: Client, route: Route) -> Answer:
        if route in DRAIN_ROUTES:
            return await self.refused(client, route, grpc.StatusCode.DEADLINE_EXCEEDED)
        self.implementer.refuse_lists_with = grpc.StatusCode.DEADLINE_EXCEEDED
        return await ask(client, route, "view=full")


PROVOKED: dict[int, Callable[[Trouble, Client, Route], Awaitable[Answer]]] = {
    200: Trouble.ok,
    304: Trouble.unchanged,
    400: Trouble.bad,
    401: Trouble.unauthenticated,
    403: Trouble.forbidden,
    404: Trouble.missing,
    408: Trouble.late_body,
    409: Trouble.conflict,
    413: Trouble.too_large,
    415: Trouble.not_json,
    422: Trouble.key_reused,
    500: Trouble.defect,
    501: Trouble.not_offered,
    502: Trouble.refused_by_nativelink,
    504: Trouble.late,
}


def answers() -> Iterator[tuple[Route, int]]:
    return ((route, answer.status) for route in ROUTES for answer in route.answers)


@pytest.mark.parametrize(
    ("route", "status"),
    [(route, status) for route, status in answers() if status != 503],
    ids=lambda each: each.path if isinstance(each, Route) else str(each),
)
async def test_every_status_that_is_described_comes(
    client: Client, config: Config, implementer: Implementer, monkeypatch: pytest.MonkeyPatch, route: Route, status: int
) -> None:
    with monkeypatch.context() as patch:
        answer = await PROVOKED[status](Trouble(config, implementer, patch), client, route)
    assert answer.status == status


async def test_503_comes_where_it_is_described_and_nowhere_else(config: Config) -> None:
    nowhere = replace(config, introspection=Introspection(endpoint=Address("127.0.0.1", 1)))
    described = {route for route, status in answers() if status == 503}
    async with serving(nowhere, ready=False) as client:
        assert {route for route in ROUTES if (await ask(client, route)).status == 503} == described


async def test_503_comes_too_where_upstream_is_asked_and_away(client: Client, implementer: Implementer) -> None:
    implementer.refuse_lists_with = grpc.StatusCode.UNAVAILABLE
    for route in ASK_UPSTREAM:
        assert (await ask(client, route, "view=full")).status == 503


async def test_503_comes_too_where_too_many_wait_or_listen(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "WAITING_MAX", 0)
    monkeypatch.setattr(publisher, "CLIENTS_MAX", 0)
    assert (await ask(client, table.OPERATION, "wait_for=completed")).status == 503
    assert (await ask(client, table.EVENTS)).status == 503


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_a_slash_behind_a_path_is_another_path(client: Client, route: Route) -> None:
    answer = await client.get(f"{address(route)}/")
    assert answer.status == 404
    assert (b"Path" in answer.body) is not route.takes_id

from __future__ import annotations

import pytest

from gateway.serve.authentication.role import Role
from gateway.serve.description.entry import Route
from gateway.serve.routing import Found, Routing
from gateway.serve.target import Target


def route(method: str, path: str, role: Role | None = Role.READER) -> Route:
    return Route(path, f"{method} {path}", "workers", "A route.", (), method=method, role=role)


LIST = route("GET", "/workers")
ADD = route("POST", "/workers", Role.OPERATOR)
ONE = route("GET", "/workers/{id}")
DRAIN = route("POST", "/workers/{id}/drain", Role.OPERATOR)
LIVE = route("GET", "/livez", None)
ROUTING = Routing([LIST, ADD, ONE, DRAIN, LIVE])


@pytest.mark.parametrize(
    ("method", "path", "found", "id_"),
    [
        ("GET", "/workers", LIST, ""),
        ("HEAD", "/workers", LIST, ""),
        ("POST", "/workers", ADD, ""),
        ("GET", "/workers/a", ONE, "a"),
        ("GET", "/workers/a/b", ONE, "a/b"),
        ("HEAD", "/workers//", ONE, "/"),
        ("POST", "/workers/a/drain", DRAIN, "a"),
        ("POST", "/workers/a/drain/drain", DRAIN, "a/drain"),
        ("GET", "/workers/a/drain", ONE, "a/drain"),
        ("GET", "/workers/drain", ONE, "drain"),
        ("GET", "/livez", LIVE, ""),
    ],
)
def test_a_method_and_a_path_have_their_route(method: str, path: str, found: Route, id_: str) -> None:
    assert ROUTING.find(method, path) == Found(method, Target(path, ()), found, id_, found.path, found.methods, found.role)


@pytest.mark.parametrize("path", ["/", "", "/worker", "/workers/", "/workersa", "/livez/", "/livez/a"])
def test_what_is_no_route_is_a_readers_to_know(path: str) -> None:
    found = ROUTING.find("GET", path)
    assert (found.route, found.path, found.allowed, found.role) == (None, None, (), Role.READER)


@pytest.mark.parametrize(
    ("method", "path", "template", "allowed", "role"),
    [
        ("PUT", "/workers", "/workers", ("GET", "HEAD", "POST"), Role.READER),
        ("POST", "/workers/a", "/workers/{id}", ("GET", "HEAD"), Role.READER),
        ("PUT", "/workers/a/drain", "/workers/{id}/drain", ("POST",), Role.READER),
        ("get", "/livez", "/livez", ("GET", "HEAD"), None),
    ],
)
def test_another_method_is_told_which_ones_there_are(
    method: str, path: str, template: str, allowed: tuple[str, ...], role: Role | None
) -> None:
    assert ROUTING.find(method, path) == Found(method, Target(path, ()), None, "", template, allowed, role)

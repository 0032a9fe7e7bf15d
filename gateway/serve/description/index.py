"""Index: the routes come in, the body of GET /api/v1 goes out, in lines: people read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from gateway.serve.description.entry import Route
from gateway.serve.shape import says, to_json


class RouteJson(msgspec.Struct, frozen=True, gc=False):
    """A route of GET /api/v1."""

    method: Annotated[str, says("Where it is GET, HEAD is answered too.")]
    path: Annotated[str, says("`{id}` stands for an id.")]
    role: Annotated[str | None, says("What who asks has to be, reader or operator; null: anybody may.")]
    summary: Annotated[str, says("What it answers.")]


class IndexJson(msgspec.Struct, frozen=True, gc=False):
    """GET /api/v1."""

    openapi: Annotated[str, says("Where the description is, with all parameters and answers.")]
    routes: Annotated[list[RouteJson], says("All of them.")]


def route_json(route: Route) -> RouteJson:
    """One of them."""
    return RouteJson(route.method, route.path, route.role and route.role.value, route.summary)


def index_body(openapi: str, routes: Iterable[Route]) -> bytes:
    """The body.

    Args:
        openapi: the path of the description.
        routes: what there is.
    """
    index = IndexJson(openapi, [route_json(route) for route in routes])
    return msgspec.json.format(to_json(index), indent=2)

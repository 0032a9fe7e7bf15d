"""Index: the routes come in, the body of GET /api/v1 goes out, in lines: people read it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from gateway.serve.description.entry import Route
from gateway.serve.shape import says, to_json


class RouteJson(msgspec.Struct, frozen=True, gc=False):
    """A route of GET /api/v1."""

    method: Annotated[str, says("GET; HEAD is always answered too.")]
    path: Annotated[str, says("`{id}` stands for an id.")]
    summary: Annotated[str, says("What it answers.")]


class IndexJson(msgspec.Struct, frozen=True, gc=False):
    """GET /api/v1."""

    openapi: Annotated[str, says("Where the description is, with all parameters and answers.")]
    routes: Annotated[list[RouteJson], says("All of them.")]


def index_body(openapi: str, routes: Iterable[Route]) -> bytes:
    """The body.

    Args:
        openapi: the path of the description.
        routes: what there is.
    """
    index = IndexJson(openapi, [RouteJson("GET", route.path, route.summary) for route in routes])
    return msgspec.json.format(to_json(index), indent=2)

"""Document: the routes come in, the OpenAPI 3.1 document about them goes out, with schemas made of the types that are encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gateway.serve.description.entry import Answer, Header, Media, Parameter, Route, Schema

_ABOUT = """\
What a NativeLink scheduler is doing, as the gateway in front of it sees it. `null` is "not known", never zero. Times are Unix
seconds.

An address that answers GET answers HEAD; any other method is 405 with `Allow`. An unknown path is 404. Whatever is no success is
`{"error": TEXT}`. A parameter that is not known, or given twice, is 400. Words of filters are read in any case. Ids are
percent-encoded; a slash in one may stay as it is. Every answer has `Date`, and a body whose length is known beforehand has
`Content-Length`. For browsers each has `X-Content-Type-Options`, `Content-Security-Policy`, `Referrer-Policy` and
`Cross-Origin-Resource-Policy`; docs/limits.md has what connections may do.

What is for a role wants a credential: `Authorization: Bearer TOKEN`, or a client certificate (docs/security.md, also of when this
machine does without). Its answers have `Cache-Control: private, no-cache` and `Vary: Authorization, Accept-Encoding`. The role
`operator` includes `reader`.
"""
_TAGS = {
    "workers": "Who runs actions.",
    "operations": "Actions that somebody wants to be run.",
    "events": "Changes of both.",
    "drains": "That workers get no more work: what changes NativeLink.",
    "scheduler": "How much of both there is.",
    "system": "The gateway itself.",
}
#: What is accepted of who asks.
_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of `nativelink-gateway token new`, or a JSON Web Token of the configured issuer.",
    },
    "certificate": {"type": "mutualTLS", "description": "A client's certificate that the configuration knows."},
}
#: {a type: its schema}
_Known = Mapping[Any, Any]
_SCHEMAS, _RESPONSES = "#/components/schemas/", "#/components/responses/"


def document_body(routes: Sequence[Route]) -> bytes:
    """The body of GET /api/v1/openapi.json."""
    return msgspec.json.encode(document(routes))


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document; it is JSON."""
    types = list(dict.fromkeys(type_ for media in _bodies(routes) for type_ in media.types))
    schemas, components = msgspec.json.schema_components(types, ref_template=f"{_SCHEMAS}{{name}}")
    known = dict(zip(types, schemas, strict=True))
    shared = {answer.name: answer for answer in _answers(routes) if answer.name}
    made = {
        "openapi": "3.1.0",
        "info": {"title": "NativeLink Monitoring API", "version": "1", "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": _paths(routes, known),
        "components": {
            "schemas": components,
            "responses": {name: _response(answer, known) for name, answer in shared.items()},
            "securitySchemes": _SCHEMES,
        },
    }
    named: dict[str, Any] = _renamed(made)
    return named


_LICENSE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def _answers(routes: Iterable[Route]) -> Iterator[Answer]:
    return (answer for route in routes for answer in route.answers)


def _bodies(routes: Iterable[Route]) -> Iterator[Media]:
    for route in routes:
        if route.body is not None:
            yield route.body
        for answer in route.answers:
            yield from answer.media.values()


def _paths(routes: Iterable[Route], known: _Known) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {}).update(_operations(route, known))
    return paths


def _operations(route: Route, known: _Known) -> dict[str, Any]:
    """Of each of its methods."""
    parameters = [_parameter(each, "query") for each in route.parameters] + [_parameter(each, "header") for each in route.headers]
    if route.takes_id:
        id_ = Parameter("id", "As the list shows it.", {"type": "string", "minLength": 1}, route.example_id)
        parameters.insert(0, _parameter(id_, "path"))
    answers = sorted(route.answers, key=lambda answer: answer.status)
    operation = {
        "tags": [route.tag],
        "summary": route.summary,
        **({"description": route.text} if route.text else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _request(route.body, known)} if route.body is not None else {}),
        # A list of roles, for what is no OAuth (OpenAPI 3.1, Security Requirement Object).
        "security": [{scheme: [route.role.value]} for scheme in _SCHEMES] if route.role else [],
    }
    whole = {
        str(answer.status): {"$ref": f"{_RESPONSES}{answer.name}"} if answer.name else _response(answer, known)
        for answer in answers
    }
    head = {str(answer.status): _response(answer, known, has_body=False) for answer in answers}
    operations = {route.method.lower(): {**operation, "operationId": route.name, "responses": whole}}
    if "HEAD" in route.methods:
        operations["head"] = {
            **operation,
            "summary": f"{route.summary} Without the body.",
            "operationId": f"{route.name}Head",
            "responses": head,
        }
    return operations


def _parameter(parameter: Parameter, where: str) -> dict[str, Any]:
    made = {
        "name": parameter.name,
        "in": where,
        "required": where == "path",
        "description": parameter.text,
        "schema": parameter.schema,
        "example": parameter.example,
    }
    if parameter.schema["type"] == "array":
        made |= {"style": "form", "explode": False}
    elif parameter.schema["type"] == "object":
        made |= {"style": "form", "explode": True}
    return made


def _request(body: Media, known: _Known) -> dict[str, Any]:
    content = {"schema": _schema(body, known), "example": msgspec.to_builtins(body.example)}
    return {"required": body.example != {}, "content": {"application/json": content}}


def _response(answer: Answer, known: _Known, *, has_body: bool = True) -> dict[str, Any]:
    headers = {
        **{each.name: _header(each, required=True) for each in answer.always},
        **{each.name: _header(each, required=False) for each in answer.perhaps},
    }
    content = {
        name: {"schema": _schema(media, known), "example": msgspec.to_builtins(media.example)}
        for name, media in answer.media.items()
    }
    return {
        "description": answer.text,
        **({"headers": headers} if headers else {}),
        **({"content": content} if content and has_body else {}),
    }


def _schema(media: Media, known: _Known) -> Schema:
    found = [known[type_] for type_ in media.types]
    schema = found[0] if len(found) == 1 else {"anyOf": found}
    return {"type": "array", "items": schema} if media.is_list else schema


def _header(header: Header, *, required: bool) -> dict[str, Any]:
    return {"description": header.text, "required": required, "schema": header.schema}


def _renamed(value: Any) -> Any:
    """Schemas are called what they show: Worker, not WorkerJson."""
    if isinstance(value, Mapping):
        return {key.removesuffix("Json"): _renamed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_renamed(each) for each in value]
    return value.removesuffix("Json") if isinstance(value, str) else value

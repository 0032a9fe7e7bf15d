"""The document, and answers held against it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs

from gateway.serve import reply
from gateway.serve.description.document import document
from gateway.serve.description.entry import Parameter, Route
from gateway.serve.description.table import EXPOSITION, ROUTES
from tests.serve.running import Answer

DOCUMENT = document(ROUTES)
#: Framing, which HTTP has for every answer.
FRAMING = {"Date", "Content-Type", "Content-Length", "Connection", "Cache-Control", "Vary"}
#: Of every answer, for browsers.
SECURITY = dict(line.split(": ", 1) for line in reply.SECURITY.split("\r\n"))
BY_PATH = {route.path: route for route in ROUTES}


def closed(schema: Any) -> Any:
    """Objects have the fields that are described and no others: clients may be tolerant, the test is not."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: closed(value) for key, value in schema.items()}
    return {**made, "additionalProperties": False} if isinstance(schema.get("properties"), dict) else made


def fits(value: Any, schema: Any) -> None:
    """The value is as the schema says.

    Raises:
        jsonschema_rs.ValidationError: it is not.
    """
    whole = {**schema, "components": DOCUMENT["components"]}
    jsonschema_rs.validator_for(closed(whole)).validate(value)


def address(route: Route, query: str = "") -> str:
    """Where the route's example is."""
    return f"{route.path.replace('{id}', route.example_id)}{'?' if query else ''}{query}"


def said(route: Route) -> str:
    """The body of the route's example."""
    return "" if route.body is None else json.dumps(route.body.example)


def written(parameter: Parameter) -> str:
    """The parameter's example in an address."""
    example = parameter.example
    if isinstance(example, dict):
        return "&".join(f"{name}={value}" for name, value in example.items())
    return f"{parameter.name}={','.join(example) if isinstance(example, list) else example}"


def conforms(route: Route, answer: Answer, method: str = "GET") -> None:
    """The answer is one that the document has: status, headers, type, body."""
    responses = DOCUMENT["paths"][route.path][method.lower()]["responses"]
    described = responses[str(answer.status)]
    assert "304" in responses or "ETag" not in answer.headers
    if "$ref" in described:
        described = DOCUMENT["components"]["responses"][described["$ref"].rpartition("/")[2]]
    is_success = answer.status in {200, 304}
    assert answer.headers["Cache-Control"] == ("no-cache" if route.role is None and is_success else "private, no-cache")
    varies = {"Authorization", "Accept-Encoding"} | ({"Accept"} if route is EXPOSITION and is_success else set())
    assert set(answer.headers.get("Vary", "").split(", ")) == (varies if "private" in answer.headers["Cache-Control"] else {""})
    headers = described.get("headers", {})
    assert {name for name, header in headers.items() if header["required"]} <= set(answer.headers)
    assert SECURITY.items() <= answer.headers.items()
    assert set(answer.headers) - FRAMING - set(SECURITY) <= set(headers)
    for name in set(headers) & set(answer.headers):
        text = answer.headers[name]
        fits(int(text) if headers[name]["schema"]["type"] == "integer" else text, headers[name]["schema"])
    if method == "HEAD":
        assert "content" not in described
        assert answer.body == b""
    elif "content" in described:
        media = answer.headers["Content-Type"].partition(";")[0]
        if answer.headers.get("Content-Encoding") is None:
            body = json.loads(answer.body) if media == "application/json" else answer.body.decode()
            fits(body, described["content"][media]["schema"])
    else:
        assert answer.body == b""
        assert "Content-Type" not in answer.headers

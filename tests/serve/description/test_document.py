from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.serve.authentication.role import Role
from gateway.serve.description.document import document, document_body
from gateway.serve.description.table import ROUTES, WORKERS
from tests.serve.description.described import DOCUMENT, fits

GOLDEN = Path(__file__).parents[2] / "golden"
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in item]


def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_is_the_golden_one() -> None:
    """scripts/reference writes it."""
    text = (GOLDEN / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(document_body(ROUTES)) == json.loads(text) == DOCUMENT


def test_every_route_has_its_methods_and_nothing_else() -> None:
    assert set(OPERATIONS) == {(route.path, method.lower()) for route in ROUTES for method in route.methods}
    assert [*DOCUMENT["paths"]] == [*dict.fromkeys(route.path for route in ROUTES)]
    for item in DOCUMENT["paths"].values():
        if "head" in item:
            assert item["head"]["responses"].keys() == item["get"]["responses"].keys()


def test_every_operation_says_for_whom_it_is() -> None:
    for route in ROUTES:
        for method in route.methods:
            asks = DOCUMENT["paths"][route.path][method.lower()]["security"]
            assert asks == ([{each: [route.role.value]} for each in ("bearer", "certificate")] if route.role else [])


def test_routes_of_one_path_share_its_place() -> None:
    posted = replace(WORKERS, method="POST", name="addWorker", parameters=(), role=Role.OPERATOR)
    item = document([WORKERS, posted])["paths"][WORKERS.path]
    roles = {method: operation["security"][0]["bearer"] for method, operation in item.items()}
    assert roles == {"get": ["reader"], "head": ["reader"], "post": ["operator"]}
    assert "parameters" not in item["post"] or {each["in"] for each in item["post"]["parameters"]} == {"header"}
    assert document([posted, WORKERS])["paths"][WORKERS.path] == item


def test_names_are_unique() -> None:
    names = [DOCUMENT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for path, method in OPERATIONS for tag in DOCUMENT["paths"][path][method]["tags"]} == tags


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method in OPERATIONS if method != "head"])
def test_everything_says_what_it_is_and_every_example_is_one(path: str, method: str) -> None:
    operation = DOCUMENT["paths"][path][method]
    assert operation["summary"].endswith(".")
    for parameter in operation.get("parameters", ()):
        assert parameter["description"].endswith(".")
        fits(parameter["example"], parameter["schema"])
    for response in [*operation["responses"].values(), *DOCUMENT["components"]["responses"].values()]:
        for media in response.get("content", {}).values():
            fits(media["example"], media["schema"])
        for header in response.get("headers", {}).values():
            assert header["description"].endswith(".")


def test_every_field_of_every_body_says_what_it_is() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        assert schema["description"].endswith(".")
        assert "Json" not in schema["title"]
        for field in schema["properties"].values():
            assert field["description"].endswith(".")


def test_every_body_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for name in DOCUMENT["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text
    for name in DOCUMENT["components"]["responses"]:
        assert f'"#/components/responses/{name}"' in text

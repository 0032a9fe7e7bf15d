from __future__ import annotations

import json
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from gateway.serve.description.document import document_body
from gateway.serve.description.table import ROUTES
from tests.serve.description.described import DOCUMENT, fits

GOLDEN = Path(__file__).parents[2] / "golden"
OPERATIONS = [(path, method) for path, item in DOCUMENT["paths"].items() for method in ("get", "head") if method in item]


def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_it_is_the_golden_one() -> None:
    """scripts/reference writes it."""
    text = (GOLDEN / "openapi.json").read_text(encoding="utf-8")
    assert json.loads(document_body(ROUTES)) == json.loads(text) == DOCUMENT


def test_every_route_has_get_and_head_and_nothing_else() -> None:
    assert [*DOCUMENT["paths"]] == [route.path for route in ROUTES]
    assert len(OPERATIONS) == 2 * len(ROUTES)
    for item in DOCUMENT["paths"].values():
        assert set(item) <= {"parameters", "get", "head"}
        assert item["head"]["responses"].keys() == item["get"]["responses"].keys()


def test_names_are_unique() -> None:
    names = [DOCUMENT["paths"][path][method]["operationId"] for path, method in OPERATIONS]
    assert len(names) == len(set(names))
    tags = {tag["name"] for tag in DOCUMENT["tags"]}
    assert {tag for path, method in OPERATIONS for tag in DOCUMENT["paths"][path][method]["tags"]} == tags


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_everything_says_what_it_is_and_every_example_is_one(path: str) -> None:
    item = DOCUMENT["paths"][path]
    assert item["get"]["summary"].endswith(".")
    for parameter in item.get("parameters", ()):
        assert parameter["description"].endswith(".")
        fits(parameter["example"], parameter["schema"])
    for response in [*item["get"]["responses"].values(), *DOCUMENT["components"]["responses"].values()]:
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

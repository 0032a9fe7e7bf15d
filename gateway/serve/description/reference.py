"""Reference: the OpenAPI document comes in, docs/rest.md goes out.

Run as a program it writes the reference, or with `openapi` the document.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gateway.serve.description.document import document
from gateway.serve.description.table import ROUTES

_Json = Mapping[str, Any]
_HEAD = """\
# REST reference

Written by `scripts/reference` from what `GET /api/v1/openapi.json` answers, which `tests/golden/openapi.json` has in lines."""


def reference(described: _Json) -> str:
    """The reference, in Markdown."""
    blocks = [_HEAD, described["info"]["description"].rstrip()]
    for tag in described["tags"]:
        blocks.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}")
        for path, item in described["paths"].items():
            for method, operation in item.items():
                if method != "head" and tag["name"] in operation["tags"]:
                    blocks += _route(method.upper(), path, operation)
    blocks += ("## Problems", _answers(_problems(described)), "## Bodies")
    schemas = described["components"]["schemas"]
    for name, schema in schemas.items():
        blocks += _body(name, schema, schemas)
    return "\n\n".join(blocks) + "\n"


def _route(method: str, path: str, operation: _Json) -> Iterator[str]:
    yield f"### {method} {path}"
    roles = [role for scheme in operation["security"] for each in scheme.values() for role in each]
    yield f"{operation['summary']} {f'For the role `{roles[0]}`.' if roles else 'For anybody.'}"
    if "description" in operation:
        yield operation["description"]
    asked = [each for each in operation.get("parameters", ()) if each["in"] != "path"]
    if asked:
        rows = [(f"`{each['name']}`", _type(each["schema"]), _default(each["schema"]), each["description"]) for each in asked]
        yield _table(("parameter or header", "type", "default", "meaning"), rows)
    answers = {status: answer for status, answer in operation["responses"].items() if "$ref" not in answer}
    if "requestBody" in operation:
        media = operation["requestBody"]["content"]["application/json"]
        yield f"The request's body is a {_type(media['schema'])}: `{json.dumps(media['example'], ensure_ascii=False)}`."
    yield _answers(answers.items())
    yield f"[Problems](#problems): {', '.join(status for status in operation['responses'] if status not in answers)}."
    first = min(status for status in answers if status.startswith("2"))
    for media in answers[first]["content"].values():
        example = media["example"]
        is_text = isinstance(example, str)
        text = example.rstrip() if is_text else json.dumps(example, indent=2, ensure_ascii=False)
        yield f"```{'text' if is_text else 'json'}\n{text}\n```"


def _problems(described: _Json) -> Iterable[tuple[str, _Json]]:
    """(status, the answer that routes share)."""
    named = {
        (status, answer["$ref"].rpartition("/")[2])
        for item in described["paths"].values()
        for operation in item.values()
        for status, answer in operation["responses"].items()
        if "$ref" in answer
    }
    return ((status, described["components"]["responses"][name]) for status, name in sorted(named))


def _answers(answers: Iterable[tuple[str, _Json]]) -> str:
    rows = [(status, answer["description"], _bodies(answer), _headers(answer)) for status, answer in answers]
    return _table(("status", "when", "body", "headers"), rows)


def _body(name: str, schema: _Json, schemas: _Json) -> Iterator[str]:
    yield f"### {name}"
    basic = name.removesuffix("Full")
    known = schemas[basic]["properties"] if basic != name else {}
    yield f"{schema['description']} Beside the fields of {_type({'$ref': basic})}:" if known else schema["description"]
    required = schema.get("required", ())
    yield _table(
        ("field", "type", "meaning"),
        [
            (f"`{field}`", _type(each) + ("" if field in required else ", may be missing"), each["description"])
            for field, each in schema["properties"].items()
            if field not in known
        ],
    )


def _bodies(answer: _Json) -> str:
    bodies = (_type(media["schema"]) for media in answer.get("content", {}).values())
    return ", ".join(dict.fromkeys(bodies))


def _headers(answer: _Json) -> str:
    """Each, with its meaning."""
    return "<br>".join(f"`{name}`: {header['description']}" for name, header in answer.get("headers", {}).items())


def _default(schema: _Json) -> str:
    return f"`{schema['default']}`" if "default" in schema else ""


def _type(schema: _Json) -> str:
    """A schema in few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    kind: str = schema["type"]
    if kind == "array":
        words = "enum" in schema["items"]
        return f"{'some of' if words else 'list of'} {_type(schema['items'])}"
    if "maximum" in schema:
        return f"{kind}, {schema['minimum']} to {schema['maximum']}"
    return kind


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)


def main(what: Sequence[str]) -> None:
    """Args: nothing, or `openapi`."""
    described = document(ROUTES)
    text = json.dumps(described, indent=1, ensure_ascii=False) + "\n" if [*what] == ["openapi"] else reference(described)
    sys.stdout.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.serve.description.reference import main, reference
from gateway.serve.description.table import ROUTES
from tests.serve.description.described import DOCUMENT

ROOT = Path(__file__).parents[3]
REFERENCE = (ROOT / "docs" / "rest.md").read_text(encoding="utf-8")


def test_the_documents_are_what_the_table_says(capsys: pytest.CaptureFixture[str]) -> None:
    """scripts/reference writes them."""
    assert reference(DOCUMENT) == REFERENCE
    for what, file in (([], "docs/rest.md"), (["openapi"], "tests/golden/openapi.json")):
        main(what)
        assert capsys.readouterr().out == (ROOT / file).read_text(encoding="utf-8")


def test_every_route_parameter_and_body_is_there_and_every_link_leads_somewhere() -> None:
    headings = {heading.lower() for heading in re.findall(r"^#+ (.+)$", REFERENCE, re.MULTILINE)}
    assert {f"{route.method} {route.path}".lower() for route in ROUTES} <= headings
    assert set(re.findall(r"\]\(#(\w+)\)", REFERENCE)) <= headings
    for route in ROUTES:
        section = REFERENCE.partition(f"### {route.method} {route.path}\n")[2].partition("\n### ")[0]
        for parameter in (*route.parameters, *route.headers):
            assert f"| `{parameter.name}` |" in section
        assert ("For anybody." if route.role is None else f"For the role `{route.role.value}`.") in section
        for answer in route.answers:
            assert str(answer.status) in section


def test_files_that_it_names_are_there() -> None:
    files = set(re.findall(r"\b(?:docs|tests|scripts)/[\w./]*\w", REFERENCE))
    assert {"docs/events.md", "docs/metrics.md", "scripts/reference"} <= files
    assert all((ROOT / file).is_file() for file in files)

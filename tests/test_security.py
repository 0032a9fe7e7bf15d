"""SECURITY.md names tests that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_NAMED = re.compile(r"`(?:(tests/[\w/]+\.py)(?:::(\w+))?|::(\w+))`")


def _claims() -> list[tuple[str, str]]:
    """(file, words of a test's name or "") of each claim; one that begins with `::` is in the file before it."""
    claims, file = [], ""
    for line in (ROOT / "SECURITY.md").read_text().splitlines():
        for match in _NAMED.finditer(line):
            file = match[1] or file
            claims.append((file, match[2] or match[3] or ""))
    return claims


def test_there_are_claims_of_every_boundary() -> None:
    text = (ROOT / "SECURITY.md").read_text()
    for number in re.findall("[①-⑨]", text):
        section = text.partition(f"### {number}")[2].partition("\n### ")[0]
        assert _NAMED.search(section), f"no test is named under {number}"


@pytest.mark.parametrize(("file", "words"), _claims())
def test_a_test_that_is_named_is_there(file: str, words: str) -> None:
    text = (ROOT / file).read_text()
    names = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert any(name.startswith("test_") and words in name for name in names) or (not words and "TestCase" in text), (
        f"{file} has no test_…{words}…"
    )

"""docs/operations.md has every sentence that health can say, every anomaly, and every alert."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.model.records import ANOMALY_KINDS
from gateway.pb import tap_pb2

ROOT = Path(__file__).parents[2]
#: Without what is Markdown's own.
TEXT = " ".join((ROOT / "docs" / "operations.md").read_text(encoding="utf-8").replace("\n> ", "\n").split())
HEADINGS = re.findall(r"^### (.+)$", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), re.MULTILINE)
QUOTED = re.findall(r"^> (.+)$", (ROOT / "docs" / "operations.md").read_text(encoding="utf-8"), re.MULTILINE)
ALERTS = [
    rule
    for group in yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.rules.yml").read_text())["groups"]
    for rule in group["rules"]
]
#: Fewer words are no sentence, nor the better part of one.
WORDS_MIN = 4
#: Sentences that others ask for under another name.
ASKED_FOR = [("gateway/observe/recording/replay.py", "describe")]


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Those that make reasons or notes of health."""
    for file in sorted((ROOT / "gateway").rglob("*.py")):
        path = str(file.relative_to(ROOT))
        if path.startswith(("gateway/observe/", "gateway/serve/")) and not path.startswith("gateway/serve/description/"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            if any(_name(node) in {"reasons", "notes"} for node in ast.walk(tree)) or path in dict(ASKED_FOR):
                yield path, tree


def _name(node: ast.AST) -> str | None:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.keyword(arg=name):
            return name
        case _:
            return None


def sentences() -> list[tuple[str, str]]:
    """(module, sentence with … for what it is told of)."""
    return [
        (path, text)
        for path, tree in modules()
        for part in _parts(tree)
        if path not in dict(ASKED_FOR) or (path, getattr(part, "name", "")) in ASKED_FOR
        for text in _texts(list(ast.walk(part)))
    ]


def _parts(tree: ast.Module) -> Iterator[ast.AST]:
    """Functions, methods, and values that have a name; not what classes say of their fields."""
    for node in tree.body:
        parts = node.body if isinstance(node, ast.ClassDef) else [node]
        yield from (each for each in parts if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef))
        if isinstance(node, ast.Assign):
            yield node


def _texts(nodes: list[ast.AST]) -> Iterator[str]:
    left_out = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}  # docstrings
    left_out |= {
        id(part) for node in nodes if isinstance(node, ast.Raise | ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    for node in nodes:
        if id(node) in left_out:
            continue
        text = ""
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(each.value) if isinstance(each, ast.Constant) else "…" for each in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        if len(text.split()) >= WORDS_MIN:
            yield re.sub("…+", "…", " ".join(text.split()))


SENTENCES = sentences()


def test_the_sentences_are_found_where_they_are() -> None:
    assert {path for path, _ in SENTENCES} >= {"gateway/observe/health.py", "gateway/serve/overview.py", ASKED_FOR[0][0]}
    assert len(SENTENCES) > 25


@pytest.mark.parametrize(("path", "sentence"), SENTENCES)
def test_every_sentence_that_health_can_say_has_an_entry(path: str, sentence: str) -> None:
    assert sentence in TEXT, f"docs/operations.md says nothing of {sentence!r} ({path})"


def test_every_entry_is_of_a_sentence_that_can_be_said() -> None:
    said = [re.sub(r"[^\w]+", " ", sentence) for _, sentence in SENTENCES]
    for quoted in QUOTED:
        parts = [re.sub(r"[^\w]+", " ", part).strip() for part in quoted.split("…")]
        assert any(all(part in sentence for part in parts) for sentence in said), quoted


@pytest.mark.parametrize("reason", [each.name for each in tap_pb2.Blinded.DESCRIPTOR.enum_types_by_name["Reason"].values[1:]])
def test_every_word_for_a_connection_that_is_not_read_is_explained(reason: str) -> None:
    assert f"`{reason}`" in TEXT


@pytest.mark.parametrize("kind", ANOMALY_KINDS)
def test_every_anomaly_is_explained(kind: str) -> None:
    assert f"| `{kind}` |" in TEXT


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_every_alert_has_its_runbook(alert: dict[str, Any]) -> None:
    assert alert["alert"] in HEADINGS
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}"
    assert f"### {alert['alert']} {alert['labels']['severity']}." in TEXT


def test_examples_of_health_are_of_sentences_that_have_an_entry() -> None:
    patterns = [re.compile(".*?".join(map(re.escape, sentence.split("…")))) for _, sentence in SENTENCES]
    examples = [json.loads(file.read_text()) for file in (ROOT / "tests" / "golden").glob("health_unhealthy_nothing*.json")]
    assert all(any(each.match(reason) for each in patterns) for example in examples for reason in example["reasons"])
    assert examples

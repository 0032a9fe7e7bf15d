"""The examples of the documentation are those of monitoring-api.md, which tests/golden/documented/ has."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from gateway.serve.description import answers, examples, table
from gateway.serve.description.answers import JSON

DOCUMENTED = Path(__file__).parents[2] / "golden" / "documented"


@pytest.mark.parametrize(
    ("name", "example"),
    [
        ("worker", examples.WORKER),
        ("workers", table.WORKERS.answers[0].media[JSON].example),
        ("operation", examples.OPERATION),
        ("operations", table.OPERATIONS.answers[0].media[JSON].example),
        ("status", examples.STATUS),
        ("metrics", examples.METRICS),
        ("health", examples.HEALTH),
        ("error", answers.MISSING.media[JSON].example),
    ],
)
def test_an_example_is_the_documented_one(name: str, example: object) -> None:
    printed = json.loads((DOCUMENTED / f"{name}.json").read_text(encoding="utf-8"))
    assert msgspec.to_builtins(example) == printed

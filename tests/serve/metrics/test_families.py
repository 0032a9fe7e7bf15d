"""The table against what is documented."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.serve.metrics.families import FAMILIES, Family, Kind

DOCUMENT = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(nativelink\w+)` \| (\w+) \| (.*?) \| (.+) \|$", re.MULTILINE)


def test_the_document_has_every_metric_as_it_is_and_no_other() -> None:
    documented = [
        (name, kind, tuple(re.findall(r"`(\w+)`", labels)), meaning) for name, kind, labels, meaning in ROW.findall(DOCUMENT)
    ]
    assert sorted(documented) == sorted((each.name, each.kind.value, each.labels, each.help) for each in FAMILIES)


def test_the_document_explains_every_label() -> None:
    explained = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`\w+`[^|]*) \|", DOCUMENT, re.MULTILINE))))
    assert {label for each in FAMILIES for label in each.labels} - {"version"} <= explained


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_follow_the_conventions(family: Family) -> None:
    assert re.fullmatch(r"nativelink(_[a-z0-9]+)+", family.name)
    assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
    assert (family.kind is not Kind.HISTOGRAM) or family.name.endswith("_seconds")
    assert not re.search(r"_(ms|milliseconds|kb|percent|count|sum|bucket|created)$", family.name)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_help_is_a_sentence_and_says_what_resets_what_only_grows(family: Family) -> None:
    assert re.fullmatch(r"[A-Z0-9].*\.", family.help)
    assert (family.kind is Kind.GAUGE) == ("Starts again with" not in family.help)


def test_no_name_is_there_twice() -> None:
    assert len({each.name for each in FAMILIES}) == len(FAMILIES)

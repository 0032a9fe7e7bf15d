"""What a state is made of is noticed when it changes."""

from __future__ import annotations

from dataclasses import make_dataclass
from enum import Enum
from typing import NamedTuple

import pytest

from gateway.observe.checkpoint import codec, layout

#: If this fails, the state looks different, and checkpoints of the release before are set aside, which CHANGELOG.md has to say.
#: Where the same fields came to mean something else, `codec.VERSION` has to count up too.
PINNED = (1, "898e55eccdac310ff4eeafb6a95fe51f9c0fe496e33fd1b8336b10439b9e59a9")


def test_version_and_layout_are_those_that_somebody_looked_at() -> None:
    assert (codec.VERSION, layout.fingerprint().hex()) == PINNED


class _Slotted:
    __slots__ = ("a",)


class _Pair(NamedTuple):
    a: int


class _Word(Enum):
    A = 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (_Slotted, type("_Slotted", (), {"__slots__": ("a", "b")})),
        (_Pair, NamedTuple("_Pair", [("a", str)])),
        (_Word, Enum("_Word", {"A": 1, "B": 2})),
        (make_dataclass("_Data", [("a", int)]), make_dataclass("_Data", [("a", float)])),
    ],
    ids=["slots", "named tuple", "enumeration", "dataclass"],
)
def test_the_fingerprint_is_of_every_field(before: type, after: type, monkeypatch: pytest.MonkeyPatch) -> None:
    prints = []
    for each in (before, after):
        monkeypatch.setattr(layout, "CLASSES", {("module", "name"): each})
        prints.append(layout.fingerprint())
    assert prints[0] != prints[1]

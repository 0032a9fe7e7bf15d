from __future__ import annotations

import copy

import pytest

from gateway.model.events import Outcome
from gateway.model.value import value


@value
class _Point:
    x: int
    y: int = 0


def test_values_are_equal_by_content_and_can_be_hashed_and_copied() -> None:
    assert _Point(1) == _Point(1, 0) != _Point(2)
    assert len({_Point(1), _Point(1), _Point(2)}) == 2
    assert copy.copy(Outcome(3, "no")) == Outcome(3, "no")


def test_a_value_has_its_fields_and_no_others() -> None:
    with pytest.raises(AttributeError):
        _Point(1).z = 2  # type: ignore[attr-defined]  # that is what is tested

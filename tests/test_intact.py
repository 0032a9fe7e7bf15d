from __future__ import annotations

from collections import Counter
from enum import Enum

import pytest

from gateway.intact import ChangedError, unchanged


class _Slotted:
    __slots__ = ("a",)
    b = 1


class _Word(Enum):
    ONE = 1


def test_what_is_done_to_classes_and_members_is_undone_and_said() -> None:
    slot = _Slotted.a  # type: ignore[attr-defined]  # the descriptor

    def change() -> None:
        with unchanged([_Slotted, _Word, Counter]):
            type.__setattr__(_Slotted, "a", 5)
            type.__setattr__(_Slotted, "c", 5)
            type.__delattr__(_Slotted, "b")
            vars(_Word.ONE)["_value_"] = 7
            type.__setattr__(Counter, "c", 5)

    with pytest.raises(ChangedError, match="_Slotted"):
        change()
    assert (_Slotted.a, _Slotted.b, hasattr(_Slotted, "c")) == (slot, 1, False)  # type: ignore[attr-defined]  # as above
    assert (_Word.ONE.value, hasattr(Counter, "c")) == (1, False)


def test_what_else_goes_wrong_goes_on_after_it_was_undone() -> None:
    def fail() -> None:
        with unchanged([_Slotted]):
            type.__setattr__(_Slotted, "b", 2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert _Slotted.b == 1


def test_nothing_done_is_nothing_said() -> None:
    with unchanged([_Slotted, _Word]):
        _Slotted().a = 1  # type: ignore[attr-defined]  # it has a slot

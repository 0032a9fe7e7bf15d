"""Rows by a number that each carries itself: nothing, the only row as it is, or a dict once there are more.

Most action keys have one operation, and a dict with one entry takes 230 bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from typing import Any, Final

from gateway.model.halves import Row

Few = Row | dict[int, Row] | None

#: The numbers.
ARRIVAL: Final = attrgetter("arrival")
QUEUED_AT: Final = attrgetter("queued_at")


def rows(few: Few) -> Collection[Row]:
    """All, in the order in which they were added."""
    if few is None:
        return ()
    return few.values() if isinstance(few, dict) else (few,)


def found(few: Few, number: int, number_of: Any) -> Row | None:
    """The row with that number."""
    if isinstance(few, dict):
        return few.get(number)
    return few if few is not None and number_of(few) == number else None


def added(few: Few, row: Row, number_of: Any) -> Few:
    """With a row; of equal numbers the first one stays."""
    if few is None:
        return row
    if not isinstance(few, dict):
        if number_of(few) == number_of(row):
            return few
        few = {number_of(few): few}
    few.setdefault(number_of(row), row)
    return few


def without(few: Few, row: Row, number_of: Any) -> Few:
    """Without a row, whether it was among them or not."""
    if not isinstance(few, dict):
        return None if few is row else few
    number = number_of(row)
    if few.get(number) is row:
        del few[number]
        if len(few) == 1:
            return next(iter(few.values()))
    return few

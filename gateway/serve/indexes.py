"""Indexes: rows come and go, sorted lists and look-ups by any id go out."""

from __future__ import annotations

from operator import attrgetter
from typing import Generic, TypeVar

from gateway.serve.rows import Row

AnyRow = TypeVar("AnyRow", bound=Row)

_key = attrgetter("key")


class SortedRows(Generic[AnyRow]):
    """Rows in their order.

    Changes are only noted; the next reader merges them into the list. One sort of an almost sorted list for any number of changes
    is cheaper than a place for each of them, and lists that nobody reads cost nothing.
    """

    def __init__(self, revision: int) -> None:
        #: Number of the revision that last changed any row here; at first, of the one that the list begins with.
        self.revision = revision
        #: {arrival: row}
        self._rows: dict[int, AnyRow] = {}
        self._sorted: list[AnyRow] = []
        #: Rows of `_rows` that `_sorted` lacks: {arrival}
        self._new: set[int] = set()
        #: `_sorted` has rows that are gone.
        self._has_gone = False

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: AnyRow, revision: int) -> None:
        """Put a row in; none with its arrival number is here."""
        self._rows[row.arrival] = row
        self._new.add(row.arrival)
        self.revision = revision

    def remove(self, arrival: int, revision: int) -> None:
        """Take a row out; it is here."""
        del self._rows[arrival]
        if arrival in self._new:
            self._new.remove(arrival)
        else:
            self._has_gone = True
        self.revision = revision

    def rows(self) -> list[AnyRow]:
        """All rows, ascending by key; a list that the next change replaces or leaves alone, never edits."""
        if self._has_gone or self._new:
            current = self._rows
            merged = [row for row in self._sorted if current.get(row.arrival) is row] if self._has_gone else list(self._sorted)
            merged += [current[arrival] for arrival in self._new]
            merged.sort(key=_key)
            self._sorted = merged
            self._new.clear()
            self._has_gone = False
        return self._sorted


class Ids(Generic[AnyRow]):
    """Look-up by id. An id that several rows claim is the last claimant's, and again the one's before when that is gone."""

    def __init__(self) -> None:
        self._owner: dict[str, AnyRow] = {}
        #: Claimants before the owner, oldest first; ids of one row alone, which is nearly all, are not here.
        self._others: dict[str, list[AnyRow]] = {}

    def add(self, row: AnyRow) -> None:
        """The row claims its ids."""
        for id_ in row.ids:
            owner = self._owner.get(id_)
            if owner is not None:
                self._others.setdefault(id_, []).append(owner)
            self._owner[id_] = row

    def remove(self, row: AnyRow) -> None:
        """The row, which had claimed its ids, gives them up."""
        for id_ in row.ids:
            others = self._others.get(id_)
            if others is None:
                del self._owner[id_]
                continue
            if self._owner[id_] is row:
                self._owner[id_] = others.pop()
            else:
                others[:] = [other for other in others if other is not row]
            if not others:
                del self._others[id_]

    def get(self, id_: str) -> AnyRow | None:
        """The row with this id."""
        return self._owner.get(id_)

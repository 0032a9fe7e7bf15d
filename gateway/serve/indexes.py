"""Indexes: rows come and go, pages of sorted lists and look-ups by any id go out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Generic, TypeVar

from sortedcontainers import SortedKeyList

from gateway.query.order import OrderKey
from gateway.query.page import Page, encode_token
from gateway.serve.rows import Row

AnyRow = TypeVar("AnyRow", bound=Row)

_key = attrgetter("key")


#: Fingerprints of lists have as many bits as those of rows.
_BITS = (1 << 128) - 1


class SortedRows(Generic[AnyRow]):
    """Rows in their order. A change, a page and its place all cost the same however many rows there are, or nearly."""

    def __init__(self, revision: int) -> None:
        #: Number of the revision that last changed any row here; at first, of the one that the list begins with.
        self.revision = revision
        #: The sum of the rows': the same in every process that has the same rows, whatever came before.
        self.fingerprint = 0
        self._sorted: SortedKeyList[AnyRow, OrderKey] = SortedKeyList(key=_key)

    def __len__(self) -> int:
        return len(self._sorted)

    def __iter__(self) -> Iterator[AnyRow]:
        """Ascending by key."""
        return iter(self._sorted)

    def add(self, row: AnyRow, revision: int) -> None:
        """Put a row in; none with its arrival number is here."""
        self._sorted.add(row)
        self.revision = revision
        self.fingerprint = (self.fingerprint + row.fingerprint) & _BITS

    def remove(self, row: AnyRow, revision: int) -> None:
        """Take a row out; it is here."""
        self._sorted.remove(row)
        self.revision = revision
        self.fingerprint = (self.fingerprint - row.fingerprint) & _BITS

    def rows(self) -> list[AnyRow]:
        """All rows, ascending by key."""
        return list(self._sorted)

    def behind(self, after: OrderKey | None, limit: int) -> list[AnyRow]:
        """At most so many rows whose keys are greater than that; None: from the first."""
        start = 0 if after is None else self._sorted.bisect_key_right(after)
        return list(self._sorted.islice(start, start + limit))


def page_of(lists: Sequence[SortedRows[AnyRow]], *, limit: int, after: OrderKey | None) -> Page[AnyRow]:
    """A page of lists that are one list when put one behind the other, as `gateway.query.page.page` would have it of that."""
    chosen: list[AnyRow] = []
    more = False
    for rows in lists:
        # One row more than wanted says whether there are any.
        chosen += rows.behind(after, limit + 1 - len(chosen))
        if len(chosen) > limit:
            more = bool(limit)
            del chosen[limit:]
            break
    return Page(chosen, encode_token(chosen[-1].key) if more else "", sum(map(len, lists)))


def fingerprint_of(lists: Sequence[SortedRows[AnyRow]]) -> int:
    """Of several lists that are one when put one behind the other."""
    return sum(rows.fingerprint for rows in lists) & _BITS


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

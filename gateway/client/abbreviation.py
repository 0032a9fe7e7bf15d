"""Abbreviations: ids come in; for each a short form goes out that no other of them has.

An id is shortened to its beginning and an ellipsis, as far as all of them stay different; where that saves
nothing, an id stays whole.
"""

from __future__ import annotations

from collections.abc import Iterable

ELLIPSIS = "…"
#: Shorter ones would look like something else.
_LEAST = 8
#: Where no more than this would go, an id stays whole.
_SAVED = 4


def abbreviations(ids: Iterable[str]) -> dict[str, str]:
    """{id: its short form}, all of one length, or whole."""
    distinct = set(ids)
    longest = max(map(len, distinct), default=0)
    # Beginnings that differ at one length differ at every greater one.
    least, most = _LEAST, max(_LEAST, longest)
    while least < most:
        middle = (least + most) // 2
        if len({each[:middle] for each in distinct}) == len(distinct):
            most = middle
        else:
            least = middle + 1
    return {each: each if len(each) <= least + _SAVED else each[:least] + ELLIPSIS for each in distinct}

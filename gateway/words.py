"""Words of the wire that thousands of entities have in common: equal ones come in, one object for all of them goes out.

Not `sys.intern`: releases of Python 3.12 keep for ever what is interned (python/cpython#113993), and these are anybody's words.
"""

from __future__ import annotations

from functools import lru_cache

#: Longer words are not shared; of shorter ones those are forgotten that were not met for the longest time.
LENGTH_MAX, WORDS_MAX = 256, 20_000


def shared(word: str) -> str:
    """The same text."""
    return _first(word) if len(word) <= LENGTH_MAX else word


@lru_cache(WORDS_MAX)
def _first(word: str) -> str:
    return word

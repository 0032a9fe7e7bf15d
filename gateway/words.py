"""Words of the wire that thousands of entities have in common, alone or several: equal ones come in, one object for all goes out.

Not `sys.intern`: releases of Python 3.12 keep for ever what is interned (python/cpython#113993), and these are anybody's words.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

#: Longer words are not shared; of shorter ones those are forgotten that were not met for the longest time.
LENGTH_MAX, WORDS_MAX = 256, 20_000
#: Likewise of several that belong together; LENGTH_MAX is then the length of all of them.
TUPLES_MAX = 4_096


def shared(word: str) -> str:
    """The same text."""
    return _first(word) if len(word) <= LENGTH_MAX else word


def shared_words(words: Iterable[str]) -> tuple[str, ...]:
    """The same texts in the same order."""
    all_ = tuple(map(shared, words))
    return _first_of(all_) if sum(map(len, all_)) <= LENGTH_MAX else all_


@lru_cache(WORDS_MAX)
def _first(word: str) -> str:
    return word


@lru_cache(TUPLES_MAX)
def _first_of(words: tuple[str, ...]) -> tuple[str, ...]:
    return words

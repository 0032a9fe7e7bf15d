"""Page: sorted rows, a limit and a cursor come in; one page, the total and the next cursor go out.

A cursor is the key of the last row that was delivered, not a position: rows that were inserted or removed between two pages make
none of the others appear twice or never. (A row whose own key changes moves, and is found where it then is.)
"""

from __future__ import annotations

import base64
import binascii
import bisect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.query.order import OrderKey

#: Rows of a page where nothing else is asked for (the documented default), and at most.
DEFAULT_LIMIT = 1_000
MAX_LIMIT = 100_000

#: Far above any token of ours; keeps the conversion of numbers cheap.
_TOKEN_MAX_LENGTH = 200
_NUMBERS = re.compile(rb"-?[0-9]{1,24}(?:,-?[0-9]{1,24})*")

Row = TypeVar("Row")


class BadPageTokenError(ValueError):
    """A token that no answer of this list contained."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of a list."""

    rows: Sequence[Row]
    #: `""`: nothing comes after this page, or it was asked to have no rows and so leads nowhere.
    next_token: str
    #: Rows in all pages.
    total: int


def encode_token(key: OrderKey) -> str:
    """The cursor behind the row with this key: letters, digits, `-` and `_`."""
    return base64.urlsafe_b64encode(",".join(map(str, key)).encode()).rstrip(b"=").decode()


def decode_token(token: str, key_length: int) -> OrderKey | None:
    """The key that a cursor stands for; None for the empty token, which is the beginning.

    Raises:
        BadPageTokenError: it is not a token of a list whose keys have `key_length` numbers.
    """
    if not token:
        return None
    if len(token) > _TOKEN_MAX_LENGTH:
        raise BadPageTokenError(token[:_TOKEN_MAX_LENGTH])
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadPageTokenError(token) from error
    if not _NUMBERS.fullmatch(text) or text.count(b",") != key_length - 1:
        raise BadPageTokenError(token)
    return tuple(map(int, text.split(b",")))


def page(rows: Sequence[Row], key: Callable[[Row], OrderKey], *, limit: int, after: OrderKey | None = None) -> Page[Row]:
    """The rows behind a cursor.

    Args:
        rows: the whole list, filtered, ascending by `key`.
        key: a row's order key.
        limit: rows at most, 0 to `MAX_LIMIT` by the caller's own check.
        after: what `decode_token` made of the cursor.
    """
    start = 0 if after is None else bisect.bisect_right(rows, after, key=key)
    chosen = rows[start : start + limit]
    more = bool(chosen) and start + len(chosen) < len(rows)
    return Page(chosen, encode_token(key(chosen[-1])) if more else "", len(rows))

"""Validators: what an answer was made from comes in, its entity tag goes out, and whether a client has it already.

RFC 9110, 8.8.3 and 13.1.2. Tags are strong: the same tag is the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import fields, is_dataclass
from functools import lru_cache

from gateway.serve.encodings import IDENTITY

_REMEMBERED = 1_024


def list_tag(fingerprint: int, query: Hashable, coding: str) -> str:
    """Of a list: its rows' fingerprint, the question, and the coding; known without making the body, and to every process alike."""
    return f'"{fingerprint:032x}.{_fingerprint(query)}{_suffix(coding)}"'


def body_tag(body: bytes, coding: str = IDENTITY) -> str:
    """Of a small body: its hash."""
    return f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}{_suffix(coding)}"'


def has_already(if_none_match: str | None, tag: str) -> bool:
    """Whether a client that sent this If-None-Match need not be sent the body again."""
    if if_none_match is None:
        return False
    if if_none_match == tag:
        return True
    listed = (each.strip() for each in if_none_match.split(","))
    return any(each == "*" or each.removeprefix("W/") == tag for each in listed)


def _suffix(coding: str) -> str:
    return "" if coding == IDENTITY else f"-{coding}"


@lru_cache(_REMEMBERED)
def _fingerprint(query: Hashable) -> str:
    """The same in every process that serves: sets are put in order."""
    return hashlib.blake2b(repr(_ordered(query)).encode(), digest_size=6).hexdigest()


def _ordered(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    if is_dataclass(value):
        return type(value).__name__, [_ordered(getattr(value, each.name)) for each in fields(value)]
    return value

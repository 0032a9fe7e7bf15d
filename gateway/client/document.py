"""Documents: an answer's JSON comes in; values of the kind that was hoped for go out, or None, and texts are safe to show.

Whatever answered, nothing in it can make a table fail: a field that is missing, null or something else is None.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gateway.client.printable import printable

#: A time or a count beyond is nonsense, and arithmetic with it could fail.
_MOST = 2**63


class NoJsonError(ValueError):
    """The bytes are no JSON document."""


class Document:
    """One JSON object."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def text(self, name: str) -> str | None:
        """A string, made printable; an empty one is None."""
        value = self._fields.get(name)
        return printable(value) if isinstance(value, str) and value else None

    def number(self, name: str) -> float | None:
        """A number that means something; an integer stays an integer."""
        value = self._fields.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value if abs(value) < _MOST else None

    def flag(self, name: str) -> bool | None:
        """True or false."""
        value = self._fields.get(name)
        return value if isinstance(value, bool) else None

    def texts(self, name: str) -> list[str]:
        """The strings of a list, made printable."""
        value = self._fields.get(name)
        return [printable(each) for each in value if isinstance(each, str)] if isinstance(value, list) else []

    def pairs(self, name: str) -> dict[str, str] | None:
        """An object of strings, made printable; None where there is no object."""
        value = self._fields.get(name)
        if not isinstance(value, dict):
            return None
        return {printable(key): printable(each) for key, each in value.items() if isinstance(each, str)}

    def inner(self, name: str) -> Document:
        """An object in it; an empty one where there is none."""
        value = self._fields.get(name)
        return Document(value if isinstance(value, dict) else {})

    def rows(self, name: str) -> list[Document]:
        """The objects of a list in it."""
        return _objects(self._fields.get(name))


def parse_object(body: bytes) -> Document:
    """An answer that is one object.

    Raises:
        NoJsonError: it is something else.
    """
    value = _parse(body)
    if not isinstance(value, dict):
        raise NoJsonError("no JSON object")
    return Document(value)


def parse_list(body: bytes) -> list[Document]:
    """An answer that is a list of objects.

    Raises:
        NoJsonError: it is something else.
    """
    value = _parse(body)
    if not isinstance(value, list):
        raise NoJsonError("no JSON list")
    return _objects(value)


def _objects(value: object) -> list[Document]:
    return [Document(each) for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NoJsonError("no JSON") from error


def _refuse(constant: str) -> None:
    raise NoJsonError(f"{constant} is no JSON")

"""One object of a configuration file, read key by key: values of the right type come out, what is wrong is noted with its key path.

Nothing here raises: a wrong value is noted and its default goes on, so that all problems are found in one pass.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, TypeVar

from gateway.config.expansion import MissingVariableError, expand
from gateway.config.problems import Problems
from gateway.config.types import Address

E = TypeVar("E", bound=Enum)
_PORT_MAX = 65_535
#: A host name's length (RFC 1035, 2.3.4).
_HOST_MAX = 255
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Reading:
    """What every section of one file shares."""

    problems: Problems
    environment: Mapping[str, str]


class Section:
    """A mapping with its key path. Every key that is asked for is remembered: `end` complains about the others."""

    def __init__(self, values: object, path: str, reading: Reading) -> None:
        """An object; anything else is noted, except None, which stands for an object without keys."""
        self.path = path
        self.reading = reading
        self._asked: set[str] = set()
        self.values: Mapping[str, Any] = {}
        if isinstance(values, dict):
            self.values = values
        elif values is not None:
            reading.problems.add(path, values, "an object, { … }")

    def at(self, key: str) -> str:
        """The path of one of its keys."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether the file says anything but null for the key."""
        found = self._get(key)
        return found is not _ABSENT and found is not None

    def section(self, key: str) -> Section:
        """The object of a key; one without keys where it is absent or null."""
        found = self._get(key)
        return Section(None if found is _ABSENT else found, self.at(key), self.reading)

    def sections(self, key: str) -> list[Section]:
        """A list of objects; none where it is absent or null."""
        found = self._get(key)
        if found is _ABSENT or found is None:
            return []
        if not isinstance(found, list):
            self.wrong(key, "a list of objects, [{ … }]")
            return []
        return [Section(each, f"{self.at(key)}[{index}]", self.reading) for index, each in enumerate(found)]

    def string(self, key: str) -> str | None:
        """A string with its variables expanded; None where it is absent, null or wrong."""
        found = self._get(key)
        return None if found is _ABSENT or found is None else self._text(self.at(key), found)

    def string_list(self, key: str, of: str, *, most: int) -> list[tuple[str, str]]:
        """A list of strings, each with its path and its variables expanded; wrong ones are left out. `of`: what they are."""
        found = self._get(key)
        if found is _ABSENT or found is None:
            return []
        if not isinstance(found, list) or len(found) > most or not all(isinstance(each, str) for each in found):
            self.wrong(key, f"a list of at most {most} {of}")
            return []
        texts = {path: self._text(path, each) for index, each in enumerate(found) for path in [f"{self.at(key)}[{index}]"]}
        return [(path, text) for path, text in texts.items() if text is not None]

    def strings(self, key: str) -> dict[str, str]:
        """An object whose values are strings; wrong ones are left out."""
        section = self.section(key)
        found = {name: section.string(name) for name in section.values}
        for name, value in found.items():
            if value is None and section.values[name] is None:
                section.wrong(name, "a string")
        return {name: value for name, value in found.items() if value is not None}

    def integer(self, key: str, default: int, *, least: int, most: int) -> int:
        """A whole number between `least` and `most`, both included."""
        found = self._get(key)
        if found is _ABSENT:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            self.wrong(key, f"a whole number from {least} to {most}")
            return default
        return found

    def number(self, key: str, default: float, *, least: float, most: float) -> float:
        """A number between `least` and `most`, both included."""
        found = self._get(key)
        if found is _ABSENT:
            return default
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found) or not least <= found <= most:
            self.wrong(key, f"a number from {least:g} to {most:g}")
            return default
        return float(found)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        found = self._get(key)
        if found is _ABSENT:
            return default
        if not isinstance(found, bool):
            self.wrong(key, "true or false")
            return default
        return found

    def word(self, key: str, words: type[E], default: E) -> E:
        """One of an enum's words."""
        found = self._get(key)
        if found is _ABSENT:
            return default
        chosen = _one_of(words, found)
        if chosen is None:
            self.wrong(key, f"one of {listed(each.value for each in words)}")
            return default
        return chosen

    def words(self, key: str, words: type[E]) -> frozenset[E] | None:
        """A list of an enum's words, at least one; None where it is absent or wrong."""
        found = self._get(key)
        if found is _ABSENT:
            return None
        chosen = [_one_of(words, each) for each in found] if isinstance(found, list) else []
        if not chosen or None in chosen:
            self.wrong(key, f"a list of one or more of {listed(each.value for each in words)}")
            return None
        return frozenset(each for each in chosen if each is not None)

    def word_map(self, key: str, words: type[E]) -> dict[str, E] | None:
        """An object whose values are an enum's words; None where it is absent or null."""
        if not self.has(key):
            return None
        section = self.section(key)
        found = {name: _one_of(words, value) for name, value in section.values.items()}
        for name, word in found.items():
            if word is None:
                section.wrong(name, f"one of {listed(each.value for each in words)}")
        return {name: word for name, word in found.items() if word is not None}

    def address(self, key: str) -> Address | None:
        """`HOST:PORT`; None where it is absent, null or wrong."""
        text = self.string(key)
        if text is None:
            return None
        address = parse_address(text)
        if address is None:
            self.wrong(key, "HOST:PORT with a port from 1 to 65535, IPv6 as [::1]:PORT")
        return address

    def wrong(self, key: str, right: str) -> None:
        """Note that the key's value is not what it should be."""
        self.reading.problems.add(self.at(key), self.values.get(key), right)

    def missing(self, key: str, right: str) -> None:
        """Note that the key is needed; nothing where its value was there and wrong, which is noted already."""
        if not self.has(key):
            self.reading.problems.missing(self.at(key), right)

    def end(self) -> None:
        """Note every key that nobody asked for, with the nearest that is known."""
        for key, value in self.values.items():
            if key not in self._asked:
                near = difflib.get_close_matches(key, sorted(self._asked), n=1, cutoff=0.0)
                self.reading.problems.add(self.at(key), value, f"no such key; the nearest is {near[0]}")

    def _text(self, path: str, value: object) -> str | None:
        """A string with its variables expanded; None where it is wrong, which is noted."""
        problems = self.reading.problems
        if not isinstance(value, str):
            problems.add(path, value, "a string")
            return None
        try:
            text = expand(value, self.reading.environment)
        except MissingVariableError as error:
            problems.add(path, value, f"the environment variable {error.name} set, or a default: ${{{error.name}:-…}}")
            return None
        if not text or "\0" in text:
            problems.add(path, value, "a string that is not empty and has no NUL")
            return None
        return text

    def _get(self, key: str) -> Any:
        self._asked.add(key)
        return self.values.get(key, _ABSENT)


def parse_address(text: str) -> Address | None:
    """`HOST:PORT` with IPv6 in brackets; None where it is not that."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdecimal() or len(port) > len(str(_PORT_MAX)):
        return None
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not host or len(host) > _HOST_MAX or bracketed != (":" in host) or any(each in host for each in "/[]@ \t\n"):
        return None
    return Address(host, int(port)) if 1 <= int(port) <= _PORT_MAX else None


def listed(words: Iterable[str]) -> str:
    """Words as a person lists them, in a stable order."""
    return ", ".join(sorted(words))


def _one_of(words: type[E], value: object) -> E | None:
    return next((each for each in words if each.value == value), None)

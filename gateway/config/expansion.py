"""NativeLink's shell expansion of configuration strings (nativelink-facts 5): `${VAR}`, `${VAR:-default}`, `$VAR`, `$$`.

In: a string and an environment. Out: the string that NativeLink would read, or the name of the variable that is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_REFERENCE = re.compile(
    r"\$\$|\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$(?P<bare>[A-Za-z_][A-Za-z0-9_]*)"
)


class MissingVariableError(Exception):
    """A variable without default that the environment does not have; `name` is the variable's."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def expand(text: str, environment: Mapping[str, str]) -> str:
    """The text with its variables replaced. `$$` is a dollar sign; an empty variable takes its default, like an unset one.

    Raises:
        MissingVariableError: a variable is not set and has no default.
    """

    def value(reference: re.Match[str]) -> str:
        name = reference["braced"] or reference["bare"]
        if name is None:
            return "$"
        found = environment.get(name)
        if reference["default"] is not None:
            return found or reference["default"]
        if found is None:
            raise MissingVariableError(name)
        return found

    return _REFERENCE.sub(value, text)


def escape(text: str) -> str:
    """The string that `expand` gives back as `text`."""
    return text.replace("$", "$$")

"""Everything that is wrong with a configuration, gathered so that a person sees all of it at once.

In: key path, value, what would be right. Out: one `ConfigurationError` with a line for each.
"""

from __future__ import annotations

import json
from typing import Any

from gateway.errors import ConfigurationError

#: A value is quoted up to here: enough to recognise it.
_QUOTED_MAX = 80
#: A file of nothing but mistakes is not listed to its end.
_PROBLEMS_MAX = 100


class Problems:
    """Collects; `raise_any` ends the collecting."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, path: str, value: object, right: str) -> None:
        """Note a value that is there and wrong. `right` says what would be right."""
        self._note(f"{path}: {quoted(value)}: {right}")

    def missing(self, path: str, right: str) -> None:
        """Note a value that is needed and not there."""
        self._note(f"{path}: missing: {right}")

    def of_file(self, where: str, what: str) -> None:
        """Note what is wrong with a file as a whole."""
        self._note(f"{where}: {what}")

    def raise_any(self) -> None:
        """End here if anything was noted.

        Raises:
            ConfigurationError: with every problem, in the order noted.
        """
        if self._lines:
            raise ConfigurationError(self._lines)

    def _note(self, line: str) -> None:
        if line in self._lines:
            # Several keys may rest on one wrong value; once is enough.
            return
        if len(self._lines) < _PROBLEMS_MAX:
            self._lines.append(line)
        elif len(self._lines) == _PROBLEMS_MAX:
            self._lines.append(f"and more: these are the first {_PROBLEMS_MAX}")


def quoted(value: Any) -> str:
    """The value as the file would write it, on one line, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _QUOTED_MAX else text[: _QUOTED_MAX - 1] + "…"

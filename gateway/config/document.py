"""A JSON5 file comes in, its value goes out, or a problem that says where in the file it is.

Strings are not touched here: `expansion` does what NativeLink does with `${…}`, when a string is read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import json5

from gateway.config.problems import Problems

#: Far above any real configuration (NativeLink's own examples: 6 kB), far below what would hurt.
_BYTES_MAX = 4 * 1024 * 1024
#: How json5 words its complaints.
_PLACE = re.compile(r"<string>:(?P<line>\d+) (?P<what>.*?)(?: at)? column (?P<column>\d+)", re.DOTALL)


def read_document(file: Path, problems: Problems) -> dict[str, Any] | None:
    """The file's object; None, and a problem noted, where there is none to be had.

    A key that is written twice is a problem too: which of the two was meant is not to be guessed.
    """
    try:
        with file.open("rb") as opened:
            raw = opened.read(_BYTES_MAX + 1)
        if len(raw) > _BYTES_MAX:
            problems.of_file(str(file), f"longer than {_BYTES_MAX} bytes: a configuration file")
            return None
        text = raw.decode("utf-8-sig")
    except OSError as error:
        problems.of_file(str(file), f"cannot be read ({error.strerror}): a JSON5 file that this user may read")
        return None
    except UnicodeDecodeError as error:
        problems.of_file(str(file), f"byte {error.start} is not UTF-8: a JSON5 file in UTF-8")
        return None
    try:
        value = json5.loads(text, allow_duplicate_keys=False)
    except ValueError as error:
        problems.of_file(str(file), _syntax(str(error)))
        return None
    except RecursionError:
        problems.of_file(str(file), "nested too deeply: a configuration file")
        return None
    if not isinstance(value, dict):
        problems.add(str(file), value, "an object, { … }")
        return None
    return value


def _syntax(complaint: str) -> str:
    place = _PLACE.match(complaint)
    if place is None:
        return f"not JSON5: {complaint}"
    what = place["what"].replace("\n", "\\n")
    return f"line {place['line']}, column {place['column']}: not JSON5: {what}"

"""Which ways through the code something takes: to go on from inputs that take new ones. Costs some twenty times the time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

#: Code, a line of it, and the line that came after it in the same call.
Step = tuple[int, int, int]


def steps_of(does: Callable[[], object], files: tuple[str, ...]) -> set[Step]:
    """Does it, and tells which steps it took in files whose names contain one of these parts."""
    found: set[Step] = set()
    known: dict[str, bool] = {}

    def entered(frame: FrameType, _event: str, _argument: Any) -> Any:
        file = frame.f_code.co_filename
        is_looked_at = known.get(file)
        if is_looked_at is None:
            is_looked_at = known[file] = any(part in file for part in files)
        if not is_looked_at:
            return None
        code = id(frame.f_code)
        last = 0

        def went(frame: FrameType, event: str, _argument: Any) -> Any:
            nonlocal last
            if event == "line":
                found.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return went

        return went

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        does()
    finally:
        sys.settrace(before)
    return found

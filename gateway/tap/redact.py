"""Takes out of a message what must never leave the tap: a tapped message in, the same message without it out.

What is taken out: `stdout_raw`, `stderr_raw` and `OutputFile.contents` of every ActionResult (REAPI v2) inside an answer of Execute
or WaitExecution and inside a worker's result. Everything else stays byte for byte, unknown fields included.

The work is bounded: of a result with thousands of files, those over the bound are taken out whole.

The work is bounded: of a result with very many files those over the bound are taken out whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias

from gateway.tap.wire import LENGTH_DELIMITED, MalformedError, delimited, read_field

#: Field numbers of a message that matter: None is taken out, another plan is followed into that field.
Plan: TypeAlias = "Mapping[int, Plan | None]"

_OUTPUT_FILE: Plan = {5: None}
#: The tag of OutputFile.contents, written short or long: a file without these bytes has none and need not be walked.
_CONTENTS_TAG = re.compile(rb"[\x2a\xaa]")
_ACTION_RESULT: Plan = {2: _OUTPUT_FILE, 5: None, 7: None}
_EXECUTE_RESPONSE: Plan = {1: _ACTION_RESULT}
#: google.longrunning.Operation: `response` is an Any, whose field 2 is the message.
OPERATION: Plan = {5: {2: _EXECUTE_RESPONSE}}
#: ExecuteResult: field 3 since NativeLink 0.7.4, field 4 before (nativelink-facts 2 and the end of 7). Since 0.7.4 field 4 is a
#: google.rpc.Status, whose field 1 is a number and not followed.
EXECUTE_RESULT: Plan = {3: _EXECUTE_RESPONSE, 4: _EXECUTE_RESPONSE}
UPDATE_FOR_SCHEDULER: Plan = {4: EXECUTE_RESULT}


#: Fields of a message that are walked; more than any result of 4 MiB has.
MAX_FIELDS = 100_000
#: After so many fields, files are taken out whole instead of being walked.
MAX_FIELDS_WITH_FILES = 8_000


class TooManyFieldsError(MalformedError):
    """The message has more than MAX_FIELDS."""


def redact(message: bytes, plan: Plan) -> bytes:
    """The message without what the plan takes out; the very same object when there is nothing to take out.

    Raises:
        MalformedError: It cannot be walked as far as the plan needs.
        TooManyFieldsError: It would take too long.
    """
    kept = _Walk(message).without(0, len(message), plan)
    return message if kept is None else kept


class _Walk:
    """Over one message."""

    __slots__ = ("_data", "_fields")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._fields = 0

    def without(self, pos: int, end: int, plan: Plan) -> bytes | None:
        """`data[pos:end]` without what the plan takes out; None: nothing to take out."""
        data = self._data
        parts: list[bytes] = []
        copied = pos
        while pos < end:
            start = pos
            field, wire_type = data[pos] >> 3, data[pos] & 7
            value = pos + 2
            if wire_type == LENGTH_DELIMITED and 0 < field < 16 and value <= end and data[pos + 1] < 0x80:
                # Nearly every field: one byte of tag, one byte of length.
                pos = value + data[pos + 1]
                if pos > end:
                    raise MalformedError("field")
            else:
                field, wire_type, value, pos = read_field(data, pos, end)
            self._fields += 1
            if self._fields > MAX_FIELDS:
                raise TooManyFieldsError
            if field not in plan:
                continue
            inner = plan[field]
            replacement = b""
            if inner is _OUTPUT_FILE and not _CONTENTS_TAG.search(data, value, pos):
                continue
            if inner is not None and not (inner is _OUTPUT_FILE and self._fields > MAX_FIELDS_WITH_FILES):
                kept = self.without(value, pos, inner) if wire_type == LENGTH_DELIMITED else None
                if kept is None:
                    continue
                replacement = delimited(field, kept)
            parts += (data[copied:start], replacement)
            copied = pos
        if not parts:
            return None
        parts.append(data[copied:end])
        return b"".join(parts)

"""Printable: text that anybody may have written comes in; text that does nothing to a terminal goes out.

Names, targets and messages are made by builds. An escape sequence in one would move the cursor, write the clipboard or paint a
line that is not there, and a character that turns the direction of writing would show one name as another.
"""

from __future__ import annotations

_TWO_DIGITS = 0xFF
_FOUR_DIGITS = 0xFFFF


def printable(text: str) -> str:
    r"""The text with every control, format, separator and unassigned character (of Unicode) as an escape, such as \x1b."""
    return text if text.isprintable() else "".join(each if each.isprintable() else _escaped(ord(each)) for each in text)


def printable_json(text: str) -> str:
    r"""JSON that means the same and has no such characters either, but for line ends and tabs: within a string they are \uNNNN."""
    return "".join(each if each.isprintable() or each in "\t\n\r" else _json_escaped(ord(each)) for each in text)


def _escaped(code: int) -> str:
    if code <= _TWO_DIGITS:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _FOUR_DIGITS else f"\\U{code:08x}"


def _json_escaped(code: int) -> str:
    if code <= _FOUR_DIGITS:
        return f"\\u{code:04x}"
    # RFC 8259, 7: as the two halves that UTF-16 has for it.
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"

"""The screen: where tables go, and how wide that is.

A terminal has a width and, unless NO_COLOR says otherwise, colours. A pipe or a file has neither: there a table is as wide as it
is, so that nothing is cut from what a script reads.
"""

from __future__ import annotations

import io
import sys
from typing import TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from gateway.client.printable import printable, printable_json
from gateway.client.sheet import Sheet

#: Wider than any table, where there is no terminal.
_NO_END = 1_000_000


def console_on(stream: TextIO) -> Console:
    """Rich, told to take text for what it is: no markup, no emoji names, nothing that is highlighted by its look."""
    wide = None if stream.isatty() else _NO_END
    return Console(file=stream, width=wide, markup=False, emoji=False, highlight=False, soft_wrap=False)


def show(*parts: RenderableType) -> None:
    """Print to stdout, one below the other; elsewhere than on a terminal without spaces at the ends of lines."""
    console = console_on(sys.stdout)
    if console.is_terminal:
        for each in parts:
            console.print(each)
    else:
        text = io.StringIO()
        console.file = text
        for each in parts:
            console.print(each)
        sys.stdout.writelines(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())
    sys.stdout.flush()


def show_sheet(sheet: Sheet) -> None:
    """Print rows and columns to stdout."""
    console = console_on(sys.stdout)
    if console.is_terminal:
        console.print(sheet.table(console.width))
    else:
        sys.stdout.writelines(f"{line}\n" for line in sheet.lines())
    sys.stdout.flush()


def show_line(line: Text) -> None:
    """Print it to stdout; what is longer than a line of the terminal goes on in the next."""
    if sys.stdout.isatty():
        console_on(sys.stdout).print(line, soft_wrap=True)
    else:
        sys.stdout.write(f"{line.plain}\n")
    sys.stdout.flush()


def write_json(body: bytes) -> None:
    """The API's JSON as it came, and a line end; on a terminal with escapes for what would not be shown but done."""
    if sys.stdout.isatty():
        sys.stdout.write(f"{printable_json(body.decode())}\n")
    else:
        sys.stdout.buffer.write(body + b"\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """A remark about what was printed; to stderr, so that a table stays a table."""
    sys.stdout.flush()
    sys.stderr.write(f"{printable(text)}\n")

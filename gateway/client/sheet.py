"""Sheets: columns of texts come in; a table for the width of a terminal goes out, or lines of any width for a pipe.

Every text is printable already (see document.py). Rich gets it as a Text: nothing in it is markup. A pipe has no use for what rich
does, which takes seconds for ten thousand rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from gateway.client.abbreviation import ELLIPSIS, abbreviations

#: Between columns.
_GAP = 2
#: A column that yields keeps so many characters.
_LEAST_CUT, _LEAST_FOLDED = 12, 20
#: Before ids are shortened, it goes down to so many.
_YIELDS_TO = 32
_STYLES = {
    "active": "green",
    "paused": "yellow",
    "draining": "magenta",
    "full": "cyan",
    "Executing": "green",
    "Queued": "yellow",
    "CacheCheck": "cyan",
    "ok": "green",
    "cached": "green",
    "healthy": "green",
    "degraded": "yellow",
    "unhealthy": "red",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A title and a text for every row; and what becomes of it where the table is wider than the terminal."""

    title: str
    cells: Sequence[str]
    is_number: bool = False
    #: Gets short forms.
    is_id: bool = False
    #: Is cut; its end says most.
    is_cut: bool = False
    #: Goes on in the next line.
    is_folded: bool = False
    #: Is left out: those with 1 first; 0: never.
    left_out: int = 0

    @property
    def yields(self) -> bool:
        """Whether it takes what the others leave."""
        return self.is_cut or self.is_folded

    @property
    def width(self) -> int:
        """Characters of the terminal that it takes as it is."""
        return max(cell_len(self.title), *map(cell_len, self.cells), 0)

    def padded(self, text: str, width: int) -> str:
        """A text with spaces up to a width."""
        spaces = " " * (width - cell_len(text))
        return spaces + text if self.is_number else text + spaces


class Sheet:
    """Rows and columns."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._columns = columns

    def lines(self) -> Iterator[str]:
        """All of it, the titles first, each row a line."""
        widths = [each.width for each in self._columns]
        titles = tuple(each.title for each in self._columns)
        for cells in (titles, *zip(*(each.cells for each in self._columns), strict=True)):
            padded = (column.padded(cell, width) for column, cell, width in zip(self._columns, cells, widths, strict=True))
            yield (" " * _GAP).join(padded).rstrip()

    def table(self, width: int) -> Table:
        """For a terminal of that many characters.

        A column that yields gets what the others leave; ids are shortened before that is next to nothing. Where that is not enough
        either, columns are left out, and at last ids go on in the next line: they are never cut to the same.
        """
        columns = self._columns
        if _width(columns, _YIELDS_TO) > width:
            columns = [_shortened(each) if each.is_id else each for each in columns]
        for worth in range(1, 1 + max(each.left_out for each in columns)):
            if _width(columns, _LEAST_FOLDED) > width:
                columns = [each for each in columns if each.left_out != worth]
        room = width - _width([each for each in columns if not each.yields], 0) - _GAP
        columns = [_cut(each, max(_LEAST_CUT, room)) if each.is_cut else each for each in columns]
        is_tight = _width(columns, _LEAST_CUT) > width
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        for each in columns:
            wraps = each.is_folded or (each.is_id and is_tight)
            table.add_column(
                Text(each.title),
                justify="right" if each.is_number else "left",
                no_wrap=not wraps,
                overflow="fold",
                min_width=None if wraps else each.width,
            )
        for cells in zip(*(each.cells for each in columns), strict=True):
            table.add_row(*(Text(cell, style=style_of(cell)) for cell in cells))
        return table


def style_of(word: str) -> str:
    """The colour of a word of the API wherever it is shown; none for any other."""
    return _STYLES.get(word, "")


def _width(columns: Sequence[Column], yielding: int) -> int:
    """Of all columns, those that yield having so many characters at most."""
    return sum(min(each.width, yielding) if each.yields else each.width for each in columns) + _GAP * (len(columns) - 1)


def _shortened(column: Column) -> Column:
    short = abbreviations(column.cells)
    return replace(column, cells=[short[each] for each in column.cells])


def _cut(column: Column, width: int) -> Column:
    return replace(column, cells=[_end_of(each, width) for each in column.cells])


def _end_of(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    # A character takes two cells at most, and what is longer than that is gone at once.
    text = text[-width:]
    while cell_len(text) > width - len(ELLIPSIS):
        text = text[1:]
    return ELLIPSIS + text

"""Log: differences of revisions come in; what lies between two places in it goes out, encoded for a selection.

A place is a number that counts differences for as long as the process lives, however often the state begins anew. The log is
bounded: its oldest revisions are forgotten.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from gateway.serve.events import wire
from gateway.serve.events.selection import Seen, Selection
from gateway.serve.replica import AnyDifference, Differences

#: Differences that are kept, and what they take: at 500 a second, half a minute.
KEPT_ENTRIES = 32_768
KEPT_BYTES = 32 * 1024 * 1024
#: Revisions that are kept; those without differences count here alone.
_KEPT_REVISIONS = 8_192
#: Of an entry, what a row takes beside its JSON.
_ENTRY_BYTES = 1_000
#: A piece ends once it is longer, …
PIECE_BYTES = 128 * 1024
#: … or once so many differences were looked at, which takes some two milliseconds.
_PIECE_ENTRIES = 2_000
#: Forgotten entries that are still in the list.
_SLACK = 4_096


class _Entry(NamedTuple):
    #: Numbers of the revision, and of the one before it.
    number: int
    before: int
    #: It is the last of its revision.
    is_last: bool
    difference: AnyDifference


class Piece(NamedTuple):
    """A part of the log for one selection."""

    #: Blocks of the event stream.
    data: bytes
    #: How many.
    events: int
    #: The place behind it.
    end: int


class EventLog:
    """Of one replica's epoch after the other."""

    def __init__(self) -> None:
        self.epoch = ""
        #: Of the latest revision.
        self.number = 0
        #: Places: where this epoch began, of the oldest entry that is kept, behind the latest.
        self.begun = self.first = self.end = 0
        self._entries: list[_Entry] = []
        #: (number, the place behind it, its bytes), oldest first.
        self._revisions: deque[tuple[int, int, int]] = deque()
        #: {number: the place behind it}
        self._ends: dict[int, int] = {}
        #: Number of the revision that `first` is behind: the oldest place to come back to.
        self._floor = 0
        #: Entries of `_entries` that are forgotten.
        self._slack = 0
        self._bytes = 0

    def begin(self, epoch: str, number: int) -> None:
        """Forget everything: what comes does not continue it."""
        self.epoch, self.number = epoch, number
        self._entries.clear()
        self._revisions.clear()
        self._slack = self._bytes = 0
        # Whoever was at the end is not there any more.
        self.end += 1
        self.begun = self.first = self.end
        self._floor = number
        self._ends = {number: self.end}

    def append(self, number: int, differences: Differences) -> None:
        """The next revision, or the same once more, which then brings nothing."""
        if number == self.number:
            return
        entries: list[AnyDifference] = [*differences.workers, *differences.operations]
        self._entries += (_Entry(number, self.number, each is entries[-1], each) for each in entries)
        size = sum(map(_size, entries))
        self._bytes += size
        self.end += len(entries)
        self.number = number
        self._revisions.append((number, self.end, size))
        self._ends[number] = self.end
        self._forget()

    def place(self, epoch: str, number: int) -> int | None:
        """The place behind a revision; None: what came after it is not all here."""
        return self._ends.get(number) if epoch == self.epoch else None

    def piece(self, selection: Selection, start: int, stop: int) -> Piece:
        """What a selection shows between two places, both at or behind `first`, or the beginning of it."""
        blocks: list[bytes] = []
        size, end = 0, start
        held: tuple[_Entry, Seen] | None = None
        first = start - self.first + self._slack
        for entry in self._entries[first : first + min(stop - start, _PIECE_ENTRIES)]:
            seen = selection.see(entry.difference)
            if seen is not None:
                if held is not None:
                    blocks.append(self._block(*held, is_last=held[0].number != entry.number))
                    size += len(blocks[-1])
                held = (entry, seen)
            end += 1
            if size >= PIECE_BYTES:
                break
        if held is not None:
            # The last one looked at is the last of its revision, or the held one is of an earlier revision.
            latest = self._entries[end - 1 - self.first + self._slack]
            blocks.append(self._block(*held, is_last=latest.is_last or latest.number != held[0].number))
        return Piece(b"".join(blocks), len(blocks), end)

    def _block(self, entry: _Entry, seen: Seen, *, is_last: bool) -> bytes:
        """An id says what has been told completely; of several blocks of a revision only the last completes it."""
        id_ = wire.position(self.epoch, entry.number if is_last else entry.before)
        return wire.entity(id_, entry.number, seen.row, entry.difference, removed=seen.removed)

    def _forget(self) -> None:
        revisions = self._revisions
        while self._bytes > KEPT_BYTES or self.end - self.first > KEPT_ENTRIES or len(revisions) > _KEPT_REVISIONS:
            del self._ends[self._floor]
            self._floor, end, size = revisions.popleft()
            self._slack += end - self.first
            self.first = end
            self._bytes -= size
        if self._slack > _SLACK:
            del self._entries[: self._slack]
            self._slack = 0


def _size(difference: AnyDifference) -> int:
    return _ENTRY_BYTES + sum(len(row.json) for row in difference if row is not None)

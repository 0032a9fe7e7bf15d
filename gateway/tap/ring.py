"""The records of this run that are still there, bounded in bytes: length-delimited records in, stretches of them out by position.

Records are kept back to back in blocks, so that a full ring is a thousand objects and not half a million. The oldest block goes
when the ring is full; its records live on in the open streams' state.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from gateway.tap.records import read_head
from gateway.tap.state import OpenState
from gateway.tap.wire import read_varint

_BLOCK_BYTES = 64 * 1024
#: A small ring has smaller blocks, so that the oldest is never much of it.
_MIN_BLOCKS = 16


class _Block:
    """Records back to back."""

    __slots__ = ("data", "first_sequence", "next_sequence", "start")

    def __init__(self, start: int, first_sequence: int) -> None:
        #: Position of its first byte.
        self.start = start
        self.first_sequence = first_sequence
        self.next_sequence = first_sequence
        self.data = bytearray()


class Stretch(NamedTuple):
    """Some whole records."""

    data: bytes
    #: What comes after them.
    position: int
    sequence: int


class Ring:
    """Numbered records. A position counts bytes since the run began, at a record's first byte."""

    def __init__(self, limit_bytes: int) -> None:
        """Keeps at most `limit_bytes` and one record."""
        self.limit_bytes = limit_bytes
        self._block_bytes = min(_BLOCK_BYTES, limit_bytes // _MIN_BLOCKS)
        self._blocks = [_Block(0, 1)]
        #: What was open after the last record that is gone.
        self.state = OpenState(limit_bytes)
        #: Position after the last record.
        self.end = 0

    def resume(self, state: OpenState, position: int, sequence: int) -> None:
        """Goes on with another process's ring: its oldest record, `sequence` at `position`, comes next. Nothing is here yet."""
        state.limit_bytes = self.limit_bytes
        self.state = state
        self._blocks = [_Block(position, sequence)]
        self.end = position

    def extend(self, records: bytes) -> None:
        """Takes whole records, one after the other."""
        pos = 0
        while pos < len(records):
            length, start = read_varint(records, pos, len(records))
            self.append(records[pos : start + length])
            pos = start + length

    @property
    def start(self) -> int:
        """Position of the oldest record."""
        return self._blocks[0].start

    @property
    def first_sequence(self) -> int:
        """Of the oldest record; one more than the last if there is none."""
        return self._blocks[0].first_sequence

    @property
    def next_sequence(self) -> int:
        """Of the record that will come next."""
        return self._blocks[-1].next_sequence

    @property
    def used_bytes(self) -> int:
        """Bytes of the records that are there."""
        return self.end - self.start

    def append(self, record: bytes) -> None:
        """Takes the next record; the oldest go where it does not fit."""
        block = self._blocks[-1]
        if block.data and len(block.data) >= self._block_bytes:
            block = _Block(self.end, block.next_sequence)
            self._blocks.append(block)
        block.data += record
        block.next_sequence += 1
        self.end += len(record)
        while self.end - self._blocks[0].start > self.limit_bytes and len(self._blocks) > 1:
            self._evict(self._blocks.pop(0))

    def position_of(self, sequence: int) -> int | None:
        """Where the record with this number begins, at most the end; None: it is gone."""
        if sequence < self.first_sequence:
            return None
        index = bisect_right(self._blocks, sequence, key=lambda block: block.first_sequence) - 1
        block = self._blocks[index]
        pos = 0
        for _ in range(min(sequence, block.next_sequence) - block.first_sequence):
            length, pos = read_varint(block.data, pos, len(block.data))
            pos += length
        return block.start + pos

    def read(self, position: int) -> Stretch | None:
        """Records from there on, about 64 KiB or one record that is larger; None: there are none. `position` must not be gone."""
        if position >= self.end:
            return None
        block = self._blocks[bisect_right(self._blocks, position, key=lambda block: block.start) - 1]
        data = bytes(memoryview(block.data)[position - block.start :])
        return Stretch(data, position + len(data), block.next_sequence)

    def _evict(self, block: _Block) -> None:
        data, pos = block.data, 0
        while pos < len(data):
            head = read_head(data, pos)
            self.state.apply(data, head)
            pos = head.end

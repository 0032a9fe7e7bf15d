"""HPACK (RFC 7541): header blocks of one direction of one connection in, the few headers that the tap reads out.

The dynamic table is kept exactly, since everything later depends on it; but a value is only decoded when it is wanted or goes
into the table, and is stepped over otherwise. Real clients send another `action_id` in each request, which defeats remembering
whole blocks and not this.
"""

from __future__ import annotations

from collections import deque

from hpack.table import HeaderTable

from gateway.tap.huffman import HuffmanError
from gateway.tap.huffman import decode as decode_huffman

METHOD = b":method"
PATH = b":path"
STATUS = b":status"
USER_AGENT = b"user-agent"
GRPC_ENCODING = b"grpc-encoding"
GRPC_STATUS = b"grpc-status"
GRPC_MESSAGE = b"grpc-message"
REQUEST_METADATA = b"build.bazel.remote.execution.v2.requestmetadata-bin"
WANTED = frozenset({METHOD, PATH, STATUS, USER_AGENT, GRPC_ENCODING, GRPC_STATUS, GRPC_MESSAGE, REQUEST_METADATA})

#: SETTINGS_HEADER_TABLE_SIZE until something else is said (RFC 9113 6.5.2).
DEFAULT_TABLE_BYTES = 4096
#: A larger table than this is not kept, whatever was agreed: peers of these services agree on 4 to 64 KiB.
MAX_TABLE_BYTES = 1024 * 1024
#: More fields and table size updates than any peer sends in one block; each may cost one byte of the wire and a look-up here.
MAX_FIELDS = 4096
#: More SETTINGS than any peer sends without waiting for an acknowledgement.
MAX_UNACKNOWLEDGED = 256
#: What an entry counts besides its name and value (RFC 7541 4.1).
_ENTRY_BYTES = 32
#: Continuation bytes of an integer that fits 32 bits.
_MAX_SHIFT = 28

_STATIC: tuple[tuple[bytes, bytes], ...] = HeaderTable.STATIC_TABLE
_STATIC_ENTRIES = len(_STATIC)


class HeaderError(ValueError):
    """A header block that RFC 7541 does not allow, or that is over a bound of this module; the table is lost."""


class HeaderDecoder:
    """The decoder's half of one direction's HPACK state."""

    __slots__ = ("_acknowledged", "_allowed", "_max_bytes", "_pending", "_table", "_table_bytes")

    def __init__(self) -> None:
        #: The dynamic table, newest first: name, value.
        self._table: deque[tuple[bytes, bytes]] = deque()
        #: As RFC 7541 4.1 counts.
        self._table_bytes = 0
        #: What the encoder has last said to use.
        self._max_bytes = DEFAULT_TABLE_BYTES
        #: What the decoding peer allows, as far as the encoding peer has acknowledged.
        self._acknowledged = DEFAULT_TABLE_BYTES
        #: What the table's size may be: a smaller one counts from its acknowledgement on, a larger one may be used before.
        self._allowed = DEFAULT_TABLE_BYTES
        #: SETTINGS of the decoding peer that wait for their acknowledgement; None: without a table size. Bounded by `announced`.
        self._pending: deque[int | None] = deque()

    def __getstate__(self) -> tuple[object, ...]:
        """Tuples: thousands of decoders go to another process in one go, and a deque takes ten times as long."""
        return tuple(self._table), self._table_bytes, self._max_bytes, self._acknowledged, tuple(self._pending)

    def __setstate__(self, state: tuple[tuple[tuple[bytes, bytes], ...], int, int, int, tuple[int | None, ...]]) -> None:
        table, self._table_bytes, self._max_bytes, self._acknowledged, pending = state
        self._table, self._pending = deque(table), deque(pending)
        self._allowed = self._largest()

    @property
    def table(self) -> tuple[tuple[bytes, bytes], ...]:
        """The dynamic table, newest first."""
        return tuple(self._table)

    def announced(self, table_bytes: int | None) -> None:
        """The decoding peer sent SETTINGS, with this SETTINGS_HEADER_TABLE_SIZE or without one.

        Raises:
            HeaderError: More SETTINGS wait for an acknowledgement than any peer sends.
        """
        if len(self._pending) >= MAX_UNACKNOWLEDGED:
            raise HeaderError("SETTINGS are not acknowledged")
        self._pending.append(table_bytes)
        self._allowed = max(self._allowed, table_bytes or 0)

    def acknowledged(self) -> None:
        """The encoding peer acknowledged the oldest SETTINGS that wait: from here on it keeps to them (RFC 9113 6.5.3)."""
        if self._pending:
            size = self._pending.popleft()
            if size is not None:
                self._acknowledged = size
                self._allowed = self._largest()

    def decode(self, block: bytes) -> dict[bytes, bytes]:
        """Reads a whole header block: those of its fields that are in WANTED, the last of a repeated one.

        Raises:
            HeaderError: Nothing more of this direction can be read.
        """
        try:
            return self._decode(block)
        except IndexError:
            raise HeaderError("cut off, or no such index") from None
        except HuffmanError as error:
            raise HeaderError(f"Huffman code: {error}") from None

    def _decode(self, block: bytes) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        table = self._table
        pos, end, fields, updates = 0, len(block), 0, 0
        while pos < end:
            first = block[pos]
            fields += 1
            if fields > MAX_FIELDS:
                raise HeaderError("too many fields")
            if first & 0xE0 == 0x20:
                updates += 1
                if fields > updates:
                    raise HeaderError("table size update after a field")
                size, pos = _integer(block, pos, 0x1F)
                self._resize(size)
                continue
            if first & 0x80:
                index, pos = (first & 0x7F, pos + 1) if first != 0xFF else _integer(block, pos, 0x7F)
                if not index:
                    raise HeaderError("index 0")
                name, value = _STATIC[index - 1] if index <= _STATIC_ENTRIES else table[index - _STATIC_ENTRIES - 1]
                if name in WANTED:
                    found[name] = value
                continue
            indexed = first & 0x40
            name, pos = self._name(block, pos, 0x3F if indexed else 0x0F)
            huffman = block[pos] & 0x80
            length, pos = _integer(block, pos, 0x7F)
            start, pos = pos, pos + length
            if pos > end:
                raise HeaderError("cut off")
            wanted = name in WANTED
            if indexed or wanted:
                value = block[start:pos]
                if huffman:
                    value = decode_huffman(value)
                if indexed:
                    self._insert(name, value)
                if wanted:
                    found[name] = value
        if self._max_bytes > self._allowed:
            raise HeaderError("the table was not made smaller")
        return found

    def _name(self, block: bytes, pos: int, mask: int) -> tuple[bytes, int]:
        """The name of the literal field at `pos`, and where its value begins."""
        index, pos = _integer(block, pos, mask)
        if index:
            return _STATIC[index - 1][0] if index <= _STATIC_ENTRIES else self._table[index - _STATIC_ENTRIES - 1][0], pos
        huffman = block[pos] & 0x80
        length, pos = _integer(block, pos, 0x7F)
        name = block[pos : pos + length]
        return decode_huffman(name) if huffman else name, pos + length

    def _insert(self, name: bytes, value: bytes) -> None:
        """RFC 7541 4.4: an entry larger than the table empties it."""
        size = len(name) + len(value) + _ENTRY_BYTES
        self._evict(self._max_bytes - size)
        if size <= self._max_bytes:
            self._table.appendleft((name, value))
            self._table_bytes += size

    def _largest(self) -> int:
        return max([self._acknowledged, *(each or 0 for each in self._pending)])

    def _resize(self, size: int) -> None:
        if size > min(self._allowed, MAX_TABLE_BYTES):
            raise HeaderError(f"a table of {size} bytes")
        self._max_bytes = size
        self._evict(size)

    def _evict(self, size: int) -> None:
        while self._table and self._table_bytes > size:
            name, value = self._table.pop()
            self._table_bytes -= len(name) + len(value) + _ENTRY_BYTES


def _integer(block: bytes, pos: int, mask: int) -> tuple[int, int]:
    """RFC 7541 5.1: the number whose first byte is at `pos`, and where it ends; IndexError when cut off."""
    value = block[pos] & mask
    pos += 1
    if value < mask:
        return value, pos
    shift = 0
    while True:
        byte = block[pos]
        pos += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, pos
        shift += 7
        if shift > _MAX_SHIFT:
            raise HeaderError("integer")

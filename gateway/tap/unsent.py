"""What a transport has taken and its socket has not: kept beside it, since uvloop does not show its write buffer.

Only the size of a buffer is known, and bytes leave it in order: so it is the last bytes that were written. Each write lets go of
what has left.
"""

from __future__ import annotations


class Unsent:
    """The last bytes that were written to one transport, at least as many as it has not sent."""

    __slots__ = ("_chunks", "kept_bytes")

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self.kept_bytes = 0

    def wrote(self, data: bytes, left: int) -> None:
        """`data` was just written, and `left` bytes are in the transport's buffer now."""
        if not left:
            # Nearly always. Memory that is free at once is used again while it is in the processor's cache.
            if self.kept_bytes:
                self._chunks.clear()
                self.kept_bytes = 0
            return
        chunks = self._chunks
        chunks.append(data)
        self.kept_bytes += len(data)
        while chunks and self.kept_bytes - len(chunks[0]) >= left:
            self.kept_bytes -= len(chunks.pop(0))

    def let_go(self, left: int) -> None:
        """`left` bytes are in the buffer by now; when there are none, none are kept."""
        if not left:
            self._chunks.clear()
            self.kept_bytes = 0

    def last(self, left: int) -> bytes:
        """The `left` bytes that are in the buffer."""
        return b"".join(self._chunks)[self.kept_bytes - left :] if left else b""

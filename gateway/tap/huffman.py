"""HPACK's Huffman code (RFC 7541 5.2 and appendix B): coded bytes in, plain bytes out.

A walk over whole bytes: the position in the code's tree and the next byte give the next position and the letters in between.
Steps are worked out when they are first taken, and kept.
"""

from __future__ import annotations

from functools import lru_cache

from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

#: A longer string is not worth remembering: it is different each time.
_REMEMBERED_BYTES = 128
_REMEMBERED_STRINGS = 4096
#: End of string: may only be begun, as padding, never completed (RFC 7541 5.2).
_EOS = 256
#: Padding is less than a byte (RFC 7541 5.2).
_PADDING_BITS = 7


class HuffmanError(ValueError):
    """The bytes are not Huffman coded."""


class _Node:
    """A position in the code's tree."""

    __slots__ = ("branches", "letter", "may_end", "steps")

    def __init__(self) -> None:
        #: By the next bit; empty: a letter ends here.
        self.branches: list[_Node] = []
        self.letter = -1
        #: What was read of the letter begun so far is at most 7 bits of padding.
        self.may_end = False
        #: By the next byte: where to, and the letters in between; None: not taken yet. Made when the first is taken.
        self.steps: list[tuple[_Node, bytes] | None] = []


def _tree() -> _Node:
    root = _Node()
    for letter, (code, length) in enumerate(zip(REQUEST_CODES, REQUEST_CODES_LENGTH, strict=True)):
        node = root
        for bit in range(length - 1, -1, -1):
            if not node.branches:
                node.branches = [_Node(), _Node()]
            node = node.branches[code >> bit & 1]
        node.letter = letter
    node, root.may_end = root, True
    for _ in range(_PADDING_BITS):
        node = node.branches[1]
        node.may_end = True
    root.steps = [None] * 256
    return root


_ROOT = _tree()


def _step(node: _Node, byte: int) -> tuple[_Node, bytes]:
    at, letters = node, bytearray()
    for bit in range(7, -1, -1):
        at = at.branches[byte >> bit & 1]
        if at.letter >= 0:
            if at.letter == _EOS:
                raise HuffmanError("end of string inside")
            letters.append(at.letter)
            at = _ROOT
    if not at.steps:
        at.steps = [None] * 256
    step = node.steps[byte] = (at, bytes(letters))
    return step


def _decode(coded: bytes) -> bytes:
    node = _ROOT
    letters: list[bytes] = []
    for byte in coded:
        node, some = node.steps[byte] or _step(node, byte)
        letters.append(some)
    if not node.may_end:
        raise HuffmanError("padding")
    return b"".join(letters)


_remembered = lru_cache(_REMEMBERED_STRINGS)(_decode)


def decode(coded: bytes) -> bytes:
    """The plain string.

    Raises:
        HuffmanError: RFC 7541 5.2 does not allow it.
    """
    return _remembered(coded) if len(coded) <= _REMEMBERED_BYTES else _decode(coded)

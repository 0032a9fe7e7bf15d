"""A seeded mutator: bytes in, nearly the same bytes out. What it does is what breaks parsers: flips, cuts, repeats, lengths."""

from __future__ import annotations

import random

_INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x3F, 0x40, 0xFE)


def mutated(chance: random.Random, data: bytes, most: int = 4) -> bytes:
    """The data with 1 to `most` changes."""
    out = bytearray(data)
    for _ in range(chance.randint(1, most)):
        _change(chance, out)
    return bytes(out)


def _change(chance: random.Random, out: bytearray) -> None:
    if not out:
        out += bytes((chance.randrange(256),))
        return
    position = chance.randrange(len(out))
    match chance.randrange(7):
        case 0:
            out[position] ^= 1 << chance.randrange(8)
        case 1:
            out[position] = chance.choice(_INTERESTING)
        case 2:
            del out[position : position + chance.randint(1, 16)]
        case 3:
            out[position:position] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 8)))
        case 4:
            other = chance.randrange(len(out))
            out[position:position] = out[other : other + chance.randint(1, 40)]
        case 5:
            # Where lengths stand: three or four bytes of a big-endian number.
            out[position : position + 3] = chance.choice((0, 1, 0x3FFF, 0x4000, 0x4001, 0xFFFFFF)).to_bytes(3, "big")
        case _:
            del out[position:]


def recut(chance: random.Random, data: bytes) -> list[bytes]:
    """The same bytes in pieces of random sizes."""
    pieces = []
    while data:
        size = chance.choice((1, 2, 9, 50, 1_000, 100_000))
        pieces.append(data[:size])
        data = data[size:]
    return pieces

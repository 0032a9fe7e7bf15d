"""How a role treats memory. Told to the interpreter and to the C library once, at its start; nothing comes out."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from typing import Any

#: Net allocations of containers after which those that came since the last look are looked at: some milliseconds.
_YOUNG = 2_000
#: So many of these looks before one at all that outlived one: half a second of an observer with 50,000 operations. Libraries leave
#: cycles behind, but those are young.
_MIDDLE, _ALL = 1_000, 100

#: malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: What may lie unused at the end of the heap before it is given back, and from what size a block has pages of its own.
_TRIM_BYTES, _MMAP_BYTES = 32 * 1024 * 1024, 1024 * 1024


def collect_rarely() -> None:
    """Keeps the cyclic collector from holding up a process that has hundreds of thousands of objects and makes no cycles.

    A full collection takes 20 ms for a thousand idle connections of a tap, and by default there is one whenever a quarter is new.
    What is here is gone with its last reference (tests hold the tap to that); the few cycles of the libraries can wait.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _ALL)


def keep_freed_memory() -> None:
    """Keeps freed memory for the next chunk of bulk: giving each back and faulting its pages in again is half of a splice's CPU.

    Does nothing with a C library that has no mallopt(3).
    """
    libc: Any = ctypes.CDLL(None)
    with suppress(AttributeError):
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)

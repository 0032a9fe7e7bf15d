"""The file of a checkpoint: a header that can be checked, then the state.

magic, version, whether its epoch may go on, fingerprint, when it was written, length and SHA-256 of what follows. Little-endian.
Magic and version stay where they are in every version.

It is replaced as a whole or not at all: a new one is written beside it, brought to the disk, and takes its name.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway.observe.checkpoint import layout
from gateway.observe.checkpoint.codec import VERSION

NAME = "observe.checkpoint"
_NEW = NAME + ".new"

_MAGIC = b"nlgw checkpoint\n"
#: All but the checksum; what the checksum is of begins with the same, without `continues`.
_HEAD = struct.Struct("<16sHB32sQQ")
_SUM_BYTES = 32
_HEADER_BYTES = _HEAD.size + _SUM_BYTES
_CONTINUES_AT = 18
#: Half a million operations. Whatever is larger is not ours.
_LARGEST_BYTES = 1024 * 1024 * 1024


class RejectedError(Exception):
    """A file that cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds."""

    #: Unix nanoseconds.
    written_at: int
    #: The state is that of the last revision of its epoch.
    continues: bool
    data: bytes


def write(folder: Path, dump: Callable[[BinaryIO], None], *, written_at: int, continues: bool) -> None:
    """Put a new checkpoint in the place of the old one.

    Args:
        folder: state_dir.
        dump: writes the state.
        written_at: Unix nanoseconds.
        continues: nothing is published after it.

    Raises:
        OSError: the disk is full, or the folder cannot be written to; the old checkpoint is still there.
    """
    new = folder / _NEW
    # Not written over: whoever left it may still have it open.
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w+b") as file:
            file.write(bytes(_HEADER_BYTES))
            dump(file)
            length = file.tell() - _HEADER_BYTES
            head = (_MAGIC, VERSION, 0, layout.fingerprint(), written_at, length)
            file.seek(_HEADER_BYTES)
            checksum = hashlib.sha256(_HEAD.pack(*head))
            while part := file.read(1024 * 1024):
                checksum.update(part)
            file.seek(0)
            file.write(_HEAD.pack(*head[:2], continues, *head[3:]) + checksum.digest())
            file.flush()
            os.fsync(file.fileno())
        new.replace(folder / NAME)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
    _sync(folder)


def read(folder: Path) -> Contents | None:
    """The checkpoint; None: there is none.

    Raises:
        RejectedError: it is damaged, or of another version.
        OSError: it cannot be read.
    """
    try:
        file = (folder / NAME).open("rb")
    except FileNotFoundError:
        return None
    with file:
        size = os.fstat(file.fileno()).st_size
        if size > _LARGEST_BYTES:
            raise RejectedError(f"it has {size} bytes, more than any checkpoint")
        header = file.read(_HEADER_BYTES)
        if not header.startswith(_MAGIC):
            raise RejectedError("it is no checkpoint")
        if len(header) < _HEADER_BYTES:
            raise RejectedError("it is cut off")
        _, version, continues, fingerprint, written_at, length = _HEAD.unpack_from(header)
        if version > VERSION:
            raise RejectedError("a newer release of the gateway wrote it")
        if version < VERSION or fingerprint != layout.fingerprint():
            raise RejectedError("another release of the gateway wrote it, whose state looks different")
        data = file.read()
    if len(data) != length:
        raise RejectedError(f"it has {len(data)} bytes of state instead of {length}")
    summed = hashlib.sha256(_HEAD.pack(_MAGIC, version, 0, fingerprint, written_at, length))
    summed.update(data)
    if summed.digest() != header[_HEAD.size :]:
        raise RejectedError("its checksum is wrong")
    return Contents(written_at, bool(continues), data)


def claim(folder: Path) -> bool:
    """Let nobody else continue the epoch of the checkpoint; whether that could be done."""
    try:
        descriptor = os.open(folder / NAME, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, b"\0", _CONTINUES_AT)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def _sync(folder: Path) -> None:
    """Bring a new name in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

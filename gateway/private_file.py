"""Private files: those that only this user reads and writes, whole or not at all.

A path comes in; its bytes go out where nobody else could have written them, or new ones go into its place.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

#: Others have no part of it. The group may read: Kubernetes hands out secrets that way, as root's files with this process's group.
_FORBIDDEN = stat.S_IRWXO | stat.S_IWGRP


#: What says that there is no such file.
NO_FILE = (FileNotFoundError, NotADirectoryError)


class NotPrivateError(Exception):
    """A file that is open to others, or no file of the kind; the text says what to do, without naming it."""


def read_privately(file: Path, most_bytes: int) -> bytes:
    """The bytes of a file.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it cannot be read.
        NotPrivateError: others may read or change it, it is no file, or it is longer than that.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NotPrivateError("it is no regular file")
        if found.st_mode & _FORBIDDEN:
            mode = stat.S_IMODE(found.st_mode)
            raise NotPrivateError(f"others may read or change it (mode {mode:04o}): chmod 600")
        with open(descriptor, "rb", closefd=False) as opened:  # a descriptor has no path
            content = opened.read(most_bytes + 1)
    finally:
        os.close(descriptor)
    if len(content) > most_bytes:
        raise NotPrivateError(f"it is longer than {most_bytes} bytes")
    return content


def write_privately(file: Path, text: str) -> None:
    """Put a new file into the place of the old one. Two at the same time must be kept apart by who calls.

    Raises:
        OSError: it cannot be written, as where the disk is full; the old one is still there.
    """
    draft = file.with_name(f".{file.name}.new")
    draft.unlink(missing_ok=True)
    _write(draft, text)
    draft.replace(file)


def create_privately(file: Path, text: str) -> bool:
    """Make a file unless it is there; whether it was made. Of several at the same time one makes it.

    Raises:
        OSError: it cannot be written.
    """
    draft = file.with_name(f".{file.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    _write(draft, text)
    try:
        file.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _write(draft: Path, text: str) -> None:
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123 # a descriptor has no path
            if os.geteuid() == 0:
                # What an administrator writes is for who owns the place, and who reads it there.
                owner = draft.parent.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            opened.write(text)
            opened.flush()
            os.fsync(descriptor)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise

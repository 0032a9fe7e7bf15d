"""One process at a time: a lock file's path comes in, the lock is held until the process ends or lets go.

The kernel lets go when a process dies, however it dies, so a lock is never stale.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.errors import StartError

_RETRY_S = 0.01


@contextmanager
def exclusive_lock(path: Path, setting: str, within_s: float = 0.0) -> Iterator[None]:
    """Hold the lock; the file says which process holds it, where that can be written.

    Args:
        path: of the file; its directory exists.
        setting: what decides where the file is, for the message.
        within_s: how long to wait, in this thread, for another process that is about to end.

    Raises:
        StartError: another process holds it, or the file cannot be had.
    """
    try:
        descriptor = _open(path)
    except OSError as error:
        raise StartError(f"{setting}: cannot open {path}: {error.strerror}") from error
    try:
        try:
            _lock(descriptor, within_s)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            raise StartError(
                f"{setting}: {path.parent}: in use by another gateway (pid {holder}, {path.name}): stop that one, or choose another"
            ) from error
        # For people alone: a disk that is full keeps no role from starting.
        with suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    # A lock that was held before can be held again.
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _lock(descriptor: int, within_s: float) -> None:
    until = time.monotonic() + within_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
            time.sleep(_RETRY_S)
        else:
            return

"""An append-only file of lines, bounded: lines come in, the oldest go with the oldest file.

Several processes may append to it: a line is one write at its end, and who finds it full puts it away, one at a time. It becomes
FILE.1, that FILE.2, and so on; the last one goes.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

#: Of one file, and how many there are beside it.
FILE_BYTES = 10 * 1024 * 1024
FILES = 5


class LineFile:
    """One such file; nothing stays open between two lines."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, line: bytes) -> None:
        """Add a line, and bring it to the disk.

        Raises:
            OSError: it is not there, or not whole.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = self._open()
        try:
            # As long as somebody holds the lock, nobody puts the file away that is appended to.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(descriptor)
            is_full = os.fstat(descriptor).st_size >= FILE_BYTES
            inode = os.fstat(descriptor).st_ino
        finally:
            os.close(descriptor)
        if is_full:
            self._put_away(inode)

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def _put_away(self, inode: int) -> None:
        """Begin a new file, unless somebody did so meanwhile."""
        with suppress(OSError):
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if self.path.stat().st_ino != inode:
                    return
                for number in range(FILES - 1, 0, -1):
                    with suppress(FileNotFoundError):
                        self._numbered(number).replace(self._numbered(number + 1))
                self.path.replace(self._numbered(1))
            finally:
                os.close(descriptor)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")

"""Recording: the records of a tap come in over its record link, files that can each be replayed alone go out.

A process of its own, started by the tap (`tap --record FILE`): it is one more reader of the record link, so that whatever the disk
does, the tap only sees a reader that falls behind. FILE is the newest; when it is as large as a part may be it becomes FILE.1,
what was FILE.1 becomes FILE.2, up to PARTS. Every file begins with RunStarted and, unless its run does, with the open streams'
state.

Run as `python -m gateway.tap.recording SOCKET FILE BYTES`: ends with 0 once the tap has closed the link, with 1 where it cannot
go on.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterable
from io import BufferedWriter
from pathlib import Path

from gateway.tap import records
from gateway.tap.records import read_head
from gateway.tap.state import OpenState
from gateway.tap.wire import MalformedError, read_varint

#: Files that the whole is kept in.
PARTS = 8
_READ_BYTES = 256 * 1024
#: For messages that open streams keep, as in the ring.
_STATE_BYTES = 64 * 1024 * 1024
#: How long the record link may take to be there.
_PATIENCE_S = 10.0
#: An empty ReadRequest: everything that the tap still has.
_EVERYTHING = b"\x00"


class Recording:
    """Writes records into files."""

    def __init__(self, file: Path, limit_bytes: int) -> None:
        """Keeps at most about `limit_bytes` in all parts together. A file that is there already becomes an older part.

        Raises:
            OSError: The file cannot be made.
        """
        self._file = file
        self._part_bytes = max(limit_bytes // PARTS, 1)
        #: RunStarted, as every part begins.
        self._started = b""
        self._state = OpenState(_STATE_BYTES)
        self._size = 0
        self._opened = self._open()

    def write(self, found: Iterable[bytes]) -> None:
        """Takes length-delimited records in their order.

        Raises:
            OSError: The disk is full, or gone.
        """
        for record in found:
            self._note(record)
            self._put(record)
            if self._size >= self._part_bytes:
                self._turn()
        self._opened.flush()

    def close(self) -> None:
        """Everything is on the disk then."""
        try:
            self._opened.flush()
            os.fsync(self._opened.fileno())
        finally:
            # What could not be written is not tried again.
            self._opened.raw.close()

    def _note(self, record: bytes) -> None:
        head = read_head(record, 0)
        if head.kind == records.RUN_STARTED:
            self._started = record
        elif head.kind == records.STATE_BEGIN:
            self._state = OpenState(_STATE_BYTES)
        elif head.kind == records.OPEN_STREAM:
            self._state.restore(record, head)
        elif head.kind not in {records.GAP, records.STATE_END}:
            self._state.apply(record, head)

    def _put(self, data: bytes) -> None:
        self._opened.write(data)
        self._size += len(data)

    def _turn(self) -> None:
        """Begins the next part."""
        self.close()
        self._opened = self._open()
        self._put(self._started)
        for each in self._state.snapshot():
            self._put(each)
        # What a part repeats does not count: however much is open, every part has news.
        self._size = 0

    def _open(self) -> BufferedWriter:
        if self._file.exists():
            for number in range(PARTS - 1, 0, -1):
                older = part(self._file, number - 1)
                if older.exists():
                    older.replace(part(self._file, number))
        self._size = 0
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        return open(descriptor, "wb")  # noqa: PTH123 # a descriptor has no path, and it is closed by `close`


def part(file: Path, number: int) -> Path:
    """The file's older part with this number; 0: the file itself."""
    return file.with_name(f"{file.name}.{number}") if number else file


def parts(file: Path) -> list[Path]:
    """All that are there, oldest first."""
    return [found for number in range(PARTS - 1, -1, -1) if (found := part(file, number)).exists()]


def record_link(path: Path, recording: Recording) -> None:
    """Reads the tap's record link to its end.

    Raises:
        OSError: The link, or the disk.
    """
    with socket.socket(socket.AF_UNIX) as link:
        _connect(link, path)
        link.sendall(_EVERYTHING)
        rest = b""
        while data := link.recv(_READ_BYTES):
            found, rest = whole(rest + data)
            recording.write(found)


def _connect(link: socket.socket, path: Path) -> None:
    """The tap and this process start together."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            link.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


def whole(data: bytes) -> tuple[list[bytes], bytes]:
    """The records that are all there, each with its length, and the beginning of the next."""
    found = []
    start = 0
    while start < len(data):
        try:
            length, pos = read_varint(data, start, len(data))
        except MalformedError:
            break
        if pos + length > len(data):
            break
        found.append(data[start : pos + length])
        start = pos + length
    return found, data[start:]


def main(arguments: list[str]) -> int:
    """The process. What goes wrong is one line on stderr, which is the tap's."""
    link, file, limit = Path(arguments[0]), Path(arguments[1]), int(arguments[2])
    try:
        recording = Recording(file, limit)
        try:
            record_link(link, recording)
        finally:
            recording.close()
    except OSError as error:
        sys.stderr.write(f"--record {file}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

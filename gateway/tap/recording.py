"""Recording: the records of a tap come in over its record link, files that can each be replayed alone go out.

A process of its own, started by the tap (`tap --record FILE`): it is one more reader of the record link, so that whatever the disk
does, the tap only sees a reader that falls behind. FILE is the newest part; when it is large enough it becomes FILE.1, what was
FILE.1 becomes FILE.2, and the oldest go, so that all together stay within the bound. Every part begins with RunStarted and, unless
its run does, with the open streams' state.

While the disk is full or fails nothing is read, and writing is tried again until it succeeds: then the part goes on, with a Gap and
the state where the tap could not keep everything for so long.

Run as `python -m gateway.tap.recording SOCKET FILE BYTES`: ends with 0 once the tap has closed the link, with 1 where that is not
to be had. What a person should know is a line on stderr, which the tap logs.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TypeVar

from gateway.tap import records
from gateway.tap.records import read_head
from gateway.tap.state import OpenState
from gateway.tap.wire import MalformedError, read_field, read_varint

#: The whole is kept in about so many files of the same size.
_SHARES = 8
#: And never in more than so many, however often a tap is started.
PARTS = 64
_READ_BYTES = 256 * 1024
#: What is written at once, at most, and one record.
_WRITE_BYTES = 1024 * 1024
#: For messages that open streams keep, as in the ring.
_STATE_BYTES = 64 * 1024 * 1024
#: How long the record link may take to be there.
_PATIENCE_S = 10.0
#: Between two tries to write.
_RETRY_S = 5.0
#: Gaps are told at most so often.
_TELL_GAPS_S = 60.0
#: An empty ReadRequest: everything that the tap still has.
_EVERYTHING = b"\x00"

_Result = TypeVar("_Result")


class Recording:
    """Writes records into files. Waits for as long as they cannot be written."""

    def __init__(
        self, file: Path, limit_bytes: int, *, tell: Callable[[str], None], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        """Keeps at most `limit_bytes` in all parts together, and what the newest repeats. A file that is there becomes FILE.1.

        Args:
            file: the newest part's name.
            limit_bytes: of all parts.
            tell: is called with sentences for a person.
            sleep: waits so many seconds between two tries.
        """
        self._file = file
        self._limit_bytes = limit_bytes
        self._part_bytes = max(limit_bytes // _SHARES, 1)
        self._tell = tell
        self._sleep = sleep
        #: RunStarted, as every part begins.
        self._started = b""
        self._state = OpenState(_STATE_BYTES)
        #: What is not written yet.
        self._waiting = bytearray()
        #: Bytes of the part's records. What it repeats does not count: however much is open, every part has news.
        self._size = 0
        #: Bytes of the file.
        self._written = 0
        self._gaps_told_at = -_TELL_GAPS_S
        self._descriptor = self._until_it_succeeds(self._open)

    def write(self, found: Iterable[bytes]) -> None:
        """Takes length-delimited records in their order."""
        for record in found:
            self._note(record)
            self._waiting += record
            self._size += len(record)
            if self._size >= self._part_bytes:
                self._turn()
            elif len(self._waiting) >= _WRITE_BYTES:
                self._flush()
        self._flush()

    def close(self) -> None:
        """Everything is on the disk then, unless the disk says otherwise."""
        self._flush()
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self._tell(f"the end of {self._file} may be missing: {error.strerror}")
        finally:
            os.close(self._descriptor)

    def _note(self, record: bytes) -> None:
        head = read_head(record, 0)
        match head.kind:
            case records.RUN_STARTED:
                self._started = record
            case records.GAP:
                self._note_gap(record, head)
            case records.STATE_BEGIN:
                self._state = OpenState(_STATE_BYTES)
                self._state.sequence, self._state.monotonic_ns = head.sequence, head.monotonic_ns
            case records.OPEN_STREAM:
                self._state.restore(record, head)
            case records.STATE_END:
                pass
            case _:
                self._state.apply(record, head)

    def _note_gap(self, record: bytes, head: records.Head) -> None:
        now = time.monotonic()
        if now - self._gaps_told_at >= _TELL_GAPS_S:
            self._gaps_told_at = now
            _, _, start, pos = read_field(record, head.start, head.end)
            first = int.from_bytes(record[start:pos], "little")
            self._tell(
                f"{self._file} lacks the records {first} to {head.sequence}: the disk is slower than the traffic, or was full"
            )

    def _turn(self) -> None:
        """Begins the next part."""
        self.close()
        self._descriptor = self._until_it_succeeds(self._open)
        self._waiting += self._started
        for each in self._state.snapshot():
            self._waiting += each
            if len(self._waiting) >= _WRITE_BYTES:
                self._flush()

    def _open(self) -> int:
        if self._file.exists():
            self._make_room()
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._size = self._written = 0
        return descriptor

    def _make_room(self) -> None:
        """Moves every part one on, as far as there is no free number, and lets the oldest go."""
        found = parts(self._file)
        sizes = [each.stat().st_size for each in found]
        while len(found) > PARTS - 1 or sum(sizes) > self._limit_bytes - self._part_bytes:
            if len(found) == 1:
                break
            sizes.pop(0)
            found.pop(0).unlink()
        free = next(number for number in count(1) if not part(self._file, number).exists())
        for number in range(free, 0, -1):
            part(self._file, number - 1).replace(part(self._file, number))

    def _flush(self) -> None:
        if self._waiting:
            self._until_it_succeeds(self._write_waiting)

    def _write_waiting(self) -> None:
        """All of it or nothing, so that the file never ends within a record."""
        sent = 0
        try:
            with memoryview(self._waiting) as data:
                while sent < len(data):
                    sent += os.write(self._descriptor, data[sent:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, self._written)
                os.lseek(self._descriptor, self._written, os.SEEK_SET)
            raise
        self._written += sent
        self._waiting = bytearray()

    def _until_it_succeeds(self, attempt: Callable[[], _Result]) -> _Result:
        paused = False
        while True:
            try:
                result = attempt()
            except OSError as error:
                if not paused:
                    self._tell(f"{self._file} cannot be written: {error.strerror or error}: it goes on when it can be")
                paused = True
                self._sleep(_RETRY_S)
            else:
                if paused:
                    self._tell(f"{self._file} can be written again: it goes on")
                return result


def part(file: Path, number: int) -> Path:
    """The file's older part with this number; 0: the file itself."""
    return file.with_name(f"{file.name}.{number}") if number else file


def parts(file: Path) -> list[Path]:
    """All that are there, oldest first."""
    return [found for number in range(PARTS, -1, -1) if (found := part(file, number)).exists()]


def is_recording(file: Path) -> bool:
    """Whether the file begins as every part does, with RunStarted; an empty one may become one.

    Raises:
        OSError: it cannot be read.
    """
    with file.open("rb") as opened:
        beginning = opened.read(_READ_BYTES)
    try:
        head = read_head(beginning, 0)
    except (MalformedError, struct.error):
        return not beginning
    return (head.kind, head.sequence) == (records.RUN_STARTED, 1)


def record_link(path: Path, recording: Recording) -> None:
    """Reads the tap's record link to its end.

    Raises:
        OSError: The link is not there, or breaks.
    """
    with socket.socket(socket.AF_UNIX) as link:
        _connect(link, path)
        link.sendall(_EVERYTHING)
        waiting = bytearray()
        need = 1
        while data := link.recv(_READ_BYTES):
            waiting += data
            if len(waiting) >= need:
                found, used, need = whole(bytes(waiting))
                del waiting[:used]
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


def whole(data: bytes) -> tuple[list[bytes], int, int]:
    """The records that are all there, each with its length, how many bytes they are, and how many the next needs at least."""
    found = []
    start = 0
    need = 1
    while start < len(data):
        try:
            length, pos = read_varint(data, start, len(data))
        except MalformedError:
            # Its length is cut off.
            need = len(data) - start + 1
            break
        if pos + length > len(data):
            need = pos + length - start
            break
        found.append(data[start : pos + length])
        start = pos + length
    return found, start, need


def main(arguments: list[str]) -> int:
    """The process."""
    link, file, limit = Path(arguments[0]), Path(arguments[1]), int(arguments[2])

    def tell(sentence: str) -> None:
        # Whoever reads this may have ended.
        with suppress(OSError):
            sys.stderr.write(f"{sentence}\n")
            sys.stderr.flush()

    # Whoever ends a whole group of processes ends the tap too, and what it says last belongs to the recording.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    recording = Recording(file, limit, tell=tell)
    try:
        record_link(link, recording)
    except OSError as error:
        tell(f"{file} ends here: the record link broke: {error.strerror or error}")
        return 1
    finally:
        recording.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A recording's files come in, its records go out, up to where they are damaged.

FILE is the newest part, FILE.1, FILE.2, … are older ones (gateway.tap.recording writes them); each begins with RunStarted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from gateway.errors import StartError
from gateway.observe.wire import FramingError, Splitter
from gateway.pb import tap_pb2

#: Older parts that are looked for.
PARTS_MAX = 8
_READ_BYTES = 256 * 1024
_RECORD_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Damage:
    """Where the reading of a part ended before its end."""

    file: Path
    #: Of the first byte that is not read.
    position: int
    why: str

    def __str__(self) -> str:
        """For a person."""
        return f"{self.file}: {self.why} at byte {self.position}: what comes after it is not read"


def parts(file: Path) -> list[Path]:
    """All that are there, oldest first."""
    older = [file.with_name(f"{file.name}.{number}") for number in range(PARTS_MAX, 0, -1)]
    return [each for each in (*older, file) if each.exists()]


class RecordingFiles:
    """A recording with all its parts."""

    def __init__(self, file: Path, setting: str) -> None:
        """`setting` is what named the file, for messages.

        Raises:
            StartError: It cannot be read, or is no recording.
        """
        self.files = parts(file) or [file]
        #: In the order in which it was found; filled while `records` goes on.
        self.damage: list[Damage] = []
        self._setting = setting
        self._check(file)

    def records(self) -> Iterator[tap_pb2.TapRecord]:
        """Every record that can be read."""
        for file in self.files:
            yield from self._part(file)

    def _part(self, file: Path) -> Iterator[tap_pb2.TapRecord]:
        splitter = Splitter(_RECORD_BYTES)
        position = 0
        with file.open("rb") as opened:
            try:
                while data := opened.read(_READ_BYTES):
                    for message in splitter.feed(data):
                        # upb takes any buffer; its stubs say bytes.
                        yield tap_pb2.TapRecord.FromString(message)  # type: ignore[arg-type]
                        position += _framed(len(message))
            except (FramingError, DecodeError):
                self.damage.append(Damage(file, position, "this is no record"))
                return
        if position != file.stat().st_size:
            self.damage.append(Damage(file, position, "the last record is cut off"))

    def _check(self, file: Path) -> None:
        try:
            first = next(self._part(self.files[0]), None)
        except OSError as error:
            raise StartError(f"{self._setting} {file}: cannot be read: {error.strerror}") from None
        self.damage.clear()
        if first is None or not first.HasField("run_started"):
            raise StartError(
                f"{self._setting} {file}: not a recording of nativelink-gateway: its first record does not begin a run"
            )


def _framed(length: int) -> int:
    """Bytes of a record with its length before it."""
    prefix = 1
    while length >> (7 * prefix):
        prefix += 1
    return prefix + length

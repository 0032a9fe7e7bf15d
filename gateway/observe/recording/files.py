"""A recording's files come in, its records go out, up to where they are damaged.

FILE is the newest part, FILE.1, FILE.2, … are older ones (gateway.tap.recording writes them), and FILE means all of them; a part
that is named itself (FILE.2) is read alone. Each begins with RunStarted and, where it continues a run, with the open streams'
state: what is known from the part before is not said again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

from google.protobuf.message import DecodeError

from gateway.errors import StartError
from gateway.observe.wire import FramingError, Splitter
from gateway.pb import tap_pb2

#: Older parts that are looked for.
PARTS_MAX = 64
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


def recordings(file: Path, setting: str) -> list[RecordingFiles]:
    """A recording, and those of further tap processes beside it, FILE.tap-1, FILE.tap-2, …, each with all its parts.

    Raises:
        StartError: One cannot be read, or is no recording.
    """
    found = [RecordingFiles(file, setting)]
    for number in count(1):
        beside = file.with_name(f"{file.name}.tap-{number}")
        if not parts(beside):
            break
        found.append(RecordingFiles(beside, setting))
    return found


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
        for each in self.files:
            _check(each, setting)
        if not any(each.stat().st_size for each in self.files):
            raise StartError(f"{setting} {file}: empty: no recording of nativelink-gateway")

    def records(self) -> Iterator[tap_pb2.TapRecord]:
        """Every record that can be read, each once."""
        continuity = _Continuity()
        for file in self.files:
            for record in self._part(file):
                yield from continuity.take(record)

    def _part(self, file: Path) -> Iterator[tap_pb2.TapRecord]:
        splitter = Splitter(_RECORD_BYTES)
        position = end = 0
        try:
            with file.open("rb") as opened:
                while data := opened.read(_READ_BYTES):
                    end += len(data)
                    for message in splitter.feed(data):
                        # upb takes any buffer; its stubs say bytes.
                        yield tap_pb2.TapRecord.FromString(message)  # type: ignore[arg-type]
                        position += _framed(len(message))
        except (FramingError, DecodeError):
            self.damage.append(Damage(file, position, "this is no record"))
        except OSError as error:
            self.damage.append(Damage(file, position, f"it cannot be read ({error.strerror})"))
        else:
            if position != end:
                self.damage.append(Damage(file, position, "the last record is cut off"))


class _Continuity:
    """What was said, so that what parts repeat is left out, and what none of them has is told."""

    def __init__(self) -> None:
        self._run = ""
        #: Of the run's records, the last that was said or stood for.
        self._last = 0

    def take(self, record: tap_pb2.TapRecord) -> Iterator[tap_pb2.TapRecord]:
        """The record, if it is new."""
        kind = record.WhichOneof("record")
        if kind == "run_started":
            if record.run_started.run == self._run:
                return
            self._run, self._last = record.run_started.run, record.sequence
        elif kind == "gap":
            if record.gap.last <= self._last:
                return
            # The state that follows is news.
            self._last = max(self._last, record.gap.last - 1)
        elif record.sequence <= self._last:
            return
        elif kind == "state_begin":
            first = self._last + 1
            if first < record.sequence and self._last > 1:
                missing = tap_pb2.Gap(first=first, last=record.sequence)
                yield tap_pb2.TapRecord(sequence=record.sequence, monotonic_ns=record.monotonic_ns, gap=missing)
        elif kind != "open_stream":
            self._last = record.sequence
        yield record


def _check(file: Path, setting: str) -> None:
    """Whether it begins as a part does, or is one that has only just been made."""
    splitter = Splitter(_RECORD_BYTES)
    first: tap_pb2.TapRecord | None = None
    try:
        with file.open("rb") as opened:
            while first is None and (data := opened.read(_READ_BYTES)):
                for message in islice(splitter.feed(data), 1):
                    first = tap_pb2.TapRecord.FromString(message)  # type: ignore[arg-type]  # as above
            if not opened.tell():
                return
    except OSError as error:
        raise StartError(f"{setting} {file}: cannot be read: {error.strerror}") from None
    except (FramingError, DecodeError):
        pass
    if first is None or not first.HasField("run_started"):
        raise StartError(f"{setting} {file}: not a recording of nativelink-gateway: its first record does not begin a run")


def _framed(length: int) -> int:
    """Bytes of a record with its length before it."""
    prefix = 1
    while length >> (7 * prefix):
        prefix += 1
    return prefix + length

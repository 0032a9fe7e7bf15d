"""Logging, set up once in each process: records of the standard library come in, one line for each goes to stderr.

On a terminal a line is for people, with the local time of day. Otherwise it is logfmt, with the time in UTC:
`time=… level=… role=… pid=… logger=… msg="…"`, then what a caller gave as `extra`, then `exc="…"`.

Nothing that logs ever waits for whoever reads stderr (promise P1): lines go through a bounded queue, and where it is full they are
dropped and counted.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import re
import sys
import threading
import time
from datetime import UTC, datetime
from typing import IO

LEVELS = ("debug", "info", "warning", "error")
#: Lines that may wait for stderr, and characters of one.
_LINES_MAX = 2_000
_LINE_MAX = 16_384
#: How long the end of a process waits for its last lines to be read.
_FLUSH_S = 0.5
_PLAIN = re.compile(r"[^\s\"=\\\x00-\x1f\x7f]+")
#: What every record has, so that the rest is `extra`.
_ORDINARY = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def set_up(role: str, level: str, stream: IO[str] | None = None) -> LineWriter:
    """Send every logger of this process to stderr. The caller closes what it gets, so that the last lines are written.

    Args:
        role: of this process; in each line.
        level: one of LEVELS.
        stream: instead of stderr; has a file descriptor.
    """
    stream = sys.stderr if stream is None else stream
    writer = LineWriter(stream.fileno())
    writer.setFormatter(PeopleFormatter(role) if stream.isatty() else LogfmtFormatter(role))
    logging.basicConfig(level=level.upper(), handlers=[writer], force=True)
    logging.captureWarnings(capture=True)
    # asyncio tells at debug level which selector it uses, in each process.
    logging.getLogger("asyncio").setLevel(max(logging.INFO, logging.getLogger().level))
    return writer


class LineWriter(logging.Handler):
    """Formats where it is called, writes in a thread of its own."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: queue.Queue[str | None] = queue.Queue(_LINES_MAX)
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log writer", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's line, or count it as dropped."""
        try:
            self._lines.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 # logging's own rule: a bad format string is told on stderr and breaks nobody
            self.handleError(record)

    def close(self) -> None:
        """Write what waits, as far as somebody reads it within half a second."""
        try:
            self._lines.put(None, timeout=_FLUSH_S)
        except queue.Full:
            pass
        else:
            self._thread.join(_FLUSH_S)
        super().close()

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self._dropped = self._dropped, 0
            if dropped:
                told = {
                    "name": __name__,
                    "levelname": "WARNING",
                    "msg": f"{dropped} log lines were dropped: stderr was not read fast enough",
                }
                line = f"{self.format(logging.makeLogRecord(told))}\n{line}"
            data = memoryview(f"{line}\n".encode(errors="backslashreplace"))
            try:
                while data:
                    data = data[os.write(self._descriptor, data) :]
            except OSError:
                # Nobody reads any more; there is nowhere to say so.
                self._dropped += 1


class LogfmtFormatter(logging.Formatter):
    """One line of key=value pairs."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, cut where it is too long."""
        pairs = {
            "time": _time(record.created),
            "level": record.levelname.lower(),
            "role": self._role,
            "pid": record.process,
            "logger": record.name,
            "msg": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            pairs["exc"] = self.formatException(record.exc_info)
        line = " ".join(f"{key}={_value(value)}" for key, value in pairs.items())
        return line if len(line) <= _LINE_MAX else line[: _LINE_MAX - 1] + "…"


class PeopleFormatter(logging.Formatter):
    """Time of day, level, role and process, message; a traceback below it."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, control characters made visible, cut where it is too long."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        text = "".join(each if each.isprintable() else repr(each)[1:-1] for each in record.getMessage())
        extra = "".join(f" {key}={_value(value)}" for key, value in _extra(record).items())
        line = f"{clock} {record.levelname.lower():<7} {self._role}[{record.process}] {text}{extra}"[:_LINE_MAX]
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in vars(record).items() if key not in _ORDINARY}


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text, ensure_ascii=False)

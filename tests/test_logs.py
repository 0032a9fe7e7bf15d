import logging
import os
import pty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import pytest

from gateway import logs
from gateway.logs import LineWriter, LogfmtFormatter, PeopleFormatter


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("gateway.tap", logging.WARNING, __file__, 1, message, arguments, None)
    made.created, made.process = 1_640_995_200.25, 42
    vars(made).update(extra)
    return made


@contextmanager
def as_it_was() -> Iterator[None]:
    """Logging is the whole process's: a test that sets it up puts it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        logging.captureWarnings(capture=False)
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.getLogger("asyncio").setLevel(logging.NOTSET)


def piped() -> tuple[int, IO[str]]:
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


def test_a_line_is_logfmt() -> None:
    line = LogfmtFormatter("tap").format(record('connection "%s"\nended', "a=b", listener="workers", bytes=7))
    assert line == (
        "time=2022-01-01T00:00:00.250Z level=warning role=tap pid=42 logger=gateway.tap "
        r'msg="connection \"a=b\"\nended" listener=workers bytes=7'
    )


def test_a_traceback_stays_on_its_line() -> None:
    made = record("failed")
    try:
        int("why")
    except ValueError as error:
        made.exc_info = (type(error), error, error.__traceback__)
    line = LogfmtFormatter("tap").format(made)
    assert "\n" not in line
    assert "ValueError: invalid literal" in line
    assert PeopleFormatter("tap").format(made).splitlines()[-1].startswith("ValueError: invalid literal")


def test_a_very_long_line_is_cut() -> None:
    assert len(LogfmtFormatter("tap").format(record("x" * 100_000))) == 16_384


def test_people_get_a_short_line_in_which_nothing_moves_the_cursor() -> None:
    line = PeopleFormatter("tap").format(record("from %s", "\x1b[2Jé\n", listener="a b"))
    assert line.partition(" ")[2] == r'warning tap[42] from \x1b[2Jé\n listener="a b"'


def test_set_up_writes_logfmt_to_a_pipe_from_its_level_on() -> None:
    reading, stream = piped()
    with as_it_was(), stream:
        writer = logs.set_up("serve", "warning", stream)
        logging.getLogger("x").info("quiet")
        logging.getLogger("x").warning("loud")
        writer.close()
    assert b"role=serve" in (line := os.read(reading, 65_536))
    assert line.count(b"\n") == 1
    assert line.endswith(b"logger=x msg=loud\n")
    os.close(reading)


def test_set_up_writes_for_people_to_a_terminal() -> None:
    leader, follower = pty.openpty()
    with as_it_was(), os.fdopen(follower, "w") as stream:
        writer = logs.set_up("serve", "info", stream)
        logging.getLogger("x").info("hello")
        writer.close()
        assert os.read(leader, 65_536).decode().rstrip().endswith(f"info    serve[{os.getpid()}] hello")
    os.close(leader)


def test_a_reader_that_does_not_read_holds_nobody_up_and_the_dropped_lines_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_LINES_MAX", 2)
    reading, writing = os.pipe()
    writer = LineWriter(writing)
    writer.setFormatter(LogfmtFormatter("tap"))
    for _ in range(200):
        writer.handle(record("x" * 8_000))
    text = b""
    while b"log lines were dropped" not in text:
        text += os.read(reading, 65_536)
        writer.handle(record("after"))
    writer.close()
    os.close(writing)
    os.close(reading)


def test_a_reader_that_is_gone_holds_nobody_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = LineWriter(writing)
    writer.handle(record("nobody hears"))
    writer.close()
    os.close(writing)

"""`nativelink-gateway inspect FILE`: a recording as lines, as JSON, or freed of what nobody else should see."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.errors import StartError

if TYPE_CHECKING:
    from gateway.observe.recording.files import RecordingFiles

_KEY_BYTES = 32
_KEY_MAX = 64


def add_arguments(command: argparse.ArgumentParser) -> None:
    """The options of the command."""
    command.add_argument("file", type=Path, metavar="FILE", help="a recording; its older parts FILE.1 … are read with it")
    command.add_argument("--json", action="store_true", help="a JSON object for every record, without a summary")
    command.add_argument("--full", action="store_true", help="lines as long as they are")
    command.add_argument(
        "--redact",
        type=Path,
        metavar="OUT",
        help="write a recording instead in which names, values, targets, paths, messages and peers are keyed hashes",
    )
    command.add_argument("--key", type=Path, metavar="FILE", help="of the hashes, for the same ones in several (default: random)")
    command.add_argument("--keep-numbers", action="store_true", help="keep property values that are numbers")


def inspect(options: argparse.Namespace) -> None:
    """Do it.

    Raises:
        StartError: a file cannot be read or written, or is no recording.
    """
    # protobuf is not needed by the other commands' arguments.
    from gateway.observe.recording.files import RecordingFiles  # noqa: PLC0415

    files = RecordingFiles(options.file, "inspect")
    if options.redact is not None:
        _redact(files, options)
    else:
        _show(files, options)
    for damage in files.damage:
        _say(str(damage))


def _show(files: RecordingFiles, options: argparse.Namespace) -> None:
    from gateway.observe.recording.inspection import Inspection  # noqa: PLC0415

    inspection = Inspection(is_full=options.full)
    for record in files.records():
        line = inspection.as_json(record) if options.json else inspection.line(record)
        sys.stdout.write(f"{line}\n")
    if not options.json:
        for line in inspection.summary():
            sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _redact(files: RecordingFiles, options: argparse.Namespace) -> None:
    from gateway.observe.recording.redaction import Redaction  # noqa: PLC0415
    from gateway.observe.wire import delimited  # noqa: PLC0415

    redaction = Redaction(_key(options.key), keeps_numbers=options.keep_numbers)
    out: Path = options.redact
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise StartError(f"--redact {out}: a name that is free: this one is not overwritten") from None
    except OSError as error:
        raise StartError(f"--redact {out}: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as opened:  # noqa: PTH123 # a descriptor has no path
            opened.writelines(delimited(redaction.redact(record).SerializeToString()) for record in files.records())
    except OSError as error:
        out.unlink(missing_ok=True)
        raise StartError(f"--redact {out}: {error.strerror}") from None
    for name, stands_for_it in redaction.schedulers.items():
        _say(f"the scheduler {name!r} is called {stands_for_it!r} in {out}: so does a configuration that plays it")


def _say(sentence: str) -> None:
    sys.stderr.write(f"nativelink-gateway inspect: {sentence}\n")


def _key(file: Path | None) -> bytes:
    if file is None:
        return secrets.token_bytes(_KEY_BYTES)
    try:
        key = file.read_bytes()
    except OSError as error:
        raise StartError(f"--key {file}: {error.strerror}") from None
    if not 16 <= len(key) <= _KEY_MAX:
        raise StartError(f"--key {file}: {len(key)} bytes: 16 to {_KEY_MAX} random ones, such as of: head -c 32 /dev/urandom")
    return key

"""The words of the command line. In: the arguments. Out: a namespace whose `command` names what to do."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from gateway import __version__
from gateway.cli.inspection import add_arguments as add_inspection
from gateway.cli.recording import DEFAULT_BYTES, LEAST_BYTES
from gateway.cli.tokens import add_arguments as add_tokens
from gateway.client.arguments import COMMANDS as QUESTIONS
from gateway.client.arguments import add_arguments as add_question
from gateway.logs import LEVELS

_ABOUT = """\
The NativeLink Monitoring API for an unmodified NativeLink: a transparent tap in front of its ports, a model of its
scheduler, JSON over HTTP."""

_MORE = """\
configuration:
  One JSON5 file (--config). The block from NativeLink's documentation of the Monitoring API is a whole one; its
  `gateway: {...}` object holds the rest. `check-config` prints every setting with its value, or every mistake.
  Without any file: NativeLink's shipped ports on loopback (50051, 50061), taps on those plus 100, HTTP on 50062.

environment:
  STATE_DIRECTORY, XDG_STATE_HOME, HOME   where gateway.state_dir is unless the file says so, in this order
  any variable                            strings of both files may say ${VAR} or ${VAR:-default}

exit codes:
  0 stopped as told   1 a port, a directory or a lock is not to be had   2 mistakes in arguments or configuration
  70 a defect: please report what was logged; commands that ask a gateway have more, see their --help"""

_COMMANDS = {
    "run": "the whole gateway: starts tap, observe and serve, each a process, and keeps them running",
    "tap": "one role: forward NativeLink's traffic and publish what is read along the way",
    "observe": "one role: follow the tap's records, keep the model, answer the introspection service",
    "serve": "one role: answer HTTP from the introspection service",
    "inspect": "print what is in a recording, or write one that may be shown to others",
    "check-config": "print the resolved configuration, or every mistake in it, and exit",
    "token": "make, list, revoke and show the tokens that are sent over HTTP",
    "demo": "a simulated NativeLink with workers and builds behind the whole gateway, to try it out",
    **QUESTIONS,
}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse; exits by itself for --help, --version and mistakes, as argparse does."""
    parser = argparse.ArgumentParser(
        "nativelink-gateway",
        description=_ABOUT,
        epilog=_MORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name, what in _COMMANDS.items():
        command = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.", allow_abbrev=False)
        if name == "inspect":
            add_inspection(command)
            continue
        if name == "token":
            add_tokens(command)
            continue
        if name in QUESTIONS:
            add_question(command, name)
            continue
        _add_options(command, name)
        if name == "demo" and name in arguments:
            # Its options live with the simulation, which is too large to be imported by every command.
            from gateway.simulation.demo import add_arguments  # noqa: PLC0415

            add_arguments(command)
    return parser.parse_args(arguments)


def _add_options(command: argparse.ArgumentParser, name: str) -> None:
    if name != "demo":
        command.add_argument("--config", type=Path, metavar="FILE", help="the gateway's own configuration, JSON5")
        command.add_argument(
            "--nativelink-config",
            type=Path,
            metavar="FILE",
            help="NativeLink's own configuration: scheduler names, property types, timeouts and ports are read from it",
        )
    command.add_argument("--http", metavar="HOST:PORT", help="answer HTTP here, whatever the file says")
    command.add_argument("--log-level", choices=LEVELS, default="info", help="what is logged to stderr (default: %(default)s)")
    if name in {"tap", "run"}:
        command.add_argument(
            "--record", type=Path, metavar="FILE", help="record all that is read; further tap processes: FILE.tap-1 …"
        )
        command.add_argument(
            "--record-bytes",
            type=_record_bytes,
            default=DEFAULT_BYTES,
            metavar="N",
            help="how large a recording gets, older parts FILE.1 … included (default: %(default)s)",
        )
    if name == "observe":
        command.add_argument("--replay", type=Path, metavar="FILE", help="play a recording (and FILE.tap-1 …) instead")
        command.add_argument(
            "--speed",
            type=_speed,
            default=1.0,
            metavar="N",
            help="of a replay, times the recording's; 0 or max: as fast as it goes (default: 1)",
        )
    if name in {"tap", "serve"}:
        command.add_argument(
            "--listener",
            action="append",
            default=[],
            type=_listener,
            metavar="NAME=DESCRIPTOR",
            help=f"a listening socket that this process inherits, for {'the tap of that name' if name == 'tap' else 'http'}",
        )
    if name in {"run", "tap"}:
        command.add_argument(
            "--take-over",
            action="store_true",
            help=f"an upgrade: take the connections over from the {'gateway' if name == 'run' else 'tap'} that runs on the same "
            "state_dir, without cutting any, and end it",
        )
    if name == "tap":
        command.add_argument(
            "--process", type=_number, default=0, metavar="N", help="which of gateway.tap.processes this is, from 0 (default: 0)"
        )
        command.add_argument(
            "--tell", type=int, metavar="DESCRIPTOR", help="write a byte to this descriptor when connections have been taken over"
        )
    if name == "serve":
        command.add_argument(
            "--process",
            type=_number,
            metavar="N",
            help="which of gateway.serve.processes this is, from 0 (default: it is the only one)",
        )
    if name in {"tap", "observe", "serve"}:
        command.add_argument("--supervisor", type=int, metavar="PID", help="the parent process: this one dies when it does")


def _listener(text: str) -> tuple[str, int]:
    name, _, descriptor = text.rpartition("=")
    if not name or not descriptor.isdecimal() or not _is_open(int(descriptor)):
        raise argparse.ArgumentTypeError(f"{text}: NAME=DESCRIPTOR of an open socket")
    return name, int(descriptor)


def _speed(text: str) -> float:
    if text in {"max", "0"}:
        return 0.0
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0.0 < speed <= 1_000_000.0:
        raise argparse.ArgumentTypeError(f"{text}: a number, or max")
    return speed


def _record_bytes(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or int(text) < LEAST_BYTES:
        raise argparse.ArgumentTypeError(f"{text}: a number of bytes, {LEAST_BYTES} or more")
    return int(text)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 6:
        raise argparse.ArgumentTypeError(f"{text}: a number from 0")
    return int(text)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except (OSError, OverflowError):
        return False
    return True

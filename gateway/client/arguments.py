"""The words of these commands: an argument parser comes in, with their options it goes out.

Nothing is imported that takes long: every command of the gateway reads this.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping

from gateway.client.address import DEFAULT_URL, TOKEN_VARIABLE, URL_VARIABLE
from gateway.client.drain_arguments import DRAIN_COMMANDS, DRAIN_OPTIONS
from gateway.client.values import interval, property_value, seconds

COMMANDS = {
    "status": "ask a gateway: how it and the scheduler are, in one screen",
    "workers": "ask a gateway: the workers, as a table",
    "operations": "ask a gateway: the operations, as a table, those that run first",
    "operation": "ask a gateway: everything that is known of one operation",
    "watch": "ask a gateway: what runs and what waits, live, until q or Ctrl-C",
    "events": "ask a gateway: every change as it happens, a line each, until Ctrl-C",
    **DRAIN_COMMANDS,
}

#: Lines that a person might still scroll through.
WORKERS_IN_A_TABLE = 1_000

_MORE = f"""\
times:
  Durations are 42s, 3m04s, 2h05m, 3d04h, by the gateway's clock; moments are in this machine's time zone.

environment:
  {URL_VARIABLE}     where the gateway is, unless --url says so
  {TOKEN_VARIABLE}   sent as Authorization: Bearer; `nativelink-gateway token` makes one
  NO_COLOR                   no colours, as everywhere but on a terminal
  SSL_CERT_FILE              as --ca-file
  No proxy is used, whatever the environment says.

exit codes:
  0 answered{{healthy}}   1 answered, and it is not as asked for{{no}}
  2 a mistake in the arguments   3 unhealthy: the gateway has nothing yet that can be shown, or nothing any more
  4 no gateway answers there, or not to us   130 Ctrl-C before an answer"""

_TABLES = """\
tables:
  A narrow terminal gets short ids, no two the same, and fewer columns; a pipe gets all of it.

"""
_HEALTHY = {"status": ": it is healthy"}
_NO = {
    "status": ": it is degraded",
    "operation": ": there is none of that id, or it did not get so far in time",
    "drain": ": there is no such worker, NativeLink refused, or not all were safe to delete in time",
    "undrain": ": there is no such worker or drain, or another drain is about the worker",
    "drains": ": there is none of that id, or not all were safe to delete in time",
}


def describe(name: str) -> str:
    """What --help of a command ends with."""
    more = _MORE if name in {"status", "operation", "events"} else _TABLES + _MORE
    return more.format(healthy=_HEALTHY.get(name, ""), no=_NO.get(name, ""))


def add_arguments(command: argparse.ArgumentParser, name: str) -> None:
    """The options of one of COMMANDS."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.epilog = describe(name)
    command.add_argument(
        "--url",
        default=os.environ.get(URL_VARIABLE) or DEFAULT_URL,
        metavar="URL",
        help=f"the gateway's HTTP address (default: ${URL_VARIABLE}, or {DEFAULT_URL})",
    )
    command.add_argument(
        "--ca-file", metavar="FILE", help="PEM: who signed the certificate of an https:// address, unless the system knows"
    )
    if name != "watch":
        instead = (
            "an object for every event, instead of words" if name == "events" else "the API's JSON as it came, instead of a table"
        )
        command.add_argument("--json", action="store_true", help=instead)
    _OPTIONS[name](command)


def parameters(options: argparse.Namespace) -> list[tuple[str, str]]:
    """The filters that were given, as the API has them."""
    given = [(name, getattr(options, name, None)) for name in _FILTERS]
    return [(name, value) for name, value in given if value is not None] + [
        (f"property.{name}", value) for name, value in getattr(options, "property", None) or ()
    ]


_FILTERS = (
    *("state", "id_prefix", "stage", "worker_id", "digest", "instance", "invocation_id", "target", "mnemonic", "status"),
    *("min_age_s", "limit", "kind", "since"),
)


def _add_worker_filters(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--state", metavar="WORDS", help="only workers that are active, paused, draining, full; several with commas"
    )
    command.add_argument("--id-prefix", metavar="TEXT", help="only workers whose id begins so")


def _add_operation_filters(command: argparse.ArgumentParser) -> None:
    stages = "queued, executing, completed, cache_check"
    command.add_argument("--stage", metavar="WORDS", help=f"only operations that are {stages}; several with commas")
    command.add_argument("--worker", dest="worker_id", metavar="ID", help="only operations of this worker")
    command.add_argument("--digest", metavar="HASH", help="only operations of this action")
    command.add_argument("--instance", metavar="NAME", help="only operations of this instance")
    command.add_argument("--invocation", dest="invocation_id", metavar="ID", help="only operations of this build")
    command.add_argument("--target", metavar="TEXT", help="only operations whose target begins so")
    command.add_argument("--mnemonic", metavar="WORD", help="only such operations, for example CppCompile")
    command.add_argument("--status", metavar="CODE", help="only operations that ended so, for example ok, deadline_exceeded")


def _add_age(command: argparse.ArgumentParser) -> None:
    command.add_argument("--min-age", dest="min_age_s", metavar="S", help="only operations inserted so many seconds ago, or before")


def _add_property(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--property",
        action="append",
        type=property_value,
        metavar="NAME=VALUE",
        help="only with this platform property; may be given several times",
    )


def _add_none(_: argparse.ArgumentParser) -> None:
    pass


def _add_workers(command: argparse.ArgumentParser) -> None:
    _add_worker_filters(command)
    _add_property(command)
    command.add_argument("--limit", metavar="N", help=f"show so many (default: {WORKERS_IN_A_TABLE}; with --json all)")


def _add_operations(command: argparse.ArgumentParser) -> None:
    _add_operation_filters(command)
    _add_age(command)
    _add_property(command)
    command.add_argument("--limit", default="50", metavar="N", help="show so many, 1000 at most (default: %(default)s)")


def _add_operation(command: argparse.ArgumentParser) -> None:
    command.add_argument("id", metavar="ID", help="the scheduler's or a client's, with or without its instance")
    command.add_argument("--wait-for", choices=("executing", "completed"), help="answer when it has got so far")
    command.add_argument("--timeout", type=seconds, default=60.0, metavar="S", help="or after so many seconds (default: 60)")


def _add_watch(command: argparse.ArgumentParser) -> None:
    _add_operation_filters(command)
    _add_age(command)
    _add_property(command)
    command.add_argument(
        "--interval", type=interval, default=1.0, metavar="S", help="seconds between looks, 0.2 at least (default: 1)"
    )


def _add_events(command: argparse.ArgumentParser) -> None:
    command.add_argument("--kind", metavar="WORDS", help="only about such: workers, operations, scheduler, health, drains")
    command.add_argument("--since", metavar="ID", help="begin behind this event, as far as it is remembered (default: now)")
    _add_worker_filters(command)
    # No age: it changes without an event.
    _add_operation_filters(command)
    _add_property(command)


_OPTIONS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "status": _add_none,
    "workers": _add_workers,
    "operations": _add_operations,
    "operation": _add_operation,
    "watch": _add_watch,
    "events": _add_events,
    **DRAIN_OPTIONS,
}

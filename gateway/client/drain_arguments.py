"""The words of the commands about drains: an argument parser comes in, with their options it goes out."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping

from gateway.client.values import property_value, seconds

DRAIN_COMMANDS = {
    "drain": "ask a gateway: that workers get no more work, and perhaps wait until they run nothing",
    "undrain": "ask a gateway: that workers get work again",
    "drains": "ask a gateway: which workers are drained, and how far that is",
}


def add_drain(command: argparse.ArgumentParser) -> None:
    """Options of `drain`."""
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", metavar="ID", help="this worker, until it is no longer connected")
    _add_selectors(which)
    command.add_argument(
        "--until-gone", action="store_true", help="end it once none of these workers is connected, instead of by undrain"
    )
    _add_wait(command)


def add_undrain(command: argparse.ArgumentParser) -> None:
    """Options of `undrain`."""
    which = command.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", metavar="ID", help="this worker")
    _add_selectors(which)
    which.add_argument("--drain", metavar="ID", help="the workers of this drain, as `drains` shows it")
    command.add_argument("--leave", action="store_true", help="only end the drain, and leave its workers draining")


def add_drains(command: argparse.ArgumentParser) -> None:
    """Options of `drains`."""
    command.add_argument("id", nargs="?", metavar="ID", help="this one, with its workers (default: all)")
    _add_wait(command)


def _add_selectors(which: argparse._MutuallyExclusiveGroup) -> None:
    which.add_argument("--id-prefix", metavar="TEXT", help="workers whose id begins so, also those that connect later")
    which.add_argument(
        "--property", type=property_value, metavar="NAME=VALUE", help="workers that declare it, also those that connect later"
    )


def _add_wait(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--wait",
        type=seconds,
        metavar="S",
        help="until all are safe to delete, for so many seconds at most; then 1 if they are not",
    )


DRAIN_OPTIONS: Mapping[str, Callable[[argparse.ArgumentParser], None]] = {
    "drain": add_drain,
    "undrain": add_undrain,
    "drains": add_drains,
}

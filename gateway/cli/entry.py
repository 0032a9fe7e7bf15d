"""From arguments to the work and back to an exit code; the only place where errors become words for a person."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import os
import sys
import traceback
from collections.abc import Sequence

from gateway.cli.arguments import parse
from gateway.cli.inspection import inspect
from gateway.cli.process import DEFECT, NICENESS, die_with, give_way, raise_descriptor_limit, run_until_stopped
from gateway.cli.recording import RecordTo
from gateway.cli.tokens import change_tokens
from gateway.client.arguments import COMMANDS as QUESTIONS
from gateway.config.load import load_config
from gateway.config.resolved import to_json
from gateway.config.types import Config
from gateway.errors import ConfigurationError, GatewayError
from gateway.logs import set_up

_ROLES = ("tap", "observe", "serve")

logger = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says. No traceback for what a person can mend."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    # Whatever is written, by a library too, is for this user only.
    os.umask(0o077)
    try:
        if options.command in QUESTIONS:
            return _ask(options)
        if options.command == "check-config":
            sys.stdout.write(to_json(_load(options)))
            sys.stdout.flush()
            return 0
        if options.command == "inspect":
            inspect(options)
            return 0
        if options.command == "token":
            change_tokens(options)
            return 0
        if options.command == "demo" and options.record is not None:
            from gateway.cli.demo_recording import record_demo  # noqa: PLC0415 # as the demo itself, with the whole simulation

            record_demo(options)
            return 0
        return _work(options)
    except GatewayError as error:
        sys.stderr.write(f"{_complaint(error, options)}\n")
        return error.exit_code
    except BrokenPipeError:
        # Whoever read the output has gone; what is still buffered would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _ask(options: argparse.Namespace) -> int:
    from gateway.client.command import ask  # noqa: PLC0415 # rich and http.client, which the other commands do without

    try:
        return ask(options)
    except GatewayError:
        raise
    except Exception:  # noqa: BLE001 # exit code 1 is an answer of these commands
        traceback.print_exc()
        return DEFECT


def _work(options: argparse.Namespace) -> int:
    if getattr(options, "supervisor", None) is not None:
        die_with(options.supervisor)
        if options.command in NICENESS:
            give_way(NICENESS[options.command])
    # Before logging begins: mistakes are told as they are, not as a log line.
    config = None if options.command == "demo" else _load(options)
    faulthandler.enable()
    raise_descriptor_limit(taps=options.command in {"run", "tap", "demo"})
    writer = set_up(options.command, options.log_level)
    try:
        if config is None:
            _demo(options)
        elif options.command == "run":
            _run(config, options.log_level, _record_to(options), take_over=options.take_over)
        elif getattr(options, "replay", None) is not None:
            from gateway.cli.roles import run_replay  # noqa: PLC0415 # pulls in uvloop, which the other commands do without

            run_replay(config, options.replay, options.speed)
        else:
            from gateway.cli.roles import TapOptions, run_role  # noqa: PLC0415 # as above

            tap = TapOptions()
            if options.command == "tap":
                supervised = options.supervisor is not None
                tap = TapOptions(options.process, _record_to(options), options.take_over, options.tell, supervised)
            listeners = dict(getattr(options, "listener", ()))
            run_role(options.command, config, listeners, tap, options.process if options.command == "serve" else None)
    except GatewayError:
        raise
    except Exception:
        logger.critical("ended by a defect", exc_info=True)
        return DEFECT
    finally:
        writer.close()
    return 0


def _record_to(options: argparse.Namespace) -> RecordTo | None:
    if options.record is None:
        return None
    # The roles run in another directory.
    to = RecordTo(options.record.absolute(), options.record_bytes)
    if getattr(options, "supervisor", None) is None:
        # A tap that is started again must not fail by a disk that has gone away meanwhile.
        to.check()
    return to


def _run(config: Config, log_level: str, record_to: RecordTo | None, *, take_over: bool) -> None:
    from gateway.supervisor import Supervisor  # noqa: PLC0415 # only here and in the demo

    if record_to is not None:
        for number in range(1, config.tap.processes):
            record_to.of_process(number).check()

    async def work(stop: asyncio.Event) -> None:
        await Supervisor(config, log_level, record_to, take_over=take_over).run(stop)

    run_until_stopped(work, stop_timeout_s=config.stop_timeout_s)


def _demo(options: argparse.Namespace) -> None:
    from gateway.cli.demo import run_demo  # noqa: PLC0415 # as above

    run_demo(options)


def _load(options: argparse.Namespace) -> Config:
    return load_config(options.config, nativelink=options.nativelink_config, http=options.http)


def _complaint(error: GatewayError, options: argparse.Namespace) -> str:
    if not isinstance(error, ConfigurationError):
        return f"nativelink-gateway {options.command}: {error}"
    count = len(error.problems)
    where = getattr(options, "config", None) or "the configuration"
    return f"nativelink-gateway {options.command}: {count} problem{'s' * (count != 1)} in {where}\n{error}"

"""The commands: parsed options come in, answers are printed, an exit code goes out."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from gateway.client import draining
from gateway.client.address import TOKEN_VARIABLE
from gateway.client.arguments import WORKERS_IN_A_TABLE, parameters
from gateway.client.connection import Answer, Gateway, encoded
from gateway.client.document import Document
from gateway.client.following import Following
from gateway.client.happenings import in_json, in_words
from gateway.client.operation import operation_page
from gateway.client.overview import overview
from gateway.client.paths import FULL, HEALTH, METRICS, OPERATIONS, REACHED, STATUS, WAITED, WORKERS
from gateway.client.problems import NotAsAskedError, NotReadyError
from gateway.client.screen import note, show, show_line, show_sheet, write_json
from gateway.client.tables import operations_table, workers_table

#: Of `status`, by the word of health; any other is as bad.
_EXIT_CODES = {"healthy": 0, "degraded": 1}
_UNHEALTHY = 3
_INTERRUPTED = 130
#: Of a longer wait, so much is asked for at a time: the API has a bound, and what is between may have a lower one.
_WAIT_S = 50.0


def ask(options: argparse.Namespace) -> int:
    """Do what `options.command`, one of arguments.COMMANDS, says.

    Raises:
        QuestionError: there is no answer, or it is no.
    """
    # A terminal that has no such character gets its escape.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.stderr.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    gateway = Gateway(options.url, os.environ.get(TOKEN_VARIABLE), options.ca_file)
    try:
        return _COMMANDS[options.command](gateway, options)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Who read it has seen enough, as `head` has; what is still buffered would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        gateway.close()


def _workers(gateway: Gateway, options: argparse.Namespace) -> int:
    limit = [] if options.json or options.limit is not None else [("limit", str(WORKERS_IN_A_TABLE))]
    answer = gateway.ask(WORKERS, [*parameters(options), *limit])
    rows = answer.rows()
    if options.json:
        write_json(answer.body)
    else:
        show_sheet(workers_table(rows, answer.now))
    _say_how_many(answer, len(rows))
    return 0


def _operations(gateway: Gateway, options: argparse.Namespace) -> int:
    given = parameters(options)
    try:
        answer = gateway.ask(OPERATIONS, [FULL, *given])
    except NotReadyError as error:
        if options.json:
            raise
        answer = gateway.ask(OPERATIONS, given)
        note(f"less is shown than usual: {error}")
    rows = answer.rows()
    if options.json:
        write_json(answer.body)
    else:
        show_sheet(operations_table(rows, answer.now))
    _say_how_many(answer, len(rows))
    return 0


def _operation(gateway: Gateway, options: argparse.Namespace) -> int:
    path = f"{OPERATIONS}/{encoded(options.id)}"
    answer = gateway.ask(path, [FULL]) if options.wait_for is None else _wait(gateway, path, options.wait_for, options.timeout)
    if options.json:
        answer.document()
        write_json(answer.body)
    else:
        show(*operation_page(answer.document(), answer.now))
    _say_how_old(answer)
    if options.wait_for is not None and answer.headers.get(WAITED) != REACHED:
        raise NotAsAskedError(f"operation {options.id} is not {options.wait_for} after {options.timeout:g} s")
    return 0


def _wait(gateway: Gateway, path: str, stage: str, timeout_s: float) -> Answer:
    """The operation as soon as it is in the stage, or as it is when the time is up."""
    until = time.monotonic() + timeout_s
    while True:
        wait_s = min(_WAIT_S, max(0.0, until - time.monotonic()))
        answer = gateway.ask(path, [FULL, ("wait_for", stage), ("timeout", f"{wait_s:.3f}")], wait_s=wait_s)
        if answer.headers.get(WAITED) == REACHED or time.monotonic() >= until:
            return answer


def _status(gateway: Gateway, options: argparse.Namespace) -> int:
    health = gateway.ask(HEALTH, allowed=(503,))
    word = health.document().text("status") or ""
    answers: dict[str, Answer | None] = {"health": health}
    for name, path in (("status", STATUS), ("metrics", METRICS)):
        try:
            answers[name] = gateway.ask(path)
        except NotReadyError:
            answers[name] = None
    if options.json:
        parts = (b'"%b":%b' % (name.encode(), answer.body if answer else b"null") for name, answer in answers.items())
        write_json(b"{%b}" % b",".join(parts))
    else:
        status = answers["status"]
        show(*overview(health.document(), status.document() if status else Document({}), gateway.url))
    return _EXIT_CODES.get(word, _UNHEALTHY)


def _watch(gateway: Gateway, options: argparse.Namespace) -> int:
    from gateway.client.watching import watch  # noqa: PLC0415 # rich.live is of no use to the others

    watch(gateway, options)
    return 0


def _events(gateway: Gateway, options: argparse.Namespace) -> int:
    following = Following(gateway, parameters(options), note)
    with suppress(KeyboardInterrupt):
        for event in following.events():
            if options.json:
                write_json(in_json(event).encode(errors="replace"))
            else:
                show_line(in_words(event, time.time()))
    return 0


def _say_how_many(answer: Answer, count: int) -> None:
    total = answer.total
    if total is not None and total > count:
        note(f"{count} of {total} shown; --limit N shows more, filters show others")
    _say_how_old(answer)


def _say_how_old(answer: Answer) -> None:
    if answer.age_s:
        note(f"this is as of {answer.age_s} s ago: the gateway hears nothing new, `nativelink-gateway status` says why")


_COMMANDS: Mapping[str, Callable[[Gateway, argparse.Namespace], int]] = {
    "status": _status,
    "workers": _workers,
    "operations": _operations,
    "operation": _operation,
    "watch": _watch,
    "events": _events,
    "drain": draining.drain,
    "undrain": draining.undrain,
    "drains": draining.drains,
}

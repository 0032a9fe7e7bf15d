"""The commands about drains: parsed options come in, answers are printed, an exit code goes out."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

from gateway.client.connection import Answer, Gateway, encoded
from gateway.client.document import Document
from gateway.client.drain_page import drained_table, drains_table, summary
from gateway.client.paths import DRAIN, DRAINS, WORKERS
from gateway.client.problems import MistakeError, NoAnswerError, NotAsAskedError, NotReadyError, RefusedError
from gateway.client.screen import note, show_sheet, write_json

#: Between two looks of who waits.
_LOOK_S = 1.0


def drain(gateway: Gateway, options: argparse.Namespace) -> int:
    """Drain, and wait if that is wanted."""
    if options.id is not None:
        answer = gateway.change(f"{WORKERS}/{encoded(options.id)}/drain", {})
    else:
        more = {"until_gone": True} if options.until_gone else {}
        answer = gateway.change(DRAIN, {**_selector(options), **more})
    if options.wait is not None:
        answer = _wait(gateway, _path(answer.document()), options.wait, answer)
    return _show(answer, options)


def undrain(gateway: Gateway, options: argparse.Namespace) -> int:
    """End drains, and perhaps leave their workers as they are."""
    if options.id is not None and options.leave:
        raise MistakeError("a worker is undrained by its id; --leave is about drains: --drain, --id-prefix, --property")
    if options.id is not None:
        answer = gateway.change(f"{WORKERS}/{encoded(options.id)}/undrain", {})
        if options.json:
            write_json(answer.body)
        else:
            note(f"worker {answer.document().inner('worker').text('id') or options.id} gets work again")
        return 0
    drain_id = options.drain if options.drain is not None else _active(gateway, _selector(options))
    return _show(gateway.change(f"{DRAINS}/{encoded(drain_id)}/cancel", {"undrain": not options.leave}), options)


def drains(gateway: Gateway, options: argparse.Namespace) -> int:
    """Show one or all, and wait if that is wanted."""
    if options.id is not None:
        path = f"{DRAINS}/{encoded(options.id)}"
        answer = gateway.ask(path)
        return _show(answer if options.wait is None else _wait(gateway, path, options.wait, answer), options)
    answer = gateway.ask(DRAINS)
    if options.wait is not None:
        answer = _until(gateway, DRAINS, options.wait, answer, _all_are_safe)
    if options.json:
        write_json(answer.body)
    else:
        show_sheet(drains_table(answer.rows(), answer.now))
    if options.wait is not None and not _all_are_safe(answer):
        raise NotAsAskedError(f"not all that is drained is safe to delete after {options.wait:g} s")
    return 0


def _selector(options: argparse.Namespace) -> dict[str, Any]:
    if options.id_prefix is not None:
        return {"id_prefix": options.id_prefix}
    name, value = options.property
    return {"property": {name: value}}


def _path(found: Document) -> str:
    return f"{DRAINS}/{encoded(found.text('id') or '')}"


def _active(gateway: Gateway, selector: Mapping[str, Any]) -> str:
    """The active drain of the same workers."""
    for each in gateway.ask(DRAINS).rows():
        said = each.inner("selector")
        meant = ({"id_prefix": said.text("id_prefix")}, {"property": said.pairs("property")})
        if each.text("state") == "active" and selector in meant:
            return each.text("id") or ""
    raise NotAsAskedError("no active drain is of these workers: `nativelink-gateway drains` shows them all")


def _wait(gateway: Gateway, path: str, wait_s: float, answer: Answer) -> Answer:
    """The drain once it is safe or over, or as it is when the time is up."""
    return _until(gateway, path, wait_s, answer, lambda answer: _is_settled(answer.document()))


def _until(gateway: Gateway, path: str, wait_s: float, answer: Answer, holds: Callable[[Answer], bool]) -> Answer:
    """Ask until it holds. A gateway that is away for a while, as while it is upgraded, is waited for."""
    ends = time.monotonic() + wait_s
    told = ""
    while not holds(answer) and time.monotonic() < ends:
        said = "; ".join(summary(each) for each in _each(answer) if not _is_settled(each))
        if said != told:
            note(said)
            told = said
        time.sleep(min(_LOOK_S, max(0.0, ends - time.monotonic())))
        try:
            answer = gateway.ask(path)
        except RefusedError:
            raise
        except (NotReadyError, NoAnswerError) as error:
            if time.monotonic() >= ends:
                raise
            note(str(error))
    return answer


def _each(answer: Answer) -> list[Document]:
    return answer.rows() if answer.body.lstrip().startswith(b"[") else [answer.document()]


def _is_settled(found: Document) -> bool:
    return found.flag("safe_to_delete") is True or found.text("state") != "active"


def _all_are_safe(answer: Answer) -> bool:
    return all(_is_settled(each) for each in answer.rows())


def _show(answer: Answer, options: argparse.Namespace) -> int:
    """One drain; 1 where it was waited for in vain."""
    found = answer.document()
    if options.json:
        write_json(answer.body)
    else:
        show_sheet(drained_table(found.rows("workers")))
        note(summary(found))
    if getattr(options, "wait", None) is not None and found.flag("safe_to_delete") is not True:
        raise NotAsAskedError(f"drain {found.text('id')} is not safe to delete after {options.wait:g} s")
    return 0

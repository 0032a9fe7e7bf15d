"""Happenings: events come in, a line for each goes out, in words for a person or in JSON for a program."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from rich.text import Text

from gateway.client.document import Document, NoJsonError, parse_object
from gateway.client.drain_page import summary
from gateway.client.printable import printable
from gateway.client.sheet import style_of
from gateway.client.sse import Event
from gateway.client.tables import operation_id, worker_state
from gateway.client.times import UNKNOWN, clock

_ID_WIDTH = 36
#: Of what is not known here, so much is shown.
_MOST_CHARACTERS = 500


def in_words(event: Event, at: float) -> Text:
    """Args: an event; when it came, Unix seconds."""
    try:
        said = _SAID.get(event.kind, _unknown)(event, parse_object(event.data.encode(errors="replace")))
    except NoJsonError:
        said = _shown(event)
    return Text.assemble((clock(at), "dim"), "  ", said)


def in_json(event: Event) -> str:
    """One object in one line: `event`, `id` and, as it came, `data`. What is no JSON is a string in it."""
    try:
        parse_object(event.data.encode(errors="replace"))
        # Within a string there is none.
        data = event.data.replace("\n", " ")
    except NoJsonError:
        data = json.dumps(event.data)
    return f'{{"event":{json.dumps(event.kind)},"id":{json.dumps(event.id)},"data":{data}}}'


def _operation(event: Event, data: Document) -> Text:
    operation = data.inner("operation")
    stage, worker, before = operation.text("stage") or UNKNOWN, operation.text("worker_id"), data.text("previous_operation_id")
    more = [f"on {worker}" if worker else "", f"(was {before})" if before else ""]
    return _entity(event, "operation", operation_id(operation), stage, " ".join(filter(None, more)))


def _worker(event: Event, data: Document) -> Text:
    worker = data.inner("worker")
    running = len(worker.texts("running_operations"))
    return _entity(event, "worker", worker.text("id") or UNKNOWN, worker_state(worker), f"runs {running}")


def _entity(event: Event, what: str, id_: str, state: str, more: str) -> Text:
    line = Text(f"{what:<9}  {id_:<{_ID_WIDTH}}  ")
    if event.kind.endswith("_removed"):
        # It is gone, or a filter does not let it through any more.
        line.append("no longer listed: ", "dim")
    return line.append(state, style_of(state)).append(f" {more}" if more else "")


def _scheduler(_: Event, data: Document) -> Text:
    status = data.inner("scheduler")
    workers = _counts(status, "workers", ("active", "paused", "draining"))
    return Text(f"scheduler  {workers}; {_counts(status, 'operations', ('queued', 'executing', 'completed'))}")


def _counts(status: Document, what: str, words: Sequence[str]) -> str:
    """`5 workers: 4 active, 1 paused`."""
    total, *parts = (status.number(f"{word}_{what}") for word in ("total", *words))
    told = (f"{_count(number)} {word}" for word, number in zip(words, parts, strict=True))
    return f"{_count(total)} {what}: {', '.join(told)}"


def _count(number: float | None) -> str:
    return UNKNOWN if number is None else str(int(number))


def _health(_: Event, data: Document) -> Text:
    health = data.inner("health")
    word = health.text("status") or UNKNOWN
    return Text.assemble("health     ", (word, style_of(word)), *(f"; {reason}" for reason in health.texts("reasons")))


def _drain(_: Event, data: Document) -> Text:
    return Text(f"drain      {summary(data.inner('drain'))}")


def _snapshot(_: Event, data: Document) -> Text:
    revision = data.number("revision")
    return Text(f"from here  every change after revision {UNKNOWN if revision is None else int(revision)}", style="dim")


def _reset(_: Event, data: Document) -> Text:
    return Text(f"reset      what happened until here is not told ({data.text('reason') or 'no reason'})", style="yellow")


def _unknown(event: Event, _: Document) -> Text:
    return _shown(event)


def _shown(event: Event) -> Text:
    return Text(f"{printable(event.kind[:_ID_WIDTH]):<9}  {printable(event.data[:_MOST_CHARACTERS])}")


_SAID: Mapping[str, Callable[[Event, Document], Text]] = {
    "operation": _operation,
    "operation_removed": _operation,
    "worker": _worker,
    "worker_removed": _worker,
    "scheduler": _scheduler,
    "health": _health,
    "drain": _drain,
    "snapshot": _snapshot,
    "reset": _reset,
}

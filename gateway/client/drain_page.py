"""Drains as the API shows them come in, what a person wants to see of them goes out."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.client.document import Document
from gateway.client.sheet import Column, Sheet
from gateway.client.tables import pairs
from gateway.client.times import UNKNOWN, duration, since

_COUNTED = {"worker": "workers", "operation": "operations"}


def drains_table(drains: Iterable[Document], now: float) -> Sheet:
    """Args: elements of GET /api/v1/drains; Unix seconds."""
    rows = list(drains)
    return Sheet(
        [
            Column("DRAIN", [each.text("id") or UNKNOWN for each in rows]),
            Column("OF", [selected(each) for each in rows], is_folded=True),
            Column("STATE", [each.text("state") or UNKNOWN for each in rows]),
            Column("SAFE TO DELETE", [_yes(each.flag("safe_to_delete")) for each in rows]),
            *(
                Column(title, [_count(each, name) for each in rows], is_number=True, left_out=left_out)
                for title, name, left_out in (("WORKERS", "workers", 0), ("SAFE", "safe", 0), ("RUNNING", "running_operations", 3))
            ),
            Column("AGE", [duration(since(each.number("created_timestamp"), now)) for each in rows], is_number=True, left_out=2),
            Column("BY", [each.text("created_by") or UNKNOWN for each in rows], left_out=1),
        ]
    )


def drained_table(workers: Iterable[Document]) -> Sheet:
    """Args: `workers` of a drain."""
    rows = list(workers)
    errors = [each.text("error") or UNKNOWN for each in rows]
    return Sheet(
        [
            Column("WORKER", [each.text("id") or UNKNOWN for each in rows], is_id=True),
            Column("STATE", [each.text("state") or UNKNOWN for each in rows]),
            Column("RUNNING", [str(len(each.texts("running_operations"))) for each in rows], is_number=True),
            *([Column("ERROR", errors, is_folded=True)] if any(each != UNKNOWN for each in errors) else []),
        ]
    )


def summary(drain: Document) -> str:
    """How far a drain is, in a sentence."""
    state = f"drain {drain.text('id') or UNKNOWN} of {selected(drain)} is {drain.text('state') or UNKNOWN}"
    if drain.text("state") == "cancelled":
        return state
    counts = drain.inner("counts")
    workers, safe, running = (_whole(counts, name) for name in ("workers", "safe", "running_operations"))
    if drain.flag("safe_to_delete"):
        how = "safe to delete" if workers or _whole(counts, "gone") else "no connected worker is meant"
    else:
        how = f"{safe} of {_number(workers, 'worker')} safe to delete, {_number(running, 'operation')} running"
    failed = _whole(counts, "failed")
    problems = [f"NativeLink was asked in vain for {_number(failed, 'worker')}"] if failed else []
    problems += [problem] if (problem := drain.text("problem")) else []
    return "; ".join((f"{state}: {how}", *problems))


def selected(drain: Document) -> str:
    """Which workers are meant."""
    selector = drain.inner("selector")
    worker_id, prefix = selector.text("worker_id"), selector.text("id_prefix")
    return worker_id or (f"{prefix}*" if prefix else pairs(selector.pairs("property")))


def _count(drain: Document, name: str) -> str:
    number = drain.inner("counts").number(name)
    return UNKNOWN if number is None else str(int(number))


def _whole(counts: Document, name: str) -> int:
    return int(counts.number(name) or 0)


def _number(count: int, what: str) -> str:
    return f"{count} {what if count == 1 else _COUNTED[what]}"


def _yes(flag: bool | None) -> str:
    return UNKNOWN if flag is None else "yes" if flag else "no"

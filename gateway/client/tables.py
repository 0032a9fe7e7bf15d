"""Tables: workers and operations as the API shows them come in, sheets of what a person wants to see of them go out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gateway.client.document import Document
from gateway.client.sheet import Column, Sheet
from gateway.client.times import UNKNOWN, duration, since

#: Of google.rpc.Code, from 1 on: 0 is OK.
_CODES = (
    *("CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED"),
    *("RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE"),
    *("DATA_LOSS", "UNAUTHENTICATED"),
)


def workers_table(workers: Iterable[Document], now: float) -> Sheet:
    """Args: elements of GET /api/v1/workers; Unix seconds."""
    rows = list(workers)
    return Sheet(
        [
            Column("WORKER", [each.text("id") or UNKNOWN for each in rows], is_id=True),
            Column("STATE", [worker_state(each) for each in rows]),
            Column("RUNNING", [str(len(each.texts("running_operations"))) for each in rows], is_number=True),
            Column("DONE", [_count(each, "actions_completed") for each in rows], is_number=True, left_out=1),
            Column(
                "CONNECTED", [duration(since(each.number("connected_timestamp"), now)) for each in rows], is_number=True, left_out=2
            ),
            Column("PROPERTIES", [pairs(each.pairs("platform_properties")) for each in rows], is_folded=True),
        ]
    )


def operations_table(operations: Iterable[Document], now: float) -> Sheet:
    """Args: elements of GET /api/v1/operations, better with view=full; Unix seconds.

    A column that no row has anything in is left out, but for those that every table has.
    """
    rows = list(operations)
    results = [result(each) for each in rows]
    mnemonics = [asked(each, "action_mnemonic") for each in rows]
    targets = [asked(each, "target_id") for each in rows]
    columns = [
        Column("OPERATION", [operation_id(each) for each in rows], is_id=True),
        Column("STAGE", [each.text("stage") or UNKNOWN for each in rows]),
        Column("AGE", [duration(since(each.number("insert_timestamp"), now)) for each in rows], is_number=True, left_out=3),
        Column("QUEUED", [duration(queued_s(each, now)) for each in rows], is_number=True, left_out=1),
        Column("RAN", [duration(ran_s(each, now)) for each in rows], is_number=True),
        *([Column("RESULT", results)] if _has_any(results) else []),
        Column("WORKER", [each.text("worker_id") or UNKNOWN for each in rows], is_id=True),
        *([Column("MNEMONIC", mnemonics, left_out=2)] if _has_any(mnemonics) else []),
        *([Column("TARGET", targets, is_cut=True)] if _has_any(targets) else []),
    ]
    return Sheet(columns)


def worker_state(worker: Document) -> str:
    """The words that the filter `state` knows: several where they hold, and `-` where nothing is known."""
    accepts = worker.flag("can_accept_work")
    flags = {"active": accepts, "paused": worker.flag("is_paused"), "draining": worker.flag("is_draining")}
    words = [word for word, holds in flags.items() if holds]
    return ",".join(words) or ("full" if accepts is False else UNKNOWN)


def operation_id(operation: Document) -> str:
    """The scheduler's id, or the client's until that is known; the API takes either."""
    return operation.text("operation_id") or operation.text("client_operation_id") or UNKNOWN


def queued_s(operation: Document, now: float) -> float | None:
    """Seconds that it waited, or waits."""
    waited = operation.number("queue_seconds")
    return since(operation.number("insert_timestamp"), now) if waited is None and operation.text("stage") == "Queued" else waited


def ran_s(operation: Document, now: float) -> float | None:
    """Seconds that it ran, or runs."""
    ran = operation.number("execution_seconds")
    is_running = ran is None and operation.text("stage") == "Executing"
    return since(operation.number("assigned_timestamp"), now) if is_running else ran


def result(operation: Document) -> str:
    """How it ended: `ok`, `cached`, `exit 2`, `DEADLINE_EXCEEDED`; `-` while it has not, or where that is not known."""
    if not operation.flag("is_finished"):
        return UNKNOWN
    code = operation.number("status_code")
    if code:
        return _CODES[int(code) - 1] if 0 < code <= len(_CODES) else f"code {int(code)}"
    exit_code = operation.number("exit_code")
    if exit_code:
        return f"exit {int(exit_code)}"
    if operation.flag("cached_result"):
        return "cached"
    return UNKNOWN if exit_code is None else "ok"


def asked(operation: Document, name: str) -> str:
    """What the first client that says so calls it."""
    return next((text for client in operation.rows("clients") if (text := client.text(name)) is not None), UNKNOWN)


def pairs(values: dict[str, str] | None) -> str:
    """`NAME=VALUE NAME=VALUE`, by name."""
    return " ".join(f"{name}={value}" for name, value in sorted((values or {}).items())) or UNKNOWN


def _count(worker: Document, name: str) -> str:
    number = worker.number(name)
    return UNKNOWN if number is None else str(int(number))


def _has_any(cells: Sequence[str]) -> bool:
    return any(each != UNKNOWN for each in cells)

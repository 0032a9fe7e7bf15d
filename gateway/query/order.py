"""Order: what a row knows of itself comes in, a key that sorts it goes out.

The rules are in the head of introspection.proto. A key is a tuple of whole numbers that ends in the arrival number, so that no
two rows of one list share one, and it is what a cursor remembers (`gateway.query.page`).
"""

from __future__ import annotations

#: Sorts a row in its list; the last number is the row's arrival.
OrderKey = tuple[int, ...]

#: How many numbers a key of each list has.
WORKER_KEY_LENGTH = 2
OPERATION_KEY_LENGTH = 4

#: The documented stage words in the order in which operations are listed.
STAGES = ("Executing", "CacheCheck", "Unknown", "Queued", "Completed")

_RANK = {stage: rank for rank, stage in enumerate(STAGES)}
#: Sorts behind every time in nanoseconds (a protobuf Timestamp ends in the year 9999, below 2^68) and every priority.
_NOT_KNOWN = 1 << 72
_NS_PER_S = 1_000_000_000


def worker_order(connected_at: int | None, arrival: int) -> OrderKey:
    """The key of a worker: connection time, then arrival.

    Args:
        connected_at: Unix nanoseconds; None, which is not known, sorts last.
        arrival: the worker's arrival number.
    """
    return (_NOT_KNOWN if connected_at is None else connected_at, arrival)


def operation_order(
    stage: str,
    *,
    priority: int | None,
    insert_at: int | None,
    assigned_at: int | None,
    finished_at: int | None,
    arrival: int,
) -> OrderKey:
    """The key of an operation: stage, what orders that stage, then arrival; what is not known sorts last within its stage.

    The queue goes by whole seconds, as the scheduler's own does (nativelink-facts 7, "Scheduling order").

    Args:
        stage: one of `STAGES`.
        priority: REAPI's, or None.
        insert_at: Unix nanoseconds, or None; likewise the other times.
        assigned_at: when its worker got it.
        finished_at: when it completed.
        arrival: the operation's arrival number.

    Raises:
        KeyError: `stage` is not one of `STAGES`.
    """
    rank = _RANK[stage]
    first = second = 0
    if stage == "Executing":
        first = _NOT_KNOWN if assigned_at is None else assigned_at
    elif stage == "Queued":
        first = _NOT_KNOWN if priority is None else -priority
        second = _NOT_KNOWN if insert_at is None else insert_at // _NS_PER_S
    elif stage == "Completed":
        first = _NOT_KNOWN if finished_at is None else -finished_at
    return (rank, first, second, arrival)

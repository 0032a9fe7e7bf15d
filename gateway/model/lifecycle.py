"""The lifecycle of an operation: a table from what both of its sides were seen to do to its stage.

The scheduler tells clients a stage and workers an assignment, on different connections whose order says nothing
(nativelink-facts 7). So the stage is not stepped from message to message; it is looked up from the latest word of either side:

* a client that was told COMPLETED, or a worker's execute_response, completes it, and nothing takes that back;
* otherwise the worker's side decides, as it names the worker: assigned is Executing, taken away is Queued;
* unless a client has since heard otherwise: QUEUED after EXECUTING and after the assignment (the scheduler took it away, the
  worker's end is not seen yet), or EXECUTING after it was taken away (another worker has it, the assignment is not seen yet);
* a client's word alone is the stage.

After all messages of one moment have come, both sides agree, whatever the order in which they came.
"""

from __future__ import annotations

from enum import Enum

from gateway.model.events import Stage


class Seen(Enum):
    """What the clients of an operation were told last."""

    NOTHING = "no client"
    UNKNOWN = "UNKNOWN"
    CACHE_CHECK = "CACHE_CHECK"
    QUEUED = "QUEUED"
    #: QUEUED after EXECUTING, and after the worker's side last changed, to a client that still follows.
    REQUEUED = "QUEUED again"
    EXECUTING = "EXECUTING"
    #: EXECUTING after the worker's side last changed, to a client that still follows.
    RESUMED = "EXECUTING since"
    COMPLETED = "COMPLETED"

    # Members are singletons: identity is as good as the name, and every event looks several up.
    __hash__ = object.__hash__


class Work(Enum):
    """What the workers' side of an operation was seen to do last."""

    NONE = "never assigned"
    RUNNING = "assigned"
    #: Assigned once; the worker went away or reported an `internal_error`.
    REQUEUED = "taken away"
    #: A worker reported an execute_response, or nobody will try again.
    FINISHED = "reported"

    # Members are singletons: identity is as good as the name, and every event looks several up.
    __hash__ = object.__hash__


#: (clients, workers) -> stage. (NOTHING, NONE) is no operation at all.
STAGES: dict[tuple[Seen, Work], Stage] = {
    (Seen.NOTHING, Work.RUNNING): Stage.EXECUTING,
    (Seen.NOTHING, Work.REQUEUED): Stage.QUEUED,
    (Seen.NOTHING, Work.FINISHED): Stage.COMPLETED,
    (Seen.UNKNOWN, Work.NONE): Stage.UNKNOWN,
    (Seen.UNKNOWN, Work.RUNNING): Stage.EXECUTING,
    (Seen.UNKNOWN, Work.REQUEUED): Stage.QUEUED,
    (Seen.UNKNOWN, Work.FINISHED): Stage.COMPLETED,
    (Seen.CACHE_CHECK, Work.NONE): Stage.CACHE_CHECK,
    (Seen.CACHE_CHECK, Work.RUNNING): Stage.EXECUTING,
    (Seen.CACHE_CHECK, Work.REQUEUED): Stage.QUEUED,
    (Seen.CACHE_CHECK, Work.FINISHED): Stage.COMPLETED,
    (Seen.QUEUED, Work.NONE): Stage.QUEUED,
    (Seen.QUEUED, Work.RUNNING): Stage.EXECUTING,
    (Seen.QUEUED, Work.REQUEUED): Stage.QUEUED,
    (Seen.QUEUED, Work.FINISHED): Stage.COMPLETED,
    (Seen.REQUEUED, Work.NONE): Stage.QUEUED,
    (Seen.REQUEUED, Work.RUNNING): Stage.QUEUED,
    (Seen.REQUEUED, Work.REQUEUED): Stage.QUEUED,
    (Seen.REQUEUED, Work.FINISHED): Stage.COMPLETED,
    (Seen.EXECUTING, Work.NONE): Stage.EXECUTING,
    (Seen.EXECUTING, Work.RUNNING): Stage.EXECUTING,
    (Seen.EXECUTING, Work.REQUEUED): Stage.QUEUED,
    (Seen.EXECUTING, Work.FINISHED): Stage.COMPLETED,
    (Seen.RESUMED, Work.NONE): Stage.EXECUTING,
    (Seen.RESUMED, Work.RUNNING): Stage.EXECUTING,
    (Seen.RESUMED, Work.REQUEUED): Stage.EXECUTING,
    (Seen.RESUMED, Work.FINISHED): Stage.COMPLETED,
    (Seen.COMPLETED, Work.NONE): Stage.COMPLETED,
    (Seen.COMPLETED, Work.RUNNING): Stage.COMPLETED,
    (Seen.COMPLETED, Work.REQUEUED): Stage.COMPLETED,
    (Seen.COMPLETED, Work.FINISHED): Stage.COMPLETED,
}


def diagram() -> str:
    """The table as a Mermaid state diagram: an arrow for each word of one side that changes the stage, the other standing."""
    arrows: dict[tuple[str, str], set[str]] = {}
    for (seen, work), stage in STAGES.items():
        for (seen_next, work_next), stage_next in STAGES.items():
            if stage_next is stage or Stage.COMPLETED is stage or (seen is not seen_next and work is not work_next):
                continue
            cause = f"client {seen_next.value}" if work is work_next else f"worker {work_next.value}"
            if not cause.endswith((Seen.NOTHING.value, Work.NONE.value)):
                arrows.setdefault((stage.value, stage_next.value), set()).add(cause)
    lines = [f"    {before} --> {after}: {', '.join(sorted(causes))}" for (before, after), causes in sorted(arrows.items())]
    return "\n".join(["stateDiagram-v2", *lines]) + "\n"

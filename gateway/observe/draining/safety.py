"""What is known of a worker of a drain: the worker as the model has it comes in, the target's state is set.

A worker may be removed once NativeLink drains it and it runs nothing. What it was given before is seen later than NativeLink's
answer to the admin call, by a moment: nothing is safe before `SETTLE_NS` of the records' time have gone by.
"""

from __future__ import annotations

from gateway.model.records import Worker
from gateway.observe.draining.records import Target, TargetState, Wish

#: Between NativeLink's answer and the last StartExecute that it sent before.
SETTLE_NS = 1_000_000_000


def assess(target: Target, worker: Worker | None, now: int) -> None:
    """Look at the worker.

    Args:
        target: its state is set.
        worker: None: it is not connected.
        now: Unix nanoseconds of the latest record.
    """
    if worker is None:
        target.state, target.running, target.error, target.wish = TargetState.GONE, (), "", Wish.NOTHING
        return
    running = tuple(worker.running)
    if running != target.running:
        target.running = running
    target.state = _draining(target, worker, now) if worker.is_draining else _not_draining(target)
    target.is_kept = False


def _draining(target: Target, worker: Worker, now: int) -> TargetState:
    """Of a worker that gets no more work."""
    if target.answered is Wish.UNDRAIN:
        # It does, and that comes to be seen.
        return TargetState.UNDRAINED
    target.answered = Wish.NOTHING
    target.is_seen = True
    if target.is_kept and target.wish is Wish.DRAIN:
        target.wish = Wish.NOTHING
    if target.settles_from is None:
        target.settles_from = now
    if target.running or now - target.settles_from < SETTLE_NS:
        return TargetState.DRAINING
    return TargetState.SAFE if worker.is_complete else TargetState.UNKNOWN


def _not_draining(target: Target) -> TargetState:
    """Of a worker that gets work."""
    target.settles_from = None
    if target.answered is Wish.UNDRAIN:
        target.answered = Wish.NOTHING
        return TargetState.UNDRAINED
    if target.wish is Wish.UNDRAIN:
        return TargetState.FAILED if target.error else TargetState.DRAINING
    if target.is_seen or target.state is TargetState.UNDRAINED:
        # Somebody else undrained it: whoever did so has a reason, and nobody fights.
        target.wish, target.error, target.failure = Wish.NOTHING, "", ""
        return TargetState.UNDRAINED
    return TargetState.FAILED if target.error else TargetState.REQUESTED

"""A worker without a connection or a clock. In: what the scheduler sends. Out: what a worker of release 1.6.6 answers.

It runs what it is given by the playbook, all at the same time; it is never killed, does not hang and does not go away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation import results
from gateway.simulation.playbook import Playbook, Run
from gateway.simulation.results import Times


class Time(Protocol):
    """A clock, real or not."""

    def now_ns(self) -> int:
        """Unix nanoseconds."""
        ...

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call once, so much later."""
        ...


class QuickWorker:
    """What one worker does."""

    def __init__(self, say: Callable[[worker_api.UpdateForScheduler], None], playbook: Playbook, time: Time) -> None:
        """`say` takes its messages to the scheduler."""
        self._say = say
        self._playbook = playbook
        self._time = time
        #: As the scheduler named it; "" before that.
        self.id = ""

    def take(self, update: worker_api.UpdateForWorker) -> None:
        """Act on a message of the scheduler."""
        match update.WhichOneof("update"):
            case "connection_result":
                self.id = update.connection_result.worker_id
            case "start_action":
                start = update.start_action
                run, fails = self._playbook.begin(start.execute_request.action_digest)
                began = self._time.now_ns()
                self._time.later(run.duration_s, lambda: self._ran(start, run, began, fails=fails))
            case "kill_operation_request" | "disconnect" | "keep_alive" | None:
                pass

    def _ran(self, start: worker_api.StartExecute, run: Run, began: int, *, fails: bool) -> None:
        if fails:
            self._say(results.failed(start, run))
            return
        self._say(results.executed(start))
        executed = self._time.now_ns()

        def uploaded() -> None:
            self._say(results.finished(start, run, Times(began, executed, self._time.now_ns())))

        if run.upload_s:
            self._time.later(run.upload_s, uploaded)
        else:
            uploaded()

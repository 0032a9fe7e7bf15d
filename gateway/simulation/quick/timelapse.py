"""A load in no time: the simulated scheduler, its workers and clients play it by a clock that waits for nobody. Records go out.

In: a `Load`. Out: what a tap between them would have recorded, and the scheduler as it is at the end. The same load gives the same
bytes. Workers register within the first second, one after the other; the Executes come at the load's rate after that; it is over
with the last of them, whatever still waits or runs.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Callable
from functools import partial
from itertools import count, islice

from gateway.pb import longrunning_pb2 as longrunning
from gateway.pb import tap_pb2
from gateway.pb import worker_api_pb2 as worker_api
from gateway.simulation.cas import Cas
from gateway.simulation.load import Load
from gateway.simulation.mix import Planned, fleet, plan
from gateway.simulation.playbook import Playbook
from gateway.simulation.quick.peers import CLIENT_AGENT, CONNECT_WORKER, EXECUTE, WORKER_AGENT
from gateway.simulation.quick.tape import TO_CLIENT, TO_SERVER, Line, Tape
from gateway.simulation.quick.told import Told, follow
from gateway.simulation.quick.worker import QuickWorker
from gateway.simulation.scheduler import Scheduler
from gateway.simulation.settings import Settings
from gateway.simulation.workers import WorkerSpec, registration

#: When every recording begins, unless said otherwise: 2026-01-01.
BEGAN_S = 1_767_225_600
_NS = 1_000_000_000
_TICK_S = 1.0
#: Within it all workers register.
_REGISTERING_S = 1.0
_LISTENERS = {"execution": (50151, 50051, ["execution"]), "workers": (50161, 50061, ["worker_api", "admin"])}


class TimeLapse:
    """One run of a load."""

    def __init__(self, load: Load, write: Callable[[bytes], object], *, began_s: int = BEGAN_S) -> None:
        """`write` takes each record with its length before it; `began_s`: Unix seconds."""
        self._load = load
        self._now = began_s * _NS
        self._tape = Tape(write, self._now)
        self._cas = Cas()
        self._playbook = Playbook()
        self._has_changed = False
        settings = Settings(seed=load.seed, action_cache=True, completed_max=max(load.operations, 1))
        self.scheduler = Scheduler(settings, self._cas, self._changed, lambda: self._now / _NS)
        #: (Unix nanoseconds, number, what happens then)
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._numbers = count()
        self._clients: list[Line] = []

    def now_ns(self) -> int:
        """The present moment."""
        return self._now

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """It will be that much later."""
        heapq.heappush(self._due, (self._now + int(seconds * _NS), next(self._numbers), call))

    @property
    def records(self) -> int:
        """Written so far."""
        return self._tape.sequence

    def play(self) -> None:
        """From the first record to the last."""
        load = self._load
        listeners = [
            tap_pb2.Listener(name=name, listen=f"127.0.0.1:{port}", upstream=f"127.0.0.1:{behind}", carries=carries)
            for name, (port, behind, carries) in _LISTENERS.items()
        ]
        self._tape.start(str(uuid.UUID(int=load.seed, version=4)), listeners)
        for number, spec in enumerate(fleet(load.workers, load.keep_alive_s)):
            self.later(_REGISTERING_S * number / load.workers, partial(self._join, number, spec))
        self._clients = [self._tape.connect(self._now, "execution", f"10.1.0.{number + 1}:40000") for number in range(load.clients)]
        self._every(_TICK_S, lambda: self._tape.tick(self._now))
        began = self._now + int(_REGISTERING_S * _NS)
        for item in islice(plan(load.rate, load.clients, load.seed, load.speed), load.operations):
            self._until(began + int(item.at_s * _NS))
            self._execute(item)
            self._settle()
        self._until(max(self._now, began))
        self._tape.tick(self._now)

    def _until(self, at: int) -> None:
        """All that happens up to that moment, which then is the present."""
        while self._due and self._due[0][0] <= at:
            self._now, _, call = heapq.heappop(self._due)
            call()
            self._settle()
        self._now = at

    def _settle(self) -> None:
        """The scheduler gives out what it can."""
        if self._has_changed:
            self._has_changed = False
            self.scheduler.match()

    def _changed(self) -> None:
        self._has_changed = True

    def _every(self, seconds: float, call: Callable[[], None]) -> None:
        def again() -> None:
            call()
            self.later(seconds, again)

        self.later(seconds, again)

    def _join(self, number: int, spec: WorkerSpec) -> None:
        """A worker comes, for good."""
        tape, scheduler = self._tape, self.scheduler
        line = tape.connect(self._now, "workers", f"10.0.{number // 250}.{number % 250 + 1}:40000")
        stream = tape.call(self._now, line, CONNECT_WORKER, WORKER_AGENT)
        request = registration(spec)
        tape.message(self._now, line, stream, TO_SERVER, worker_api.UpdateForScheduler(connect_worker_request=request))

        def say(update: worker_api.UpdateForScheduler) -> None:
            tape.message(self._now, line, stream, TO_SERVER, update)
            scheduler.hear(worker, update)

        def told(update: worker_api.UpdateForWorker) -> None:
            tape.message(self._now, line, stream, TO_CLIENT, update)
            quick.take(update)

        def keep_alive() -> None:
            tape.kept_alive(self._now, line, stream)
            scheduler.keep_alive(worker)

        quick = QuickWorker(say, self._playbook, self)
        worker = scheduler.connect_worker(request, Told(told, lambda: tape.end(self._now, line, stream)))
        self._every(spec.keep_alive_s, keep_alive)

    def _execute(self, item: Planned) -> None:
        """A client asks for an action, and follows it."""
        tape, scheduler, job = self._tape, self.scheduler, item.job
        self._cas.put(job.command())
        digest = self._cas.put(job.action())
        self._playbook.write(digest, job.run)
        line = self._clients[item.client]
        stream = tape.call(self._now, line, EXECUTE, CLIENT_AGENT, item.invocation.metadata(job, digest).SerializeToString())
        request = job.request(digest)
        tape.message(self._now, line, stream, TO_SERVER, request)

        def say(update: longrunning.Operation) -> None:
            tape.message(self._now, line, stream, TO_CLIENT, update)

        def end() -> None:
            tape.end(self._now, line, stream)
            # Not at once: the scheduler is on its way through the followers.
            self.later(0, lambda: scheduler.unfollow(follower))

        follower = scheduler.execute(request)
        follower.outbox = follow(follower.outbox, Told(say, end))

"""Drains, done: what introspection is asked for comes in, NativeLink is asked, and what became of it is kept and published.

`run` looks after active drains until it is cancelled: how their workers are, who connects, what has to be asked again. While there
is none it does next to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass

from gateway.config.types import Carries, Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe.draining import file
from gateway.observe.draining.admin import AdminService
from gateway.observe.draining.calls import Calls, refusal
from gateway.observe.draining.endpoint import Endpoint
from gateway.observe.draining.keeping import Keeping
from gateway.observe.draining.keys import Use
from gateway.observe.draining.records import Drain, DrainState, Kind, Selector, Target, TargetState, Wish
from gateway.observe.draining.register import TARGETS_MAX
from gateway.observe.draining.safety import assess
from gateway.observe.introspection.errors import ConflictError, NotFoundError, NotOfferedError, UnreachableError

#: From one look to the next, …
LOOK_S = 0.2
#: … and so many times as long as one takes.
_LOOK_SHARE = 20
#: While there is nothing to look after.
IDLE_S = 1.0
#: Progress is published and written down at most so often.
PROGRESS_S = 1.0
#: Where they could not be written down, it is tried again after so long, though nothing is different.
REWRITE_S = 5.0
#: Workers are known once everything has been observed for so long without a break: a tap says at first what there is.
OBSERVED_S = 1.0
#: How long a request waits for that, and for NativeLink.
_UNTIL_OBSERVED_S, _ASKED_S = 5.0, 10.0
#: How long a request waits for what NativeLink has done to be observed.
_SEEN_S = 1.0
#: What NativeLink said that it has done is taken to be so if no tap has shown it for so long.
_UNSEEN_S = 10.0
_NOBODY = "nobody in particular"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rest of `observe` does for it."""

    #: Why what workers do is not observed now; None: it is.
    problem: Callable[[], str | None]
    #: Raises RefusedError: there is none.
    endpoint: Callable[[], Endpoint]
    #: NativeLink did this, and no tap shows it: worker, whether it drains.
    drained: Callable[[str, bool], None]
    #: Something is different.
    publish: Callable[[], None]


class Coordinator:
    """All drains of one scheduler."""

    def __init__(self, config: Config, model: SchedulerModel, surroundings: Surroundings) -> None:
        """Reads what the observe before has left.

        Raises:
            StartError: a certificate of gateway.admin.tls cannot be used.
        """
        self.register, self._keys = file.read(config.state_dir)
        self.admin = AdminService(config)
        self._model = model
        self._surroundings = surroundings
        self._sees_workers = any(Carries.WORKER_API in tap.carries for tap in config.taps)
        self._calls = Calls(self.register, self.admin, surroundings.endpoint, surroundings.drained, self._differs)
        self._keeping = Keeping(config.state_dir, self.register, self._keys)
        #: Why nothing is known of workers, as of the last look; None: it is.
        self.problem: str | None = "observe has just started"
        #: On the monotonic clock; None: not observed.
        self._observed_since: float | None = None
        self._wake = asyncio.Event()
        self._is_different = False
        self._told_at = 0.0

    # What is asked for.

    async def drain(self, selector: Selector, by: str, key: str, *, until_gone: bool = False) -> Drain:
        """Drain workers; answers once NativeLink was asked for those that are connected, or after a time.

        Raises:
            RefusedError: as the contract says.
        """
        until_gone |= selector.kind is Kind.WORKER
        request = f"drain {selector.kind.value} {selector.name!r} {selector.value!r} {until_gone}"
        use = self._keys.find(by, key, request, time.time_ns())
        if use is not None and self.register.has(use.drain_id):
            return self.register.get(use.drain_id)
        with self._keys.used(by, key):
            await self._until_observed()
            self._surroundings.endpoint()
            drain = self.register.active(selector)
            if drain is None:
                drain = Drain(secrets.token_hex(6), selector, time.time_ns(), by, until_gone)
                self.register.create(drain, self._model.workers)
                await self._begin(drain)
                logger.info("drain %s of %s began, for %s", drain.id, selector, by or _NOBODY)
            else:
                self.register.renew(drain, until_gone=until_gone)
                await self._asked(drain.targets.values())
            self._keys.remember(Use(by, key, request, drain.id, time.time_ns()))
            await self._changed()
        return drain

    async def undrain(self, worker_id: str, by: str, key: str) -> tuple[Target, str]:
        """Let a worker have work again: how it is then, and the drain that was cancelled by it.

        Raises:
            RefusedError: as the contract says.
        """
        request = f"undrain {worker_id!r}"
        use = self._keys.find(by, key, request, time.time_ns())
        if use is not None:
            return self._as_it_is(worker_id), use.drain_id
        with self._keys.used(by, key):
            await self._until_observed()
            workers = self._model.workers
            if worker_id not in workers:
                raise NotFoundError(f"Worker {worker_id} not found")
            self._check_undrain(worker_id)
            async with self._calls.alone_with(worker_id):
                await self._calls.make(worker_id, is_draining=False)
            drain_id = ""
            for drain in self.register.about(worker_id):
                drain_id = drain.id
                drain.targets[worker_id].state, drain.targets[worker_id].answered = TargetState.UNDRAINED, Wish.NOTHING
                self.register.cancel(drain, by, time.time_ns(), undrain=False)
            self._keys.remember(Use(by, key, request, drain_id, time.time_ns()))
            logger.info("worker %s gets work again, for %s", worker_id, by or _NOBODY)
            await self._changed()
            await self._seen(lambda: worker_id in workers and workers[worker_id].is_draining)
            return self._as_it_is(worker_id), drain_id

    async def cancel(self, id_: str, by: str, key: str, *, undrain: bool) -> Drain:
        """End an active drain.

        Raises:
            RefusedError: as the contract says.
        """
        request = f"cancel {id_!r} {undrain}"
        use = self._keys.find(by, key, request, time.time_ns())
        drain = self.register.get(id_)
        if use is not None:
            return drain
        with self._keys.used(by, key):
            self.register.cancel(drain, by, time.time_ns(), undrain=undrain)
            self._keys.remember(Use(by, key, request, drain.id, time.time_ns()))
            logger.info("drain %s of %s is cancelled, for %s", drain.id, drain.selector, by or _NOBODY)
            await self._changed()
            await self._asked(drain.targets.values())
            await self._changed()
        return drain

    # What is said of drains.

    def is_safe(self, drain: Drain) -> bool:
        """Every worker that is meant may be removed now, as far as is known."""
        if not drain.is_active:
            return drain.state is DrainState.ENDED
        counts = drain.counts()
        return self.problem is None and counts.safe == counts.workers and not drain.left_out

    def problem_of(self, drain: Drain) -> str:
        """What a person should know of an active drain; "": nothing."""
        problems = [] if self.problem is None else [self.problem]
        if drain.left_out:
            problems.append(f"{drain.left_out} workers that connected are not drained, as {TARGETS_MAX} are in drains: cancel some")
        if self._keeping.problem is not None:
            problems.append(f"It may be forgotten when observe restarts: {self._keeping.path}: {self._keeping.problem}")
        return "; ".join(problems) if drain.is_active else ""

    @property
    def unwritten(self) -> str | None:
        """Why what is known of drains could not be written down; None: it could."""
        return self._keeping.problem

    # What goes on.

    async def run(self) -> None:
        """Look after drains until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._calls.begin(tasks)
            while True:
                self._wake.clear()
                began = time.monotonic()
                self._look(began)
                since = began - self._told_at
                if (self._is_different and since >= PROGRESS_S) or (self.unwritten is not None and since >= REWRITE_S):
                    await self._changed()
                if self.register.busy or self._is_different:
                    await asyncio.sleep(max(LOOK_S, (time.monotonic() - began) * _LOOK_SHARE))
                else:
                    # It goes on to see whether workers are observed, so that a request need not wait to find out.
                    with suppress(TimeoutError):
                        async with asyncio.timeout(IDLE_S):
                            await self._wake.wait()

    def finish(self) -> None:
        """The process stops: what is known is written down."""
        self.admin.close()
        self._keeping.finish()

    def _look(self, now: float) -> None:
        before, self.problem = self.problem, self._observed(now)
        if self.problem is None and self.register.busy:
            self._is_different |= self.register.look(self._model.workers, self._model.now)
            for worker_id, wish in self.register.unseen(now - _UNSEEN_S):
                self._surroundings.drained(worker_id, wish is Wish.DRAIN)
            self._calls.look()
        self._is_different |= bool(self.register.busy) and before != self.problem

    def _observed(self, now: float) -> str | None:
        problem = self._surroundings.problem()
        if problem is not None:
            self._observed_since = None
            return problem
        if self._observed_since is None:
            self._observed_since = now
        return None if now - self._observed_since >= OBSERVED_S else "What workers do is being read: ask again in a moment"

    async def _until_observed(self) -> None:
        if not self._sees_workers:
            raise NotOfferedError(
                "No tap carries 'worker_api', so workers are not known: add a tap in front of NativeLink's worker port"
            )
        ends = time.monotonic() + _UNTIL_OBSERVED_S
        while (problem := self._observed(time.monotonic())) is not None:
            if time.monotonic() > ends:
                raise UnreachableError(problem)
            await asyncio.sleep(LOOK_S)
        self.problem = None

    def _check_undrain(self, worker_id: str) -> None:
        for drain in self.register.about(worker_id):
            if drain.selector.kind is not Kind.WORKER:
                raise ConflictError(
                    f"Worker {worker_id} belongs to drain {drain.id} of {drain.selector}: cancel that drain instead, with undrain"
                )

    async def _begin(self, drain: Drain) -> None:
        """Write it down and ask NativeLink; unless that works for some worker, it is as if nobody had asked for it."""
        if not await self._keeping.write():
            self.register.discard(drain)
            raise UnreachableError(f"The drain cannot be kept in {self._keeping.path} (gateway.state_dir): {self._keeping.problem}")
        await self._asked(drain.targets.values())
        refused = refusal([target for target in drain.targets.values() if target.state is not TargetState.GONE])
        if refused is not None:
            self.register.discard(drain)
            await self._changed()
            raise refused

    async def _asked(self, targets: Collection[Target]) -> None:
        """Wait until NativeLink was asked for them, and until what it did is observed."""
        await self._calls.tried(targets, _ASKED_S)
        await self._seen(lambda: any(target.answered is not Wish.NOTHING for target in targets))

    async def _seen(self, is_awaited: Callable[[], bool]) -> None:
        ends = time.monotonic() + _SEEN_S
        while is_awaited() and time.monotonic() < ends:
            await asyncio.sleep(0.02)
            if self.problem is None:
                self._is_different |= self.register.look(self._model.workers, self._model.now)

    def _differs(self) -> None:
        self._is_different = True

    async def _changed(self) -> None:
        """Publish what there is, and write it down."""
        self._is_different = False
        self._told_at = time.monotonic()
        self.register.forget(time.time_ns())
        self._keys.forget(time.time_ns())
        self._surroundings.publish()
        self._wake.set()
        before = self.unwritten
        await self._keeping.write()
        if before != self.unwritten:
            # Drains say so.
            self._surroundings.publish()

    def _as_it_is(self, worker_id: str) -> Target:
        """A worker that somebody undrained."""
        worker = self._model.workers.get(worker_id)
        target = Target(worker_id, Wish.NOTHING)
        assess(target, worker, self._model.now)
        if worker is not None and not worker.is_draining:
            target.state = TargetState.UNDRAINED
        return target

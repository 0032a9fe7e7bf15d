"""All drains, and what becomes of them: workers as they are and NativeLink's answers come in, what it has to be asked goes out.

Pure: no clock, no socket, no file. `look` is called now and then, and decides everything; the model is never written to.

Bounds: so many drains, of which active ones never give way to others, and so many workers in all of them together. At the bound a
new drain is refused; workers that connect are left out, which keeps their drain from being safe, until there is room.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gateway.model.records import Worker
from gateway.observe.draining.records import Drain, DrainState, Kind, Selector, Target, TargetState, Wish
from gateway.observe.draining.safety import assess
from gateway.observe.introspection.errors import ConflictError, FullError, NotFoundError
from gateway.observe.introspection.views import WorkerView
from gateway.query.filter import WorkerFilter

DRAINS_MAX = 1_000
TARGETS_MAX = 20_000
#: Workers that are kept of those that are gone, and of a drain that is over.
LEFT_MAX = 100
#: Nanoseconds for which a drain that is over is kept.
KEPT_NS = 24 * 3600 * 1_000_000_000
#: After a call in vain, doubling from the first to the longest, in seconds.
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
#: Calls in vain in a row, after which a worker of a cancelled drain is left as it is.
UNDRAINS_MAX = 10


class Register:
    """Every drain that is kept, in the order of creation."""

    def __init__(self, drains: Iterable[Drain] = ()) -> None:
        self._drains = {drain.id: drain for drain in drains}
        #: Those that are active, or still have something to ask.
        self._busy = {drain.id: drain for drain in self._drains.values() if drain.final is None}
        #: Ids of connected workers that every selector was asked about.
        self._known: set[str] = set()
        #: Some drain has no room for a worker.
        self._leaves_out = False

    def __iter__(self) -> Iterator[Drain]:
        """The latest first."""
        return iter(reversed(self._drains.values()))

    @property
    def busy(self) -> list[Drain]:
        """Those that `look` looks at."""
        return list(self._busy.values())

    def get(self, id_: str) -> Drain:
        """Raises NotFoundError: none is kept with this id."""
        drain = self._drains.get(id_)
        if drain is None:
            raise NotFoundError(f"Drain {id_} not found")
        return drain

    def has(self, id_: str) -> bool:
        """Whether a drain is kept with this id."""
        return id_ in self._drains

    def active(self, selector: Selector) -> Drain | None:
        """The active drain of the same workers."""
        return next((drain for drain in self._busy.values() if drain.is_active and drain.selector == selector), None)

    def about(self, worker_id: str) -> list[Drain]:
        """Active drains that a worker belongs to."""
        return [drain for drain in self._busy.values() if drain.is_active and worker_id in drain.targets]

    def create(self, drain: Drain, workers: Mapping[str, Worker]) -> None:
        """Begin an active drain of the workers that are there.

        Raises:
            NotFoundError: it is about one worker, which is not connected.
            FullError: there is no room.
        """
        meant = [worker.id for worker in _meant(drain.selector, workers)]
        if drain.selector.kind is Kind.WORKER and not meant:
            raise NotFoundError(f"Worker {drain.selector.value} not found")
        if len(meant) > self._room():
            raise FullError(
                f"{len(meant)} workers are meant, and {TARGETS_MAX} can be in drains at a time: cancel drains that are not needed"
            )
        self._make_room()
        drain.targets = {worker_id: Target(worker_id) for worker_id in meant}
        self._drains[drain.id] = self._busy[drain.id] = drain

    def renew(self, drain: Drain, *, until_gone: bool) -> None:
        """Somebody wants it once more: workers of it that somebody else undrained are drained again."""
        drain.until_gone &= until_gone
        for target in drain.targets.values():
            if target.state is TargetState.UNDRAINED:
                target.state, target.wish, target.is_seen = TargetState.REQUESTED, Wish.DRAIN, False
                target.answered = Wish.NOTHING
            target.retry_at = 0.0

    def discard(self, drain: Drain) -> None:
        """It was never there."""
        self._drains.pop(drain.id, None)
        self._busy.pop(drain.id, None)

    def cancel(self, drain: Drain, by: str, at: int, *, undrain: bool) -> None:
        """End an active drain; its workers go on draining, or get work again unless another one is about them.

        Raises:
            ConflictError: it is not active.
        """
        if not drain.is_active:
            raise ConflictError(f"Drain {drain.id} is {drain.state.value} already")
        drain.state, drain.ended_at, drain.ended_by = DrainState.CANCELLED, at, by
        for target in drain.targets.values():
            undone = undrain and target.state not in {TargetState.GONE, TargetState.UNDRAINED} and not self.about(target.worker_id)
            target.wish, target.attempts, target.retry_at = (Wish.UNDRAIN if undone else Wish.NOTHING), 0, 0.0
            if undone:
                target.error = target.failure = ""
        self._settle(drain)

    def look(self, workers: Mapping[str, Worker], now: int) -> bool:
        """See how the workers are. Whatever they do is observed.

        Args:
            workers: those that are connected, by id.
            now: Unix nanoseconds of the latest record.

        Returns:
            Whether anything is different.
        """
        changed = self._take_in(workers)
        for drain in self.busy:
            gone: list[Target] = []
            for target in [each for each in drain.targets.values() if each.state is not TargetState.GONE]:
                before = (target.state, target.running, target.error, target.wish)
                assess(target, workers.get(target.worker_id), now)
                changed |= before != (target.state, target.running, target.error, target.wish)
                if target.state is TargetState.GONE:
                    gone.append(target)
            if gone:
                _bury(drain, gone)
            if drain.until_gone and drain.is_active and not drain.left_out and _is_over(drain):
                drain.state, drain.ended_at, changed = DrainState.ENDED, now, True
            self._settle(drain)
        return changed

    def forget(self, now: int) -> None:
        """Let go of what was over long ago."""
        for drain in list(self._drains.values()):
            if drain.final is not None and (drain.ended_at or 0) < now - KEPT_NS:
                self.discard(drain)

    def due(self, now: float) -> list[str]:
        """Workers of which NativeLink has to be asked something now, by the monotonic clock."""
        due: dict[str, None] = {}
        for drain in self._busy.values():
            for target in drain.targets.values():
                if target.wish is not Wish.NOTHING and target.retry_at <= now:
                    due[target.worker_id] = None
        return list(due)

    def wish(self, worker_id: str) -> Wish:
        """What it has to be asked for. Where an active drain is about a worker, no other one's end undrains it."""
        targets = self._targets(worker_id)
        if self.about(worker_id):
            for target in targets:
                if target.wish is Wish.UNDRAIN:
                    target.wish = Wish.NOTHING
        wishes = {target.wish for target in targets}
        return Wish.DRAIN if Wish.DRAIN in wishes else Wish.UNDRAIN if Wish.UNDRAIN in wishes else Wish.NOTHING

    def done(self, worker_id: str, wish: Wish, now: float) -> None:
        """NativeLink did it."""
        for target in self._targets(worker_id):
            if target.wish is wish:
                target.wish, target.error, target.failure, target.attempts = Wish.NOTHING, "", "", 0
                target.answered, target.answered_at = wish, now

    def failed(self, worker_id: str, wish: Wish, now: float, failure: str, text: str) -> None:
        """NativeLink did not, or nobody knows; it is asked again."""
        for target in self._targets(worker_id):
            if target.wish is wish:
                wait_s = min(FIRST_WAIT_S * 2**target.attempts, LONGEST_WAIT_S)
                target.attempts += 1
                target.retry_at = now + wait_s
                target.error, target.failure = text, failure
                if wish is Wish.UNDRAIN and target.attempts >= UNDRAINS_MAX:
                    target.wish = Wish.NOTHING
                    target.state = TargetState.FAILED

    def unseen(self, before: float) -> list[tuple[str, Wish]]:
        """What NativeLink said that it has done before that time of the monotonic clock, and is not seen yet."""
        return [
            (target.worker_id, target.answered)
            for drain in self._busy.values()
            for target in drain.targets.values()
            if target.answered is not Wish.NOTHING and target.answered_at <= before and target.state is not TargetState.GONE
        ]

    def _targets(self, worker_id: str) -> list[Target]:
        return [target for drain in self._busy.values() if (target := drain.targets.get(worker_id)) is not None]

    def _take_in(self, workers: Mapping[str, Worker]) -> bool:
        """Workers that connected since: whoever has them in mind gets them."""
        new = {worker_id: worker for worker_id, worker in workers.items() if worker_id not in self._known}
        if not new and len(self._known) == len(workers) and not self._leaves_out:
            return False
        self._leaves_out = False
        # What a worker declares may come to be known later than the worker.
        self._known = {worker_id for worker_id, worker in workers.items() if worker.properties is not None}
        room, changed = self._room(), False
        for drain in self._busy.values():
            if not drain.is_active or drain.selector.kind is Kind.WORKER:
                continue
            left_out = 0
            for worker in _meant(drain.selector, new):
                known = drain.targets.get(worker.id)
                if known is not None and known.state is not TargetState.GONE:
                    continue
                if room > 0:
                    room -= 1
                    drain.targets[worker.id] = Target(worker.id)
                    changed = True
                else:
                    left_out += 1
                    self._known.discard(worker.id)
                    self._leaves_out = True
            changed |= left_out != drain.left_out
            drain.left_out = left_out
        return changed

    def _room(self) -> int:
        return TARGETS_MAX - sum(len(drain.targets) for drain in self._drains.values())

    def _make_room(self) -> None:
        if len(self._drains) < DRAINS_MAX:
            return
        over = next((drain for drain in self._drains.values() if drain.final is not None), None)
        if over is None:
            raise FullError(f"{DRAINS_MAX} drains are active, as many as there can be: cancel those that are not needed")
        self.discard(over)

    def _settle(self, drain: Drain) -> None:
        """What is over and has nothing to ask any more stays as it is."""
        if drain.is_active or any(
            target.wish is not Wish.NOTHING or target.answered is not Wish.NOTHING for target in drain.targets.values()
        ):
            return
        drain.final = drain.counts()
        for worker_id in list(drain.targets)[:-LEFT_MAX]:
            del drain.targets[worker_id]
        self._busy.pop(drain.id, None)


def _meant(selector: Selector, workers: Mapping[str, Worker]) -> list[Worker]:
    """Those that a selector is about."""
    match selector.kind:
        case Kind.WORKER:
            worker = workers.get(selector.value)
            return [worker] if worker is not None else []
        case Kind.PREFIX:
            wanted = WorkerFilter(id_prefix=selector.value)
        case Kind.PROPERTY:
            wanted = WorkerFilter(properties=((selector.name, selector.value),))
    return [worker for worker in workers.values() if wanted.matches(WorkerView(worker))]


def _is_over(drain: Drain) -> bool:
    """None of its workers is connected."""
    return all(target.state is TargetState.GONE for target in drain.targets.values())


def _bury(drain: Drain, targets: list[Target]) -> None:
    """They are no longer connected: the latest at the end, of which so many are kept."""
    drain.gone += len(targets)
    for target in targets:
        target.answered = Wish.NOTHING
        drain.targets[target.worker_id] = drain.targets.pop(target.worker_id)
    gone = [each.worker_id for each in drain.targets.values() if each.state is TargetState.GONE]
    for worker_id in gone[:-LEFT_MAX]:
        del drain.targets[worker_id]

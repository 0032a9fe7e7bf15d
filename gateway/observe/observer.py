"""The taps' records and the CAS's answers in, a model that is current and a feed that knows it out.

Synchronous: a batch of records is folded in between two turns of the loop. Time is the records' (P7): an Action from the CAS
counts as read at the time of the latest record.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence

from gateway.config.types import Carries, Config, PropertyType
from gateway.model.changes import Change, OperationChanged
from gateway.model.events import ActionRead, DrainSet
from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings
from gateway.observe import merge
from gateway.observe.actions import ActionContent, ActionName
from gateway.observe.cas import ActionReader
from gateway.observe.clock import MachineClock
from gateway.observe.introspection.feed import Feed
from gateway.observe.link import Position
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator
from gateway.pb import tap_pb2


def model_settings(config: Config) -> ModelSettings:
    """What the configuration says to the model."""
    carried = {carries for tap in config.taps if tap.scheduler in {None, config.scheduler_name} for carries in tap.carries}
    scheduler = config.scheduler
    return ModelSettings(
        sees_clients=Carries.EXECUTION in carried,
        sees_workers=Carries.WORKER_API in carried,
        minimum_properties=frozenset(
            name for name, kind in scheduler.supported_platform_properties.items() if kind is PropertyType.MINIMUM
        ),
        worker_timeout_s=scheduler.worker_timeout_s,
        client_action_timeout_s=scheduler.client_action_timeout_s,
        max_job_retries=scheduler.max_job_retries,
        keeps_operations=scheduler.keeps_operations,
        completed_s=config.retention.completed_s,
        completed_max=config.retention.completed_max,
    )


#: Records that wait at most: a backlog is folded in as it comes.
_WAITING_MAX = 5_000


class Observer:
    """Feeds the model."""

    def __init__(
        self,
        model: SchedulerModel,
        statistics: Statistics,
        translators: Mapping[str, Translator],
        feed: Feed,
        local: Collection[str] = (),
    ) -> None:
        """`translators`: by the name of the source, a record link; one at least. `local`: those of this machine's taps."""
        self._clock = MachineClock(translators, local)
        self._model = model
        self._statistics = statistics
        self._translators = translators
        self._feed = feed
        #: None: no CAS is configured.
        self.actions: ActionReader | None = None
        #: That the links have brought.
        self.batches = 0
        #: Sources that have brought something.
        self._heard: set[str] = set()
        #: Of several sources: what waits to be put in order, and its records.
        self._waiting: dict[str, list[tap_pb2.TapRecord]] = {}
        self._waiting_count = 0
        self._handle: asyncio.Handle | None = None

    @property
    def has_heard_all(self) -> bool:
        """Every source has brought something: nothing that is shown is only loaded."""
        return self._heard >= self._translators.keys()

    def position(self, source: str) -> Position:
        """Where a link goes on, after everything that it has brought."""
        self.settle()
        return self.processed(source)

    def processed(self, source: str) -> Position:
        """As `position`, after what is in the model: what waits to be put in order goes on waiting."""
        translator = self._translators[source]
        run = translator.run
        return Position(run.id if run else "", translator.next_sequence)

    def receive(self, source: str, records: Sequence[tap_pb2.TapRecord]) -> None:
        """A batch of a link. With one source it is in the model at once, with several after `merge.WINDOW_S`."""
        self._heard.add(source)
        if len(self._translators) == 1:
            self._fold((self._translators[source], record) for record in records)
            return
        self._waiting.setdefault(source, []).extend(records)
        self._waiting_count += len(records)
        if self._waiting_count >= _WAITING_MAX:
            self.settle()
        elif self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(merge.WINDOW_S, self.settle)

    def settle(self) -> None:
        """Folds in what waits to be put in order."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._waiting:
            return
        waiting, self._waiting, self._waiting_count = self._waiting, {}, 0
        self._clock.agree(waiting)
        translators = [self._translators[source] for source in waiting]
        batches = [
            (translator.run.offset if translator.run is not None else 0, records)
            for translator, records in zip(translators, waiting.values(), strict=True)
        ]
        self._fold((translators[number], record) for number, record in merge.in_order(batches))

    def _fold(self, records: Iterable[tuple[Translator, tap_pb2.TapRecord]]) -> None:
        model = self._model
        self.batches += 1
        changes: list[Change] = []
        for translator, record in records:
            for event in translator.translate(record):
                if applied := model.apply(event):
                    changes += self._counted(applied)
            if advanced := model.advance(translator.now):
                changes += self._counted(advanced)
        self._changed(changes)

    def want_actions(self) -> None:
        """Ask for what a state that was loaded lacks."""
        if self.actions is not None:
            self._enriched(self.actions, self._model.operations)

    def action_found(self, name: ActionName, content: ActionContent) -> None:
        """The CAS answered."""
        self._changed(self._counted(self._model.apply(self._action_read(name, content))))

    def drained(self, worker_id: str, is_draining: bool) -> None:
        """NativeLink was told so by us, and no tap shows it."""
        if worker_id in self._model.workers:
            self._changed(self._counted(self._model.apply(DrainSet(self._model.now, worker_id, is_draining))))

    def _counted(self, changes: list[Change]) -> list[Change]:
        """The changes of one event; statistics look at the model while it is as they left it."""
        self._statistics.count(changes, self._model)
        return changes

    def _changed(self, changes: list[Change]) -> None:
        if self.actions is not None:
            arrivals = dict.fromkeys(change.arrival for change in changes if isinstance(change, OperationChanged))
            changes += self._enriched(self.actions, arrivals)
        if changes:
            self._feed.state.mark(changes)
            self._feed.wake()

    def _enriched(self, actions: ActionReader, arrivals: Iterable[int]) -> list[Change]:
        """Ask for the Actions of operations that lack theirs; what is known already is told to the model at once."""
        more: list[Change] = []
        for arrival in arrivals:
            operation = self._model.operations.get(arrival)
            if operation is None or operation.key is None or operation.action is not None:
                continue
            name = ActionName(operation.key.instance_name, operation.key.digest)
            content = actions.want(*name)
            if content is not None:
                more += self._counted(self._model.apply(self._action_read(name, content)))
        return more

    def _action_read(self, name: ActionName, content: ActionContent) -> ActionRead:
        return ActionRead(
            at=self._model.now,
            instance_name=name.instance_name,
            digest=name.digest,
            command_digest=content.command_digest,
            input_root_digest=content.input_root_digest,
            timeout=content.timeout,
            platform=content.platform,
        )

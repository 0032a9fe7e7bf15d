"""One tap's records and the CAS's answers in, a model that is current and a feed that knows it out.

Synchronous: a batch of records is folded in between two turns of the loop. Time is the records' (P7): an Action from the CAS
counts as read at the time of the latest record.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.config.types import Carries, Config, PropertyType
from gateway.model.changes import Change, OperationChanged
from gateway.model.events import ActionRead
from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings
from gateway.observe.actions import ActionContent, ActionName
from gateway.observe.cas import ActionReader
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


class Observer:
    """Feeds the model."""

    def __init__(self, model: SchedulerModel, statistics: Statistics, translator: Translator, feed: Feed) -> None:
        self._model = model
        self._statistics = statistics
        self._translator = translator
        self._feed = feed
        #: None: no CAS is configured.
        self.actions: ActionReader | None = None
        #: That the link has brought. 0: what is shown was loaded, if anything is.
        self.batches = 0

    def position(self) -> Position:
        """Where the link goes on."""
        run = self._translator.run
        return Position(run.id if run else "", self._translator.next_sequence)

    def receive(self, records: Iterable[tap_pb2.TapRecord]) -> None:
        """A batch of the link."""
        translator, model = self._translator, self._model
        self.batches += 1
        changes: list[Change] = []
        for record in records:
            for event in translator.translate(record):
                changes += self._counted(model.apply(event))
            changes += self._counted(model.advance(translator.now))
        self._changed(changes)

    def want_actions(self) -> None:
        """Ask for what a state that was loaded lacks."""
        if self.actions is not None:
            self._enriched(self.actions, self._model.operations)

    def action_found(self, name: ActionName, content: ActionContent) -> None:
        """The CAS answered."""
        self._changed(self._counted(self._model.apply(self._action_read(name, content))))

    def _counted(self, changes: list[Change]) -> list[Change]:
        """The changes of one event; statistics look at the model while it is as they left it."""
        if changes:
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
            if operation is None or operation.key is None or operation.action_platform is not None:
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

"""The Scheduler message: what the model, its links and its taps come to, as encoded bytes.

It is made anew for every batch, some fifty times a second under load; the anomalies, which are long and rarely new, are kept
encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice
from typing import NamedTuple

from gateway.config.types import Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe import health
from gateway.observe.health import KeptState, ModelState
from gateway.observe.introspection import shape
from gateway.observe.introspection.accumulated import Accumulated
from gateway.observe.links import LinkState, together
from gateway.observe.statistics import Statistics
from gateway.observe.timestamps import optional_timestamp
from gateway.observe.wire import field
from gateway.pb import introspection_pb2 as pb

#: Of the model's anomalies the most recent ones are shown.
ANOMALIES_SHOWN = 20


class OverviewBytes(NamedTuple):
    """One state of the Scheduler message."""

    #: A whole Scheduler.
    message: bytes
    #: The same without the taps' totals and ticks, which change by themselves every second, and without statistics. Two equal ones
    #: are one revision.
    lasting: bytes


class Overview:
    """Makes Scheduler messages."""

    def __init__(
        self,
        config: Config,
        model: SchedulerModel,
        statistics: Statistics,
        links: Callable[[], Mapping[str, LinkState]],
        foreign: Callable[[], dict[str, int]],
        kept: Callable[[], KeptState] = KeptState,
    ) -> None:
        self._config = config
        self._model = model
        self._statistics = statistics
        self._accumulated = Accumulated()
        self._links = links
        self._foreign = foreign
        self._kept = kept
        #: How many anomalies there had been when `_anomalies` was encoded.
        self._anomalies_seen = 0
        self._anomalies = b""

    def encode(self) -> OverviewBytes:
        """As it is now."""
        model = self._model
        links, counts = self._links(), model.counts()
        link = together(links)
        anomalies = model.anomaly_counts.total()
        if anomalies != self._anomalies_seen:
            self._anomalies_seen = anomalies
            recent = islice(model.anomalies, max(0, len(model.anomalies) - ANOMALIES_SHOWN), None)
            encoded = (shape.anomaly(each).SerializeToString() for each in recent)
            self._anomalies = b"".join(field(pb.Scheduler.RECENT_ANOMALIES_FIELD_NUMBER, encoded))
        partial = ModelState(model.is_partial, model.records_missed, self._foreign())
        message = pb.Scheduler(
            name=self._config.scheduler_name,
            up_since=optional_timestamp(model.up_since),
            counts=shape.counts(counts),
            health=health.assess(self._config, link, partial, self._kept()),
            taps=health.describe_taps(self._config, link),
            tap_processes=health.describe_processes(links),
            anomalies=anomalies,
            records_missed=model.records_missed,
            workers_refused=model.workers_refused,
        )
        whole = message.SerializeToString()
        for tap in message.taps:
            tap.ClearField("last_tick")
            tap.ClearField("connections")
            tap.ClearField("open_connections")
            tap.ClearField("bytes")
            tap.ClearField("tapped_bytes")
            tap.ClearField("streams")
            tap.ClearField("messages")
        message.ClearField("tap_processes")
        statistics = self._accumulated.encode(
            self._statistics, sees_clients=counts.queued is not None, sees_workers=counts.workers is not None
        )
        rest = self._anomalies
        return OverviewBytes(
            b"".join((whole, rest, *field(pb.Scheduler.STATISTICS_FIELD_NUMBER, (statistics,)))), message.SerializeToString() + rest
        )

"""Whose traffic goes by: instance names in, the scheduler that they belong to out.

Several schedulers may share a listener (`instances` of the configuration); one of them is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.config.types import Config


@dataclass(frozen=True, slots=True)
class Schedulers:
    """As configured."""

    #: The scheduler that is shown.
    shown: str
    #: Instance name -> scheduler. One that is not here belongs to the shown one.
    instances: Mapping[str, str]

    def other(self, instance_name: str) -> str:
        """The scheduler of an instance; "": the one that is shown."""
        scheduler = self.instances.get(instance_name, self.shown)
        return "" if scheduler == self.shown else scheduler


def configured(config: Config) -> Schedulers:
    """What the configuration says."""
    return Schedulers(config.scheduler_name, config.instances)

"""What a simulated scheduler is told. In: NativeLink's own words and defaults. Out: one frozen value."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gateway.config.types import PropertyType

#: Those of the shared recordings (recordings.md, "Setting").
RECORDED_PROPERTIES: Mapping[str, PropertyType] = MappingProxyType(
    {
        "cpu_count": PropertyType.MINIMUM,
        "memory_kb": PropertyType.MINIMUM,
        "cpu_arch": PropertyType.EXACT,
        "OSFamily": PropertyType.PRIORITY,
        "pool": PropertyType.EXACT,
        "ignored": PropertyType.IGNORE,
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """Durations in seconds; defaults are NativeLink's (nativelink-facts 2, 3, 7)."""

    scheduler_name: str = "MAIN_SCHEDULER"
    #: How a property name is matched; a name that is not listed is matched as release 1.6.6 does.
    supported_platform_properties: Mapping[str, PropertyType] = field(default_factory=lambda: RECORDED_PROPERTIES)
    #: Without keep-alive for this long a worker is evicted.
    worker_timeout_s: float = 5.0
    #: An operation that nobody follows is dropped this long after its last client keep-alive.
    client_action_timeout_s: float = 60.0
    #: A client that follows counts as alive every so often, from when it subscribed.
    client_keep_alive_s: float = 10.0
    #: How often workers are told to kill what was dropped.
    sweep_s: float = 5.0
    #: Attempts beyond this complete an operation with the last attempt's error.
    max_job_retries: int = 3
    #: Answer a cacheable action that has once succeeded without a worker, as a `cache_lookup` scheduler does.
    action_cache: bool = False
    #: Chance that the next update overtakes one that was not sent yet, as in NativeLink's watch channels.
    coalesce: float = 0.0
    #: The worker port has `services.admin`.
    has_admin: bool = True
    #: Of ids and of `coalesce`.
    seed: int | None = None
    #: Completed operations listed at most; the oldest give way.
    completed_max: int = 100_000

    def scaled(self, factor: float) -> Settings:
        """The clients' durations times `factor`. worker_timeout_s stays: a busy machine's pauses do not shrink with it."""
        return dataclasses.replace(
            self,
            client_action_timeout_s=self.client_action_timeout_s * factor,
            client_keep_alive_s=self.client_keep_alive_s * factor,
            sweep_s=self.sweep_s * factor,
        )

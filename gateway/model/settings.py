"""What the model has to be told about the scheduler, and its own bounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Fixed for a model's life. Defaults are NativeLink's (facts 2 and 3) and design 5's."""

    #: The taps carry Execution traffic: without it client ids, priorities and queued counts are not known.
    sees_clients: bool = True
    #: The taps carry WorkerApi traffic: without it workers, their fields and counts are not known.
    sees_workers: bool = True
    #: Property names whose values the scheduler subtracts on assignment.
    minimum_properties: frozenset[str] = frozenset()
    #: Used only across a gap: without keep-alive for this long an unconfirmed worker is gone.
    worker_timeout_s: int = 5
    #: An operation that nobody follows is dropped this long after its last keep-alive.
    client_action_timeout_s: int = 60
    max_job_retries: int = 3
    #: Unfinished operations outlive a restart of the scheduler (Redis).
    keeps_operations: bool = False
    #: How long and how many completed operations are listed.
    completed_s: int = 60
    completed_max: int = 10_000
    #: Lines of an entity's story, recent anomalies.
    story_max: int = 64
    anomalies_max: int = 256

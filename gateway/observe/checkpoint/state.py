"""What observe knows, as one value: the same that is saved, loaded, and made anew where there is nothing to load."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.config.types import Config
from gateway.model.scheduler import SchedulerModel
from gateway.observe.cacheability import Cacheability
from gateway.observe.introspection.history import History
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator


@dataclass(frozen=True, slots=True)
class Subject:
    """What a state is about. One about something else cannot be gone on with."""

    scheduler: str
    #: Instance name -> scheduler: open calls were sorted by it.
    instances: dict[str, str]
    #: Name of a tap -> what it forwards to, and whose traffic that is.
    taps: dict[str, tuple[str, str]]

    def difference(self, configured: Subject) -> str | None:
        """Why `configured` is something else, in words; None: it is not. Taps may come and go."""
        if configured.scheduler != self.scheduler:
            return f"it is of scheduler {self.scheduler!r}, and {configured.scheduler!r} is configured"
        if configured.instances != self.instances:
            return "gateway.instances was another"
        for name in configured.taps.keys() & self.taps.keys():
            if configured.taps[name] != self.taps[name]:
                return f"tap {name!r} forwarded to {_words(self.taps[name])}, and now to {_words(configured.taps[name])}"
        return None


@dataclass(slots=True)
class State:
    """Between two records."""

    subject: Subject
    #: Of the gateway that wrote it.
    release: str
    model: SchedulerModel
    #: One for each record link, by its name: that of the unix socket, or host:port.
    translators: dict[str, Translator]
    #: The translators' own.
    cacheability: Cacheability
    #: Of the epoch of `history`.
    statistics: Statistics
    #: Of what was published; None: it was not at its end.
    history: History | None


def subject(config: Config) -> Subject:
    """What the configuration is about."""
    taps = {tap.name: (str(tap.upstream), tap.scheduler or config.scheduler_name) for tap in config.taps}
    return Subject(config.scheduler_name, dict(config.instances), taps)


def _words(tap: tuple[str, str]) -> str:
    upstream, scheduler = tap
    return f"{upstream} of {scheduler!r}"

"""What a start begins with: the configuration in, the state of the checkpoint out, or an empty one.

Nothing that is wrong with a checkpoint keeps observe from starting. It is set aside, one line says why and what follows, and the
next start does not meet it again.

Settings that may have changed since: retention, timeouts, retries, property types and what taps carry hold from now on (deadlines
that are set already pass as they were set); taps may have come or gone, and what went by one that is gone has ended. Another
scheduler, other `instances`, or another upstream behind the name of a tap is another subject (`state.Subject`): then the checkpoint
is set aside.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gateway
from gateway.config.types import Config
from gateway.model.events import RunEnded
from gateway.model.scheduler import SchedulerModel
from gateway.model.settings import ModelSettings
from gateway.observe.cacheability import Cacheability
from gateway.observe.checkpoint import codec, file
from gateway.observe.checkpoint.codec import DamagedError
from gateway.observe.checkpoint.file import Contents, RejectedError
from gateway.observe.checkpoint.state import State, subject
from gateway.observe.introspection.history import History
from gateway.observe.rejected import set_aside
from gateway.observe.statistics import Statistics
from gateway.observe.timestamps import timestamp
from gateway.observe.translate import Translator

_SECOND = 1_000_000_000
#: An older checkpoint is not shown, not even as stale: there may be no tap to correct it, and a wrong number is worse than none.
#: Within a day somebody has read that health is UNHEALTHY, and a tap that is still the same has bridged a night.
OLDEST_NS = 24 * 60 * 60 * _SECOND

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Beginning:
    """What observe goes on from."""

    #: `history` is None: it is with `history` beside.
    state: State
    history: History
    #: The model is what `history` ends with.
    is_published: bool
    #: When the checkpoint was written, Unix nanoseconds; None: there was none to begin with.
    written_at: int | None


def restore(config: Config, settings: ModelSettings, sources: Sequence[str], now: int) -> Beginning:
    """Load the checkpoint, or begin anew.

    Args:
        config: what is observed, and where checkpoints are.
        settings: the model's.
        sources: names of the record links.
        now: Unix nanoseconds.
    """
    folder = config.state_dir
    try:
        contents = file.read(folder)
        if contents is None:
            return _empty(config, settings, sources)
        state = _accepted(contents, config, now)
    except (RejectedError, DamagedError) as error:
        _reject(folder, str(error))
        return _empty(config, settings, sources)
    except OSError as error:
        logger.warning("cannot read the checkpoint %s: %s; observe begins without it", folder / file.NAME, error.strerror)
        return _empty(config, settings, sources)
    logger.info(
        "going on from the checkpoint of %s: %d workers, %d operations",
        _clock(contents.written_at),
        len(state.model.workers),
        len(state.model.operations),
    )
    history, state.history = state.history, None
    is_same = state.release == gateway.__version__ and state.model.settings == settings
    is_same = is_same and state.translators.keys() <= set(sources)
    if not contents.continues or history is None or not is_same or not file.claim(folder):
        history = None
    _go_on(state, config, settings, sources)
    if history is None:
        # What happened after the checkpoint was told already, and would be again: counts that went back a little would be taken
        # for ones that began anew, and counted twice.
        state.statistics = Statistics(state.model)
    return Beginning(state, history or _new_epoch(), history is not None, contents.written_at)


def give_up(config: Config) -> None:
    """A defect ended observe: the next start shall not meet the state that may have led to it."""
    _reject(config.state_dir, "observe ended by a defect")


def _accepted(contents: Contents, config: Config, now: int) -> State:
    if now - contents.written_at > OLDEST_NS:
        raise RejectedError(f"it is of {_clock(contents.written_at)}, more than a day old")
    state = codec.load(contents.data)
    difference = state.subject.difference(subject(config))
    if difference is not None:
        raise RejectedError(difference)
    return state


def _go_on(state: State, config: Config, settings: ModelSettings, sources: Sequence[str]) -> None:
    """Under the settings of today, with the links of today."""
    state.subject = subject(config)
    state.release = gateway.__version__
    state.model.configure(settings)
    for source in [source for source in state.translators if source not in sources]:
        run = state.translators.pop(source).run
        if run is not None:
            state.model.apply(RunEnded(state.model.now, run.id))
    for source in sources:
        if source not in state.translators:
            state.translators[source] = Translator(config, state.cacheability)


def _empty(config: Config, settings: ModelSettings, sources: Sequence[str]) -> Beginning:
    cacheability = Cacheability()
    translators = {source: Translator(config, cacheability) for source in sources}
    model = SchedulerModel(settings)
    state = State(subject(config), gateway.__version__, model, translators, cacheability, Statistics(model), None)
    return Beginning(state, _new_epoch(), is_published=False, written_at=None)


def _new_epoch() -> History:
    return History(uuid.uuid4().hex)


def _reject(folder: Path, why: str) -> None:
    path = folder / file.NAME
    where = set_aside(path)
    logger.warning("the checkpoint %s is not used: %s; %s, and observe begins with what the tap still has", path, why, where)


def _clock(at: int) -> str:
    return timestamp(at // _SECOND * _SECOND).ToJsonString()

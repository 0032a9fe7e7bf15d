"""A model as the next process has it: through the codec of checkpoints."""

from __future__ import annotations

from gateway.model.scheduler import SchedulerModel
from gateway.observe.cacheability import Cacheability
from gateway.observe.checkpoint.state import State, Subject
from gateway.observe.statistics import Statistics
from tests.observe.checkpoint.saved import through


def saved(model: SchedulerModel) -> SchedulerModel:
    """Saved and loaded."""
    return through(State(Subject("", {}, {}), "", model, {}, Cacheability(), Statistics(model), None)).model

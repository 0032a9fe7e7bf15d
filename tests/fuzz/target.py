"""What a target is: where its inputs come from, how they are changed, what must hold when one is read."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """Something that reads bytes which others wrote. An input is whatever `change` makes and `read` takes."""

    #: Inputs as real peers made them.
    corpus: Callable[[], Sequence[Any]]
    #: Another input near one of these; seeded.
    change: Callable[[random.Random, Any, Sequence[Any]], Any]
    #: Raises nothing, if all holds that must. What it chooses by itself it chooses with the seed.
    read: Callable[[random.Random, Any], None]
    #: Parts of the files' names whose lines guide.
    guided_by: tuple[str, ...]
    #: Of a default run.
    inputs: int

    @property
    def name(self) -> str:
        return self.read.__name__

"""Whether two values are the same but for their texts, of which each stands for exactly one of the other side."""

from __future__ import annotations

import dataclasses
from collections import deque
from enum import Enum
from typing import Any

from gateway.model.records import Client, Operation, Worker

#: What readers may look at; what the model keeps besides leads from each entity to all others.
_SHOWN = (Client, Operation, Worker)


class Renaming:
    """Remembers what stands for what, over all values that it was shown."""

    def __init__(self) -> None:
        self.new: dict[str, str] = {}
        self.old: dict[str, str] = {}

    def check(self, old: Any, new: Any, where: str = "") -> None:
        """Fails where they differ."""
        assert type(old) is type(new), where
        if isinstance(old, str):
            # A number may stay as a property's value and be hashed elsewhere.
            if (old or new) and not (old == new and old.isdecimal()):
                assert (self.new.setdefault(old, new), self.old.setdefault(new, old)) == (new, old), where
        elif old is None or isinstance(old, int | float | Enum):
            assert old == new, where
        elif isinstance(old, set | frozenset):
            assert len(old) == len(new), where
        elif isinstance(old, dict):
            self.check(list(old.items()), list(new.items()), where)
        elif isinstance(old, tuple | list | deque):
            assert len(old) == len(new), where
            for number, pair in enumerate(zip(old, new, strict=True)):
                self.check(*pair, f"{where}[{number}]")
        else:
            for field in dataclasses.fields(next((kind for kind in _SHOWN if isinstance(old, kind)), type(old))):
                if not field.repr:
                    continue
                self.check(getattr(old, field.name), getattr(new, field.name), f"{where}.{field.name}")

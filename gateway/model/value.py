"""How the values are made that there are thousands of in a second: equal by content, never changed.

The type checker holds them frozen. At run time they are not: a frozen dataclass sets each field through `object.__setattr__`, which
makes an event of seven fields cost five times as much.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[_T]) -> type[_T]:
    """A dataclass with slots."""
    return dataclass(slots=True, unsafe_hash=True)(cls)

"""Classes that reading a pickle leaves as they are.

A pickle may set attributes of whatever it names, also of a class or of a member of an Enum (BUILD), and damaged bytes do so by
accident: then the process would go on with another class than it had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum


class ChangedError(Exception):
    """Classes were changed, and are again as they were; the text names one."""


@contextmanager
def unchanged(classes: Iterable[type]) -> Iterator[None]:
    """Undoes what is done to these classes meanwhile.

    Raises:
        ChangedError: Something was done.
    """
    classes = list(classes)
    members = [member for each in classes if issubclass(each, Enum) for member in each]
    before = [(each, dict(vars(each))) for each in (*classes, *members)]
    changed: list[object] = []
    try:
        yield
    finally:
        for each, attributes in before:
            if vars(each) != attributes:
                changed.append(each)
                _restore(each, attributes)
    if changed:
        raise ChangedError(f"it changes {changed[0]!r}")


def _restore(each: object, attributes: dict[str, object]) -> None:
    if not isinstance(each, type):
        vars(each).clear()
        vars(each).update(attributes)
        return
    for name in vars(each).keys() - attributes:
        type.__delattr__(each, name)
    for name, value in attributes.items():
        if vars(each).get(name) is not value:
            type.__setattr__(each, name, value)

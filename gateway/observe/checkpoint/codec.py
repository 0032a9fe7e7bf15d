"""A state as bytes and back: pickle, which keeps every link between the parts, under zstd.

What is read back may name the classes of `layout` and nothing else. It may still be wrong: it is taken only if every index of the
model holds.
"""

from __future__ import annotations

import copyreg
import dataclasses
import gc
import io
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from operator import attrgetter
from typing import Any, BinaryIO, cast

import zstandard
from google.protobuf.message import Message

from gateway.intact import unchanged
from gateway.model.scheduler import SchedulerModel
from gateway.observe.cacheability import Cacheability
from gateway.observe.checkpoint import layout
from gateway.observe.checkpoint.state import State, Subject
from gateway.observe.introspection.history import History
from gateway.observe.statistics import Statistics
from gateway.observe.translate import Translator

#: Counts up when the same fields mean something else. Fields themselves are in the fingerprint.
VERSION = 1
_PROTOCOL = 5
#: zstd's fastest: a seventh of the bytes for a tenth of the time.
_LEVEL = 1


class DamagedError(Exception):
    """Bytes that are no state; the text says why."""


def dump(state: State, file: BinaryIO) -> None:
    """Write a state. It must not change meanwhile."""
    with _no_collections(), zstandard.ZstdCompressor(level=_LEVEL).stream_writer(file, closefd=False) as compressed:
        pickler = pickle.Pickler(compressed, _PROTOCOL)
        pickler.dispatch_table = _REDUCERS
        pickler.dump(state)


def load(data: bytes) -> State:
    """Read a state.

    Raises:
        DamagedError: it is none, or its model contradicts itself.
    """
    try:
        with _no_collections(), zstandard.ZstdDecompressor().stream_reader(data) as plain:
            with unchanged((*layout.CLASSES.values(), *layout.CONTAINERS.values())):
                state = _Unpickler(io.BufferedReader(cast("io.RawIOBase", plain))).load()
            return _checked(state)
    except DamagedError:
        raise
    except Exception as error:
        # pickle raises anything, and damaged objects do when they are looked at.
        raise DamagedError(_words(error)) from error


def _checked(state: object) -> State:
    kinds = {
        "subject": Subject,
        "release": str,
        "model": SchedulerModel,
        "translators": dict,
        "cacheability": Cacheability,
        "statistics": Statistics,
        "history": History | None,
    }
    if not isinstance(state, State) or not all(isinstance(getattr(state, name), kind) for name, kind in kinds.items()):
        raise DamagedError("it holds something else than a state")
    if not all(isinstance(each, Translator) for each in state.translators.values()):
        raise DamagedError("it holds something else than translators")
    state.model.validate()
    return state


def _words(error: Exception) -> str:
    text = (str(error) or "no reason given").splitlines()[0]
    return f"{type(error).__name__}: {text}"


def _member(member: Enum) -> tuple[type[Enum], tuple[object]]:
    """By value, however the Python that runs would do it."""
    return type(member), (member.value,)


def _values(each: type[Any]) -> Callable[[Any], tuple[type[Any], tuple[object, ...]]]:
    """A frozen dataclass by its fields, in order: what dataclasses do by themselves takes three times as long."""
    get = attrgetter(*(field.name for field in dataclasses.fields(each)))
    return lambda value: (each, get(value))


def _bytes(message: Message) -> tuple[Callable[[str, bytes], Message], tuple[str, bytes]]:
    return _message, (message.DESCRIPTOR.full_name, message.SerializeToString())


def _message(name: str, data: bytes) -> Message:
    return layout.MESSAGES[name].FromString(data)


_REDUCERS: dict[type, Callable[[Any], Any]] = {
    **copyreg.dispatch_table,
    **{each: _member for each in layout.CLASSES.values() if issubclass(each, Enum)},
    **{each: _values(each) for each in layout.CLASSES.values() if layout.is_frozen(each)},
    **dict.fromkeys(layout.MESSAGES.values(), _bytes),
}
_ALLOWED = {**layout.CLASSES, **layout.CONTAINERS, (__name__, _message.__name__): _message}


class _Unpickler(pickle.Unpickler):
    """Finds what belongs to a state."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        found = _ALLOWED.get((module_name, global_name))
        if found is None:
            raise DamagedError(f"it names {module_name}.{global_name}, which is no part of a state")
        return found


@contextmanager
def _no_collections() -> Iterator[None]:
    """Without the collector, which would look at every new object again and again: loading takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()

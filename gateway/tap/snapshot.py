"""One run of the tap as bytes and back: what is numbered, counted and half read goes from a process to its successor.

Pickle, which keeps who shares what with whom: a call is known to the connection, to the frame in the middle of which it is and
to those whose keep-alives are counted. It is read only from a process of the same user (`channel`), and names nothing but the
classes below: no other is looked up, so that not even such a process can have anything else called. The fingerprint of their
fields, and VERSION for what fields do not show, say whether two releases read each other's.
"""

from __future__ import annotations

import gc
import hashlib
import io
import pickle
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from importlib import import_module
from typing import Any

from gateway.intact import unchanged
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.journal import Journal
from gateway.tap.state import OpenState

#: Counts up when the meaning of a field changes and its name does not.
VERSION = 2
#: Module -> classes that a run is made of.
_OURS: Mapping[str, tuple[str, ...]] = {
    "gateway.tap.bounds": ("Budget", "Holding"),
    "gateway.tap.calls": ("Call", "Calls", "Shared"),
    "gateway.tap.connection": ("ConnectionDecoder", "_Speaks"),
    "gateway.tap.grpc": ("MessageReader",),
    "gateway.tap.headers": ("HeaderDecoder",),
    "gateway.tap.http1": ("Http1", "_Half", "_Request"),
    "gateway.tap.http2": ("Half", "Http2"),
    "gateway.tap.journal": ("Journal",),
    "gateway.tap.records": ("Recorder", "Totals"),
    "gateway.tap.snapshot": ("Snapshot",),
    "gateway.tap.state": ("OpenState", "_OpenConnection", "_OpenStream"),
}
#: A tapped method is named by its path.
_METHOD_OF = ("gateway.tap.calls", "method_of")


class SnapshotError(Exception):
    """The bytes are no snapshot of this layout; for a person."""


@dataclass(slots=True)
class Snapshot:
    """A run between two records. Nothing waits in the intake."""

    journal: Journal
    #: By number: those of the connections that are open.
    decoders: dict[int, ConnectionDecoder]
    #: Tick: counts of Delays and their sum, nanoseconds.
    delays: tuple[list[int], int]
    #: Tick: times that a reader was told Gap.
    gaps: int


def dump(what: Snapshot | OpenState) -> bytes:
    """As bytes that `load_run` or `load_open_state` reads."""
    with uncollected():
        return pickle.dumps(what, protocol=5)


def load_run(data: bytes) -> Snapshot:
    """Reads it back. The journal has no sink yet: `Journal.resume`.

    Raises:
        SnapshotError: It is none, or of another layout.
    """
    found = _load(data)
    if not isinstance(found, Snapshot):
        raise SnapshotError("no snapshot of a run")
    return found


def load_open_state(data: bytes) -> OpenState:
    """Reads what was open before a ring's first record.

    Raises:
        SnapshotError: It is none, or of another layout.
    """
    found = _load(data)
    if not isinstance(found, OpenState):
        raise SnapshotError("no state of open streams")
    return found


def layout() -> str:
    """Two processes with the same one read each other's snapshots."""
    lines = [f"version {VERSION}"]
    for (module, name), each in sorted(_classes().items()):
        members = [f"{member.name}={member.value}" for member in each] if issubclass(each, Enum) else getattr(each, "__slots__")  # noqa: B009 - a type has none as far as mypy knows
        lines.append(f"{module}.{name}: {', '.join(members)}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def classes() -> list[type]:
    """What a run is made of."""
    return list(_classes().values())


def _classes() -> dict[tuple[str, str], type]:
    return {(module, name): getattr(import_module(module), name) for module, names in _OURS.items() for name in names}


def _load(data: bytes) -> object:
    try:
        with uncollected(), unchanged(classes()):
            return _Unpickler(io.BytesIO(data)).load()
    except Exception as error:  # damaged bytes make any class's state anything
        raise SnapshotError(f"{type(error).__name__}: {error}") from error


@contextmanager
def uncollected() -> Iterator[None]:
    """A million objects are made and none of them is garbage: looking for it takes as long as making them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Unpickler(pickle.Unpickler):
    """Finds nothing but what a run is made of."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        method_of: Callable[[str], Any] = getattr(import_module(_METHOD_OF[0]), _METHOD_OF[1])
        self._known: dict[tuple[str, str], Any] = {**_classes(), _METHOD_OF: method_of, ("collections", "deque"): deque}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            raise SnapshotError(f"{module}.{name} is no part of a run") from None

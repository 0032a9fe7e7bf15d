"""What a state is made of: the classes that a checkpoint may name, and a fingerprint of their fields.

Nothing else is ever loaded. The fingerprint is in every checkpoint: two releases whose states look different do not read each
other's, whether or not somebody thought of `codec.VERSION`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator, Mapping
from enum import Enum
from importlib import import_module

from google.protobuf.message import Message

from gateway.pb import tap_pb2, worker_api_pb2

#: Module -> classes.
_OURS: Mapping[str, tuple[str, ...]] = {
    "gateway.model.correlation": ("Correlation",),
    "gateway.model.events": ("ActionRead", "Outcome", "RequestMetadata", "Stage"),
    "gateway.model.followers": ("Followers", "_Stream"),
    "gateway.model.gaps": ("Gaps",),
    "gateway.model.halves": ("ClientHalf", "Row"),
    "gateway.model.identity": ("ActionKey", "ConnectionId", "Digest", "StreamId"),
    "gateway.model.lifecycle": ("Work",),
    "gateway.model.pools": ("Pool", "Pools", "Side"),
    "gateway.model.records": ("Anomaly", "Join", "Worker"),
    "gateway.model.register": ("Register",),
    "gateway.model.restarts": ("RestartWatch",),
    "gateway.model.retention": ("Retention",),
    "gateway.model.scheduler": ("SchedulerModel",),
    "gateway.model.settings": ("ModelSettings",),
    "gateway.model.timers": ("Due", "Timers"),
    "gateway.model.workforce": ("Workforce",),
    "gateway.observe.cacheability": ("Cacheability",),
    "gateway.observe.calls": ("Origin",),
    "gateway.observe.checkpoint.state": ("State", "Subject"),
    "gateway.observe.conversations": ("Conversations", "_Connection"),
    "gateway.observe.execution": ("ExecutionCall",),
    "gateway.observe.introspection.history": ("History",),
    "gateway.observe.schedulers": ("Schedulers",),
    "gateway.observe.statistics": ("Durations", "Result", "Statistics"),
    "gateway.observe.taps": ("ListenerState", "Refusals", "TapRun"),
    "gateway.observe.translate": ("Translator",),
    "gateway.observe.waiting": ("Group", "Waiting"),
    "gateway.observe.worker_api": ("LegacyCall", "WorkerCall"),
}

#: By module and name.
CLASSES: Mapping[tuple[str, str], type] = {
    (module, name): getattr(import_module(module), name) for module, names in _OURS.items() for name in names
}
#: Of the standard library, what the state keeps things in besides what pickle has opcodes for.
CONTAINERS: Mapping[tuple[str, str], type] = {(each.__module__, each.__name__): each for each in (Counter, OrderedDict, deque)}
#: Protobuf messages that may be part of the state, by full name.
MESSAGES: Mapping[str, type[Message]] = {
    description.full_name: getattr(module, name)
    for module in (tap_pb2, worker_api_pb2)
    for name, description in module.DESCRIPTOR.message_types_by_name.items()
}


def fingerprint() -> bytes:
    """SHA-256 of every class's fields."""
    lines = [f"{module}.{name}: {', '.join(_fields(each))}" for (module, name), each in sorted(CLASSES.items())]
    return hashlib.sha256("\n".join(lines).encode()).digest()


def is_frozen(each: type) -> bool:
    """Whether it is a frozen dataclass, which has all that it is in its fields."""
    return dataclasses.is_dataclass(each) and each.__dataclass_params__.frozen  # type: ignore[attr-defined]  # not in its stubs


def _fields(each: type) -> Iterator[str]:
    """Names, with types where they are declared; of enumerations the values."""
    if issubclass(each, Enum):
        yield from (repr(member.value) for member in each)
    elif dataclasses.is_dataclass(each):
        yield from (f"{field.name}: {field.type}" for field in dataclasses.fields(each))
    elif issubclass(each, tuple):
        yield from (f"{name}: {kind}" for name, kind in each.__annotations__.items())
    else:
        yield from getattr(each, "__slots__")  # noqa: B009 - a type has none as far as mypy knows

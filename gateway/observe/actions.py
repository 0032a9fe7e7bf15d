"""What is known of Actions by digest: bytes of the CAS in, believed contents out; remembered, and remembered as missing.

Pure: the clock is an argument. Bounded: the least recently wanted goes first.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from google.protobuf.message import DecodeError

from gateway.model.identity import Digest, Properties
from gateway.observe import decoding
from gateway.pb import remote_execution_pb2 as reapi

#: How long a blob that the CAS did not have, or that was not what it should be, is not asked for again.
MISSING_FOR_S = 60.0

#: Functions of REAPI that Python has. Others (blake3, …) are believed when the size is right and the message parses.
_HASHES = {
    "md5": hashlib.md5,
    "sha1": hashlib.sha1,
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}


class ActionName(NamedTuple):
    """Where an Action is: the CAS of an instance, under a digest."""

    instance_name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class ActionContent:
    """What the gateway shows of an Action."""

    #: None: the Action names none.
    command_digest: Digest | None
    input_root_digest: Digest | None
    #: Nanoseconds; None: the action has none.
    timeout: int | None
    #: The Action's own; empty: on the Command, or none.
    platform: Properties


class UnbelievableError(Exception):
    """The CAS answered with something that is not the Action of this digest; the text says why."""


def read_action(digest: Digest, data: bytes) -> ActionContent:
    """The content of an Action, checked against its digest.

    Raises:
        UnbelievableError: size or hash are others, or it is no Action.
    """
    if len(data) != digest.size_bytes:
        raise UnbelievableError(f"{len(data)} bytes instead of {digest.size_bytes}")
    hasher = _HASHES.get(digest.function)
    if hasher is not None and hasher(data, usedforsecurity=False).hexdigest() != digest.hash:
        raise UnbelievableError(f"its {digest.function} is another")
    try:
        action = reapi.Action.FromString(data)
    except DecodeError as error:
        raise UnbelievableError("it does not parse as an Action") from error
    return ActionContent(
        command_digest=_named(action.command_digest, digest.function) if action.HasField("command_digest") else None,
        input_root_digest=_named(action.input_root_digest, digest.function) if action.HasField("input_root_digest") else None,
        timeout=action.timeout.seconds * 1_000_000_000 + action.timeout.nanos if action.HasField("timeout") else None,
        platform=decoding.properties(action.platform),
    )


def _named(message: reapi.Digest, function: str) -> Digest:
    """Digests inside an Action are of the Action's own function."""
    return Digest(function, message.hash.lower(), message.size_bytes)


class KnownActions:
    """Contents, and misses for a while, of the most recently wanted Actions."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: A content, or the time until which the blob counts as missing.
        self._known: OrderedDict[ActionName, ActionContent | float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, name: ActionName) -> ActionContent | None:
        """The content; None: not known."""
        known = self._known.get(name)
        if not isinstance(known, ActionContent):
            return None
        self._known.move_to_end(name)
        return known

    def is_missing(self, name: ActionName, now: float) -> bool:
        """Whether the CAS did not have it so recently that asking again is useless."""
        until = self._known.get(name)
        return isinstance(until, float) and now < until

    def remember(self, name: ActionName, content: ActionContent) -> None:
        """It was read."""
        self._put(name, content)

    def miss(self, name: ActionName, now: float) -> None:
        """It is not there."""
        self._put(name, now + MISSING_FOR_S)

    def _put(self, name: ActionName, known: ActionContent | float) -> None:
        self._known[name] = known
        self._known.move_to_end(name)
        if len(self._known) > self._limit:
            self._known.popitem(last=False)

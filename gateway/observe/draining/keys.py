"""Idempotency keys: requests come in, whether they were made before goes out.

A key belongs to who uses it. What failed is not remembered. At the bound the oldest gives way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gateway.observe.introspection.errors import BusyError, KeyReusedError

KEYS_MAX = 10_000
#: Nanoseconds for which a key is remembered.
KEPT_NS = 24 * 3600 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Use:
    """A request that was done."""

    #: Who used the key, and the key.
    by: str
    key: str
    #: All that the request says.
    request: str
    #: What it led to: the id of a drain, or "".
    drain_id: str
    #: Unix nanoseconds.
    at: int


class Keys:
    """What is remembered, in the order of use."""

    def __init__(self, uses: Iterable[Use] = ()) -> None:
        self._uses = {(use.by, use.key): use for use in uses}
        self._under_way: set[tuple[str, str]] = set()

    def __iter__(self) -> Iterator[Use]:
        """The oldest first."""
        return iter(self._uses.values())

    def find(self, by: str, key: str, request: str, now: int) -> Use | None:
        """The earlier request with this key; None: there is none, or no key.

        Raises:
            KeyReusedError: it was another request.
            BusyError: one is under way.
        """
        if not key:
            return None
        if (by, key) in self._under_way:
            raise BusyError("A request with this idempotency key is under way: ask again in a moment")
        use = self._uses.get((by, key))
        if use is None or use.at < now - KEPT_NS:
            return None
        if use.request != request:
            raise KeyReusedError("This idempotency key was used for another request: use a new one for each change")
        return use

    @contextmanager
    def used(self, by: str, key: str) -> Iterator[None]:
        """Nobody else does the same meanwhile."""
        self._under_way.add((by, key))
        try:
            yield
        finally:
            self._under_way.discard((by, key))

    def remember(self, use: Use) -> None:
        """It was done."""
        if use.key:
            self._uses.pop((use.by, use.key), None)
            self._uses[use.by, use.key] = use
            while len(self._uses) > KEYS_MAX:
                del self._uses[next(iter(self._uses))]

    def forget(self, now: int) -> None:
        """Let go of those that are too old."""
        for name, use in list(self._uses.items()):
            if use.at < now - KEPT_NS:
                del self._uses[name]

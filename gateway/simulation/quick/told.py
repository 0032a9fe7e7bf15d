"""An outbox that nothing waits in: what the scheduler says to one peer is handed on as it is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gateway.simulation.outbox import Outbox

T = TypeVar("T")


class Told(Outbox[T]):
    """For peers that are told by a call."""

    def __init__(self, say: Callable[[T], None], end: Callable[[], None]) -> None:
        """`say` is called with every message, `end` once, after the last."""
        super().__init__()
        self._say = say
        self._end = end

    def put(self, message: T, *, overtake: bool = False) -> None:  # noqa: ARG002 - nothing waits that could be overtaken
        """Hands a message on; after `close` nothing happens."""
        if not self._closed:
            self._say(message)

    def close(self) -> None:
        """The end is told once."""
        if not self._closed:
            super().close()
            self._end()


def follow(outbox: Outbox[T], told: Told[T]) -> Told[T]:
    """Hands on what an outbox held until now; from now on the other takes its place."""
    for message in outbox.waiting():
        told.put(message)
    if outbox.is_closed:
        told.close()
    return told

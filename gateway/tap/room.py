"""How many connections fit into the process's file descriptors: connections come and go, and whoever waits for room is told.

Accepting only what can also be dialled for: at the bound connects wait in the backlog, and nobody who is in is harmed.
"""

from __future__ import annotations

import resource
from collections.abc import Callable

#: A client's socket and the one that is dialled for it.
_PER_CONNECTION = 2
#: For everything else: listeners, readers of the record link, log, name resolution, certificates.
_RESERVED = 256
#: More than any machine serves, for a system without a limit.
_MOST = 1_000_000


def connections_that_fit() -> int:
    """By this process's soft limit of open files (RLIMIT_NOFILE)."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return min(max((soft - _RESERVED) // _PER_CONNECTION, 1), _MOST)


class Room:
    """Shared by the listeners of a process."""

    def __init__(self, connections: int) -> None:
        self.limit = connections
        #: Connections that are in.
        self.used = 0
        self._waiting: list[Callable[[], None]] = []

    def enter(self) -> bool:
        """Takes a place; False: there is none."""
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def admit(self) -> None:
        """Takes a place for one that is here already, whatever the limit."""
        self.used += 1

    def leave(self) -> None:
        """Gives a place back, and tells who waits for one."""
        self.used -= 1
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each()

    def wait(self, call: Callable[[], None]) -> None:
        """Calls once, when the next place is given back."""
        self._waiting.append(call)

"""What decoders may keep of things that are not complete, all connections together, and how a decoder says that it cannot go on.

Who holds most gives way: a peer that begins messages and never ends them blinds its own connection, not those of others.
"""

from __future__ import annotations

from typing import Protocol

from gateway.tap.records import OVERLOADED


class UnreadableError(Exception):
    """This connection cannot be read any further.

    Attributes:
        reason: Blinded.Reason.
        detail: For a person; never contents of messages.
    """

    def __init__(self, reason: int, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class Budget:
    """Bytes of frames, header blocks and messages whose rest has not come."""

    __slots__ = ("holdings", "limit", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        #: Those that hold anything.
        self.holdings: set[Holding] = set()

    @property
    def exceeded(self) -> str:
        """For a person."""
        return f"more than {self.limit} bytes wait for their rest"


class Owner(Protocol):
    """Whose share a `Holding` is."""

    def give_way(self, detail: str) -> None:
        """Another's share puts the budget over its limit, and this one is the largest; the reason for a person."""
        ...


class Holding:
    """One connection's share."""

    __slots__ = ("_budget", "_owner", "bytes")

    def __init__(self, budget: Budget, owner: Owner) -> None:
        self._budget = budget
        self._owner = owner
        self.bytes = 0

    def take(self, count: int) -> None:
        """Adds to the share.

        Raises:
            UnreadableError: The budget is over its limit and this is the largest share.
        """
        budget = self._budget
        self.bytes += count
        budget.used += count
        budget.holdings.add(self)
        if budget.used > budget.limit:
            largest = max(budget.holdings, key=lambda each: each.bytes)
            if largest is self:
                raise UnreadableError(OVERLOADED, budget.exceeded)
            largest._owner.give_way(budget.exceeded)  # noqa: SLF001 - its own class

    def give(self, count: int) -> None:
        """Takes from the share."""
        self.bytes -= count
        self._budget.used -= count
        if not self.bytes:
            self._budget.holdings.discard(self)

    def give_all(self) -> None:
        """Gives the whole share back."""
        self.give(self.bytes)

    def end(self) -> None:
        """Gives the whole share back, for good: its owner is not referred to any more."""
        self.give_all()
        del self._owner

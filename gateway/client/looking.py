"""Looking: a gateway is asked again and again; what it shows at each time goes out.

It costs the gateway next to nothing: the list is asked for with the tag of the last one, and only where it is another one now is it
asked for in full.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.client.connection import Answer, Gateway, Parameters
from gateway.client.document import Document
from gateway.client.paths import FULL, HEALTH, OPERATIONS, STATUS
from gateway.client.problems import NotReadyError

_NOT_MODIFIED = 304


@dataclass(frozen=True, slots=True)
class Sight:
    """A gateway at one time."""

    health: Document
    #: Empty where the gateway has none.
    status: Document
    operations: Sequence[Document]
    #: How many there are, shown or not.
    total: int
    #: The gateway's clock, Unix seconds, when this machine's monotonic one was at `taken`.
    now: float
    taken: float

    def now_at(self, monotonic: float) -> float:
        """What the gateway's clock shows when this machine's monotonic one is there."""
        return self.now + monotonic - self.taken


class Looks:
    """Looks at the operations that some filters let through."""

    def __init__(self, gateway: Gateway, filters: Parameters) -> None:
        self._gateway = gateway
        self._filters = list(filters)
        self._rows = 0
        self._tag: str | None = None
        self._seen: tuple[Sequence[Document], int] = ((), 0)

    def look(self, rows: int) -> Sight:
        """Args: how many operations at most.

        Raises:
            QuestionError: nobody answers, or a filter is not understood.
        """
        health = self._gateway.ask(HEALTH, allowed=(503,))
        try:
            status = self._gateway.ask(STATUS).document()
            self._look_at_operations(rows)
        except NotReadyError:
            status = Document({})
            self._tag, self._seen = None, ((), 0)
        operations, total = self._seen
        return Sight(health.document(), status, operations, total, health.now, time.monotonic())

    def _look_at_operations(self, rows: int) -> None:
        asked = [*self._filters, ("limit", str(rows))]
        is_same = self._tag is not None and rows == self._rows
        condition = {"If-None-Match": self._tag} if self._tag is not None and is_same else {}
        answer = self._gateway.ask(OPERATIONS, asked, headers=condition, allowed=(_NOT_MODIFIED,))
        if answer.status == _NOT_MODIFIED:
            return
        tag = answer.headers.get("etag")
        try:
            answer = self._gateway.ask(OPERATIONS, [FULL, *asked])
        except NotReadyError:
            # The observer is away; what is documented is shown, and asked for in full as soon as it is back.
            tag = None
        self._seen = _rows_of(answer)
        self._tag, self._rows = tag, rows


def _rows_of(answer: Answer) -> tuple[Sequence[Document], int]:
    rows = answer.rows()
    return rows, len(rows) if answer.total is None else answer.total

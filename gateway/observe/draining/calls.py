"""Admin calls: workers of which NativeLink has to be asked something come in from the register, and how that went goes back to it.

So many at a time, and of one worker one at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

from gateway.observe.draining.admin import ABSENT, CALLS_MAX, OK, REFUSED, UNREACHABLE, AdminService
from gateway.observe.draining.endpoint import Endpoint
from gateway.observe.draining.records import Target, Wish
from gateway.observe.draining.register import Register
from gateway.observe.introspection.errors import NativeLinkError, NotOfferedError, RefusedError, UnreachableError

#: {word of admin.RESULTS: what it is to who asked}
_ERRORS: dict[str, type[RefusedError]] = {REFUSED: NativeLinkError, ABSENT: NotOfferedError, UNREACHABLE: UnreachableError}
#: How often somebody who waits for a call looks.
_LOOK_S = 0.01

logger = logging.getLogger(__name__)


class Calls:
    """Those under way, and those that wait for their turn."""

    def __init__(
        self,
        register: Register,
        admin: AdminService,
        endpoint: Callable[[], Endpoint],
        drained: Callable[[str, bool], None],
        told: Callable[[], None],
    ) -> None:
        """Args: who says what to ask; who asks; where; is told what no tap shows; is told that the register is different."""
        self._register = register
        self._admin = admin
        self._endpoint = endpoint
        self._drained = drained
        self._told = told
        #: Workers of which NativeLink is being asked something.
        self._asking: set[str] = set()
        self._due: list[str] = []
        self._tasks: asyncio.TaskGroup | None = None

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """From now on there may be calls, as tasks of this group."""
        self._tasks = tasks

    def look(self) -> None:
        """See what is due, and begin as much of it as there may be at a time; what is done makes room for what waits."""
        now = time.monotonic()
        self._due = [each for each in self._register.due(now) if each not in self._asking]
        self._go_on()

    async def tried(self, targets: Collection[Target], within_s: float) -> None:
        """Wait until each of them was asked for once."""
        self.look()
        ends = time.monotonic() + within_s
        while time.monotonic() < ends:
            if not any(target.wish is not Wish.NOTHING and not target.attempts for target in targets):
                break
            await asyncio.sleep(_LOOK_S)

    async def make(self, worker_id: str, *, is_draining: bool) -> None:
        """One call.

        Raises:
            RefusedError: NativeLink did not do it, or nobody knows.
        """
        endpoint = self._endpoint()
        result = await self._admin.set_drain(endpoint, worker_id, is_draining=is_draining)
        if result.word != OK:
            logger.warning("%s of worker %s: %s", "drain" if is_draining else "undrain", worker_id, result.text)
            raise _ERRORS[result.word](result.text)
        if not endpoint.is_tapped:
            self._drained(worker_id, is_draining)

    @asynccontextmanager
    async def alone_with(self, worker_id: str) -> AsyncIterator[None]:
        """Nobody else asks for this worker meanwhile."""
        while worker_id in self._asking:  # noqa: ASYNC110 - what ends this is rare, and an event for each call is not
            await asyncio.sleep(_LOOK_S)
        self._asking.add(worker_id)
        try:
            yield
        finally:
            self._asking.discard(worker_id)

    def _go_on(self) -> None:
        while self._tasks is not None and self._due and len(self._asking) < CALLS_MAX:
            worker_id = self._due.pop(0)
            wish = self._register.wish(worker_id)
            if wish is not Wish.NOTHING and worker_id not in self._asking:
                self._asking.add(worker_id)
                self._tasks.create_task(self._ask(worker_id, wish), name=f"admin call for {worker_id}")

    async def _ask(self, worker_id: str, wish: Wish) -> None:
        try:
            await self.make(worker_id, is_draining=wish is Wish.DRAIN)
        except RefusedError as refused:
            word = next(word for word, kind in _ERRORS.items() if isinstance(refused, kind))
            self._register.failed(worker_id, wish, time.monotonic(), word, str(refused))
        else:
            self._register.done(worker_id, wish, time.monotonic())
        finally:
            self._asking.discard(worker_id)
        self._told()
        self._go_on()


def refusal(targets: Collection[Target]) -> RefusedError | None:
    """Why nothing came of asking for any of them; None: something did, or may yet."""
    if not targets or not all(target.failure for target in targets):
        return None
    word = next(word for word in _ERRORS if any(target.failure == word for target in targets))
    return _ERRORS[word](next(target.error for target in targets if target.failure == word))

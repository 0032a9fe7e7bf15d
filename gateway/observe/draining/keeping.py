"""Writes drains down, off the loop, and says once where that cannot be done."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from gateway.observe.draining import file
from gateway.observe.draining.keys import Keys
from gateway.observe.draining.register import Register

logger = logging.getLogger(__name__)


class Keeping:
    """The file of one observe."""

    def __init__(self, folder: Path, register: Register, keys: Keys) -> None:
        self.path = folder / file.NAME
        self._register = register
        self._keys = keys
        self._writing = asyncio.Lock()
        #: Why it could not be written the last time; None: it could.
        self.problem: str | None = None

    async def write(self) -> bool:
        """Write what there is; whether that could be done."""
        async with self._writing:
            data = file.dump(self._register, self._keys)
            try:
                await asyncio.to_thread(file.write, self.path.parent, data)
            except OSError as error:
                self._told(error)
                return False
        if self.problem is not None:
            logger.info("drains can be written again: %s", self.path)
        self.problem = None
        return True

    def finish(self) -> None:
        """The same at the end of the process, where nobody waits."""
        try:
            file.write(self.path.parent, file.dump(self._register, self._keys))
        except OSError as error:
            self._told(error)

    def _told(self, error: OSError) -> None:
        problem = error.strerror or str(error)
        if problem != self.problem:
            logger.warning(
                "cannot write %s (gateway.state_dir): %s; drains go on, and after a restart observe knows only what was written",
                self.path,
                problem,
            )
        self.problem = problem

"""Siblings: the serve processes of one machine, each at a unix socket where it says one thing to whoever connects.

In: what this process says when it is asked. Out: what the others say, or that they say nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

#: How long another process may take. One that is busy answers within milliseconds, one that hangs does not.
_ANSWER_S = 1.0
#: An answer is a hundredth of it.
_ANSWER_BYTES = 16 * 1024 * 1024

logger = logging.getLogger(__name__)


class Siblings:
    """This process among the others."""

    def __init__(self, sockets: Sequence[Path], process: int) -> None:
        """Args: of all processes, in their order; which of them this one is."""
        self._ours = sockets[process]
        self._others = [each for each in sockets if each != self._ours]

    @property
    def name(self) -> str:
        """Of this process."""
        return self._ours.stem

    async def ask(self) -> dict[str, bytes | None]:
        """{name of another process: what it says, None: nothing}."""
        answers = await asyncio.gather(*map(_ask, self._others))
        return {path.stem: answer for path, answer in zip(self._others, answers, strict=True)}

    @asynccontextmanager
    async def answering(self, say: Callable[[], bytes]) -> AsyncIterator[None]:
        """Answer the others. Where that cannot be, they go without, and it is logged."""
        if not self._others:
            yield
            return

        def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(say())
            writer.close()

        try:
            self._ours.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(answer, self._ours, start_serving=False)
            # Nobody can connect before it serves.
            self._ours.chmod(0o600)
        except OSError as error:
            logger.error("/metrics of other serve processes has nothing of this one: %s: %s", self._ours, error.strerror or error)  # noqa: TRY400 - it is a sentence
            yield
            return
        try:
            async with server:
                await server.start_serving()
                yield
        finally:
            self._ours.unlink(missing_ok=True)


async def _ask(path: Path) -> bytes | None:
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                answer = await reader.read(_ANSWER_BYTES)
                while more := await reader.read(_ANSWER_BYTES):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    return answer

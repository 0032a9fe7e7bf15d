"""`--record FILE`: a process that records beside a tap for as long as the tap runs."""

from __future__ import annotations

import asyncio
import logging
import sys
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StartError

#: Of all parts of a recording together, unless `--record-bytes` says otherwise.
DEFAULT_BYTES = 1024 * 1024 * 1024
LEAST_BYTES = 1024 * 1024
#: How long the recorder gets to write what it has, once the tap has ended.
_FLUSH_S = 2.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordTo:
    """Where a recording goes."""

    file: Path
    #: Of all parts together.
    limit_bytes: int = DEFAULT_BYTES

    def check(self) -> None:
        """Find out at once what a recorder would fail by.

        Raises:
            StartError: the file cannot be there.
        """
        folder = self.file.parent
        if not folder.is_dir():
            raise StartError(f"--record {self.file}: {folder}: a directory that is there")
        if self.file.exists() and not self.file.is_file():
            raise StartError(f"--record {self.file}: a file, or a name that is free")


@asynccontextmanager
async def recording(record_socket: Path, to: RecordTo | None) -> AsyncIterator[None]:
    """Records what a tap publishes on that socket. The tap goes on whatever becomes of it.

    Args:
        record_socket: of the tap's record link, which need not be there yet.
        to: where it goes; None: nowhere.
    """
    if to is None:
        yield
        return
    # -P: the directory in which somebody starts the gateway has no say in what `gateway` is.
    command = [sys.executable, "-P", "-m", "gateway.tap.recording", str(record_socket), str(to.file), str(to.limit_bytes)]
    process = await create_subprocess_exec(*command, stdin=DEVNULL, start_new_session=True)
    logger.info("recording to %s (pid %d)", to.file, process.pid)
    watching = asyncio.create_task(_watch(process, to.file), name="recording")
    try:
        yield
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await process.wait()
        watching.cancel()
        if process.returncode is None:
            logger.warning("the recording to %s is not complete: killing its process (pid %d)", to.file, process.pid)
            process.kill()
            await process.wait()


async def _watch(process: asyncio.subprocess.Process, file: Path) -> None:
    code = await process.wait()
    if code:
        logger.error("the recording to %s has ended (exit code %d), the tap goes on", file, code)

"""`--record FILE`: a process that records beside a tap for as long as the tap runs."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.errors import StartError

#: Of all parts of a recording together, unless `--record-bytes` says otherwise.
DEFAULT_BYTES = 1024 * 1024 * 1024
LEAST_BYTES = 1024 * 1024
#: Of what it says, at once.
_SAID_BYTES = 16 * 1024

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordTo:
    """Where a recording goes."""

    file: Path
    #: Of all parts together.
    limit_bytes: int = DEFAULT_BYTES

    def of_process(self, number: int) -> RecordTo:
        """Where the tap process with this number records: the first to the file, others beside it."""
        return replace(self, file=self.file.with_name(f"{self.file.name}.tap-{number}")) if number else self

    def check(self) -> None:
        """Find out at once what a recorder would fail by.

        Raises:
            StartError: the file cannot be there.
        """
        from gateway.tap.recording import is_recording, parts  # noqa: PLC0415 # only where something is recorded

        folder = self.file.parent
        if not folder.is_dir():
            raise StartError(f"--record {self.file}: {folder}: a directory that is there")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StartError(f"--record {self.file}: {folder}: a directory that this user may write to")
        try:
            for each in parts(self.file):
                if not each.is_file() or not is_recording(each):
                    raise StartError(f"--record {self.file}: a recording, or a name that is free: {each} is something else")
        except OSError as error:
            raise StartError(f"--record {self.file}: {error.strerror}") from None


@asynccontextmanager
async def recording(record_socket: Path, to: RecordTo | None, end_s: float) -> AsyncIterator[None]:
    """Records what a tap publishes on that socket. The tap goes on whatever becomes of it.

    Args:
        record_socket: of the tap's record link, which need not be there yet.
        to: where it goes; None: nowhere.
        end_s: how long the recorder gets to write what it has, once the tap has ended.
    """
    if to is None:
        yield
        return
    # -P: the directory in which somebody starts the gateway has no say in what `gateway` is.
    command = [sys.executable, "-P", "-m", "gateway.tap.recording", str(record_socket), str(to.file), str(to.limit_bytes)]
    try:
        # A session of its own: it ends with the tap's record link, not by Ctrl-C.
        process = await create_subprocess_exec(*command, stdin=DEVNULL, stderr=PIPE, start_new_session=True)
    except OSError as error:
        logger.error("nothing is recorded to %s: no process for it: %s", to.file, error.strerror)  # noqa: TRY400 # no defect
        yield
        return
    logger.info("recording to %s (pid %d)", to.file, process.pid)
    watching = asyncio.create_task(_watch(process, to.file), name="recording")
    try:
        yield
    finally:
        with suppress(TimeoutError):
            async with asyncio.timeout(end_s):
                await asyncio.shield(watching)
        watching.cancel()
        if process.returncode is None:
            logger.warning("the recording to %s is not complete: killing its process (pid %d)", to.file, process.pid)
            process.kill()
            await process.wait()


async def _watch(process: Process, file: Path) -> None:
    """Logs what the process says, and its end if that is not as it should be."""
    assert process.stderr is not None  # noqa: S101 # it is a pipe
    while said := await process.stderr.read(_SAID_BYTES):
        for line in said.decode(errors="replace").splitlines():
            logger.warning("recording: %s", line)
    code = await process.wait()
    if code:
        logger.error("the recording to %s has ended (exit code %d), the tap goes on", file, code)

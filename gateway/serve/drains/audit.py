"""Audit: who asks for which change comes in, lines of JSON in files of state_dir go out, and the same in the log.

A change is written down before it is asked for, and once more with how it went: what cannot be written is not done. Attempts of who
may not are in a file of their own, so that no flood of them pushes out what was done, and of a flood only so many are written.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.serve.authentication.caller import Caller
from gateway.serve.drains.file import LineFile
from gateway.serve.problems import ProblemError, not_ready, quoted

NAME, REFUSED_NAME = "audit.log", "audit-refused.log"
#: Refused attempts that are written at once, and then one a second.
REFUSED_BURST = 20

logger = logging.getLogger(__name__)


class Audit:
    """The files of this machine's serve processes."""

    def __init__(
        self, state_dir: Path, *, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._changes = LineFile(state_dir / NAME)
        self._refused = LineFile(state_dir / REFUSED_NAME)
        self._wall = wall
        self._monotonic = monotonic
        self._writing = asyncio.Lock()
        #: Refused attempts that may be written now; since when; those that were not.
        self._allowance, self._allowed_at, self._unwritten = float(REFUSED_BURST), monotonic(), 0

    async def begin(self, caller: Caller, method: str, path: str, selector: Mapping[str, Any]) -> Entry:
        """A change that is about to be asked for.

        Raises:
            ProblemError: 503, it cannot be written down.
        """
        entry = Entry(self, caller, method, path, selector)
        try:
            await self._write(self._changes, entry.line(self._now()))
        except OSError as error:
            logger.exception("cannot write %s (gateway.state_dir): the change is refused", self._changes.path)
            raise not_ready(
                f"Changes are refused, as the audit log cannot be written: {self._changes.path}: {error.strerror}"
            ) from error
        return entry

    async def end(self, entry: Entry, status: int | None, drain_id: str | None, error: str | None) -> None:
        """How a change went; where that cannot be written, the log has it."""
        line = entry.line(self._now(), status=status, drain=drain_id, error=error)
        logger.info("audit: %s", line.decode().rstrip())
        try:
            await self._write(self._changes, line)
        except OSError as problem:
            logger.error("cannot write %s (gateway.state_dir): %s", self._changes.path, problem.strerror)  # noqa: TRY400 - a sentence

    async def refuse(self, remote: str | None, method: str, path: str, problem: ProblemError) -> None:
        """An attempt of somebody who may not."""
        now = self._monotonic()
        self._allowance = min(self._allowance + now - self._allowed_at, REFUSED_BURST)
        self._allowed_at = now
        if self._allowance < 1:
            self._unwritten += 1
            return
        self._allowance -= 1
        unwritten, self._unwritten = self._unwritten, 0
        line = _encoded(
            {
                "time": self._now(),
                "event": "refused",
                "remote": remote,
                "method": method,
                "path": quoted(path),
                "status": problem.status,
                "unwritten": unwritten,
            }
        )
        logger.warning("audit: %s", line.decode().rstrip())
        try:
            await self._write(self._refused, line)
        except OSError as error:
            logger.error("cannot write %s (gateway.state_dir): %s", self._refused.path, error.strerror)  # noqa: TRY400 - a sentence

    async def _write(self, file: LineFile, line: bytes) -> None:
        async with self._writing:
            await asyncio.to_thread(file.append, line)

    def _now(self) -> str:
        """RFC 3339, with milliseconds."""
        return datetime.fromtimestamp(self._wall(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Entry:
    """One change."""

    def __init__(self, audit: Audit, caller: Caller, method: str, path: str, selector: Mapping[str, Any]) -> None:
        self._audit = audit
        self._about = {
            # Both lines of a change have it.
            "change": secrets.token_hex(6),
            "name": caller.name,
            "kind": caller.kind.value,
            "role": caller.role.value,
            "remote": caller.remote,
            "method": method,
            "path": path,
            "selector": selector,
        }

    async def end(self, status: int | None, drain_id: str | None = None, error: str | None = None) -> None:
        """How it went: the status of the answer, None where nobody knows."""
        await self._audit.end(self, status, drain_id, error)

    def line(self, now: str, **how: Any) -> bytes:
        """It as a line; `how` it went, nothing: it is about to be asked for."""
        return _encoded({"time": now, "event": "answered" if how else "requested", **self._about, **how})


def _encoded(values: Mapping[str, Any]) -> bytes:
    """Everything beyond ASCII is escaped: nobody else decides what a line looks like."""
    return json.dumps(values, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"

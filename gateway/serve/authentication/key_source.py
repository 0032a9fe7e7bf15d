"""Where keys come from: a file that is read again when it changes, or an address that is asked in the background.

What cannot be used or reached is told once, and what was read before stays in use.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import aiohttp

from gateway.serve.authentication.keys import BYTES_MAX, Key, KeySetError, read_keys

_LOOK_S = 1.0
#: An address is asked again after so long, so that a key that its issuer took back is not accepted for ever …
REFRESH_S = 600.0
#: … and at most so often, whoever shows a token with a key that nobody knows, or while it does not answer.
LEAST_S = 60.0
_ANSWER_S = 10.0

logger = logging.getLogger(__name__)


class KeySource(Protocol):
    """The keys there are now."""

    #: Another object whenever they are others.
    keys: Mapping[str | None, Key]
    #: Why they could not be read when that was last tried.
    problem: str | None

    def look(self) -> None:
        """Called before every use; it does not wait."""

    def missed(self) -> None:
        """Somebody showed a token of a key that is not there."""

    async def run(self) -> None:
        """Does what takes time, until it is cancelled, or nothing."""


class KeyFile:
    """`jwks_file`."""

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Reads it."""
        self.keys: Mapping[str | None, Key] = {}
        self.problem: str | None = None
        self._path = path
        self._monotonic = monotonic
        self._look_at = 0.0
        self._signature: tuple[int, ...] | None = ()
        self.look()

    def look(self) -> None:
        """At most once a second."""
        now = self._monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        try:
            found = self._path.stat()
            signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        except OSError:
            signature = None
        if signature == self._signature:
            return
        self._signature = signature
        try:
            self.keys, self.problem = read_keys(_text(self._path)), None
        except (OSError, KeySetError) as error:
            why = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
            self.problem = f"gateway.credentials.jwt.jwks_file: {self._path}: {why}"
            logger.error("%s; keys that were read before stay in use", self.problem)  # noqa: TRY400 - it is a sentence

    def missed(self) -> None:
        """A change is seen anyway."""

    async def run(self) -> None:
        """Nothing takes time."""


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        # Anybody may read it, and who may write it says who reads here.
        if os.fstat(file.fileno()).st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise KeySetError("others may change it: chmod go-w")
        text = file.read(BYTES_MAX + 1)
    if len(text) > BYTES_MAX:
        raise KeySetError(f"it is longer than {BYTES_MAX} bytes")
    return text


class FetchedKeys:
    """`jwks_url`."""

    def __init__(self, url: str) -> None:
        """Asks nobody yet."""
        self.keys: Mapping[str | None, Key] = {}
        self.problem: str | None = None
        self._url = url
        self._wanted = asyncio.Event()

    def look(self) -> None:
        """What is known is known."""

    def missed(self) -> None:
        """It may be new."""
        self._wanted.set()

    async def run(self) -> None:
        """Ask now, and again and again."""
        # No proxy and no redirect: keys come from where the configuration says, or not at all.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_ANSWER_S), trust_env=False) as session:
            while True:
                self._tell(await self._fetch(session))
                self._wanted.clear()
                await asyncio.sleep(LEAST_S)
                if self.problem is None:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(REFRESH_S - LEAST_S):
                            await self._wanted.wait()

    async def _fetch(self, session: aiohttp.ClientSession) -> str | None:
        """Why it did not work; None: it did."""
        try:
            async with session.get(self._url, allow_redirects=False) as answer:
                if answer.status != 200:
                    return f"it answers {answer.status}"
                text = b""
                async for part in answer.content.iter_any():
                    text += part
                    if len(text) > BYTES_MAX:
                        return f"its answer is longer than {BYTES_MAX} bytes"
            self.keys = read_keys(text)
        except TimeoutError:
            return f"it does not answer within {_ANSWER_S:g} s"
        except (aiohttp.ClientError, OSError, ValueError, KeySetError) as error:
            return str(error) or type(error).__name__
        return None

    def _tell(self, why: str | None) -> None:
        before = self.problem
        self.problem = None if why is None else f"gateway.credentials.jwt.jwks_url: {self._url}: {why}"
        if self.problem == before:
            return
        if self.problem is None:
            logger.info("gateway.credentials.jwt.jwks_url: %s: answers again", self._url)
        else:
            logger.error("%s; keys that were read before stay in use", self.problem)

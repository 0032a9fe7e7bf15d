"""Known tokens: two files come in, whose a token is goes out. A change of a file counts within a second.

What cannot be used is told once, and what was read before stays in use. A file that is gone has no tokens any more.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gateway.config.types import Config
from gateway.private_file import NO_FILE
from gateway.serve.authentication.caller import Identity, Kind
from gateway.serve.authentication.first_token import read_first_token
from gateway.serve.authentication.token_file import TokenFileError, read_tokens
from gateway.serve.authentication.tokens import Check, Token, split

_LOOK_S = 1.0
#: Device, inode, size, times of change of content and mode; None: it is not there.
_Signature = tuple[int, ...] | None

logger = logging.getLogger(__name__)


class _Watched:
    """One file, and the tokens that were read of it last."""

    def __init__(self, path: Path, read: Callable[[Path], Sequence[Token]]) -> None:
        self.path = path
        self._read = read
        self._signature: _Signature = ()
        self.tokens: Sequence[Token] = ()
        self.is_there = False
        #: Why it could not be used when it was last read.
        self.problem: str | None = None

    def look(self) -> bool:
        """Reads it again if it changed; whether it did."""
        try:
            found = self.path.stat()
            signature: _Signature = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        except NO_FILE:
            signature = None
        except OSError as error:
            # Another one for each reason, so that it is told once.
            signature = (error.errno or 0,)
        if signature == self._signature:
            return False
        self._signature = signature
        before = self.problem
        try:
            self.tokens = self._read(self.path)
            self.is_there, self.problem = True, None
        except NO_FILE:
            self.tokens = ()
            self.is_there, self.problem = False, None
        except TokenFileError as error:
            # Somebody has made tokens, whatever they are.
            self.is_there, self.problem = True, str(error)
            if self.problem != before:
                logger.error("tokens: %s; what was read before stays in use", self.problem)  # noqa: TRY400 - it is a sentence
        return True


class KnownTokens:
    """All tokens there are now."""

    def __init__(self, config: Config, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Reads the files."""
        self._is_given = config.credentials.tokens_file is not None
        self._made = _Watched(config.tokens_file, read_tokens)
        self._first = _Watched(config.first_token_file, lambda path: (read_first_token(path),))
        self._monotonic = monotonic
        self._look_at = 0.0
        #: {id: how it is told, whose it is}
        self._known: dict[str, tuple[Check, Identity]] = {}
        self.look()

    @property
    def are_made(self) -> bool:
        """Whether anybody has made tokens, or said where they are to be, although all may be revoked again."""
        return self._is_given or self._made.is_there

    @property
    def problems(self) -> list[str]:
        """Why files cannot be used that are there."""
        return [watched.problem for watched in (self._made, self._first) if watched.problem is not None]

    def look(self) -> None:
        """Looks at the files, at most once a second."""
        now = self._monotonic()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        changed = [watched.look() for watched in (self._made, self._first)]
        if any(changed):
            self._known = {
                token.id: (Check(token), Identity(token.name, Kind.TOKEN, token.role))
                for watched in (self._first, self._made)
                for token in watched.tokens
            }

    def identify(self, text: str) -> Identity | None:
        """Whose token this is; None: nobody's."""
        parts = split(text)
        if parts is None:
            return None
        known = self._known.get(parts[0])
        return known[1] if known is not None and known[0].holds(parts[1]) else None

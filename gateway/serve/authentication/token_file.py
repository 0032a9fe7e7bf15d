"""The file of tokens: its path comes in, tokens go out, and changes go in, one after the other."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from gateway.private_file import NO_FILE, NotPrivateError, read_privately, write_privately
from gateway.serve.authentication.tokens import Token, is_name

#: Of one file.
TOKENS_MAX = 1_000
_BYTES_MAX = 1024 * 1024
_VERSION = 1


class TokenFileError(Exception):
    """It cannot be used: a sentence about why, with its path, and nothing of what is in it."""


class _Contents(msgspec.Struct, frozen=True):
    version: int
    tokens: list[Token]


def read_credential(file: Path, most_bytes: int) -> bytes:
    """The bytes of a file that has tokens, of this kind or another.

    Raises:
        OSError: one of NO_FILE, it is not there.
        TokenFileError: it cannot be used.
    """
    try:
        return read_privately(file, most_bytes)
    except NO_FILE:
        raise
    except OSError as error:
        raise TokenFileError(f"{file}: {error.strerror}") from error
    except NotPrivateError as error:
        raise TokenFileError(f"{file}: {error}") from error


def read_tokens(file: Path) -> tuple[Token, ...]:
    """All tokens of a file.

    Raises:
        OSError: one of NO_FILE, it is not there.
        TokenFileError: it cannot be used.
    """
    try:
        contents = msgspec.json.decode(read_credential(file, _BYTES_MAX), type=_Contents)
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError):
        # Its message may repeat what is in the file.
        raise TokenFileError(f"{file}: it is no file of tokens: nativelink-gateway token new makes one") from None
    if contents.version != _VERSION:
        raise TokenFileError(f"{file}: another release of the gateway wrote it (version {contents.version})")
    tokens = contents.tokens
    if len(tokens) > TOKENS_MAX:
        raise TokenFileError(f"{file}: it has more than {TOKENS_MAX} tokens")
    if len({token.id for token in tokens}) != len(tokens):
        raise TokenFileError(f"{file}: two tokens in it have the same id")
    if not all(is_name(token.name) for token in tokens):
        raise TokenFileError(f"{file}: a token in it has a name that cannot be shown")
    return tuple(tokens)


def change_tokens(file: Path, change: Callable[[Sequence[Token]], Sequence[Token]]) -> None:
    """Write what `change` makes of the tokens that are there; nobody else changes them meanwhile.

    Raises:
        TokenFileError: it cannot be used or written.
    """
    # Where it is a link, its place stays one.
    file = file.resolve()
    try:
        with _alone(file):
            try:
                before = read_tokens(file)
            except NO_FILE:
                before = ()
            after = change(before)
            if len(after) > TOKENS_MAX:
                raise TokenFileError(f"{file}: {TOKENS_MAX} tokens at most: revoke one first")
            encoded = msgspec.json.format(msgspec.json.encode(_Contents(_VERSION, list(after))), indent=1)
            write_privately(file, encoded.decode() + "\n")
    except OSError as error:
        raise TokenFileError(f"{file}: {error.strerror}") from error


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Who else changes it has done so within milliseconds, and is waited for."""
    descriptor = os.open(file.with_name(f".{file.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

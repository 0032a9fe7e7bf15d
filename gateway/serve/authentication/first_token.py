"""The first token: made where nobody made one yet, so that there is one to show from another machine. It may read.

It is kept as it is, in a file of its own, since somebody has to come and look for it.
"""

from __future__ import annotations

import time
from pathlib import Path

from gateway.config.trust import Role
from gateway.private_file import create_privately
from gateway.serve.authentication.token_file import TokenFileError, read_credential
from gateway.serve.authentication.tokens import Token, keep, make_token, split

NAME = "first token"
_BYTES_MAX = 4_096


def make_first_token(file: Path) -> bool:
    """Make it unless it is there; whether it was made.

    Raises:
        TokenFileError: it cannot be written.
    """
    text, _ = make_token(NAME, Role.READER, time.time())
    try:
        return create_privately(file, f"{text}\n")
    except OSError as error:
        raise TokenFileError(f"{file}: {error.strerror}") from error


def show_first_token(file: Path) -> str:
    """The token itself.

    Raises:
        OSError: one of NO_FILE, there is none.
        TokenFileError: the file cannot be used.
    """
    text = read_credential(file, _BYTES_MAX).decode("ascii", errors="replace").strip()
    if split(text) is None:
        raise TokenFileError(f"{file}: there is no token in it: delete it, and the next start makes one")
    return text


def read_first_token(file: Path) -> Token:
    """What can be told of it.

    Raises:
        OSError: one of NO_FILE, there is none.
        TokenFileError: the file cannot be used.
    """
    text = show_first_token(file)
    return keep(text, NAME, Role.READER, file.stat().st_mtime)

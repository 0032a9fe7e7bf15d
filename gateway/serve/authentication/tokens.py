"""Tokens: how they look, and how they are kept. A name and a role come in, a token and what is kept of it go out.

A token is `nlg_ID_SECRET`, both in lower-case hexadecimal digits, so that a search for secrets finds it:
`nlg_[0-9a-f]{8}_[0-9a-f]{64}`. Of its 256 random bits only a salted SHA-256 is kept: nobody guesses them, so a slow hash would cost
every request and protect nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Annotated

import msgspec

from gateway.config.trust import Role

PREFIX = "nlg_"
_ID_BYTES, _SECRET_BYTES, _SALT_BYTES = 4, 32, 16
_ID_AT = len(PREFIX)
_SECRET_AT = _ID_AT + 2 * _ID_BYTES + 1
_LENGTH = _SECRET_AT + 2 * _SECRET_BYTES
NAME_MAX = 100


class Token(msgspec.Struct, frozen=True):
    """What is kept of one."""

    id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{8}\Z")]
    #: Whose it is, for people.
    name: str
    role: Role
    #: RFC 3339.
    created: str
    salt: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
    #: Of the bytes of the salt and the digits of the secret.
    sha256: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class Check:
    """Tells the token from others, fast.

    Who holds it shows it with every request, so the secret that held is remembered: comparing texts costs a tenth of hashing one.
    Nothing that could read it here could not read it in the requests.
    """

    __slots__ = ("_digest", "_held", "_salt")

    def __init__(self, token: Token) -> None:
        self._salt = bytes.fromhex(token.salt)
        self._digest = bytes.fromhex(token.sha256)
        #: What held; empty: nothing did yet.
        self._held = b""

    def holds(self, secret: str) -> bool:
        """Whether this ASCII text is its secret; if not, it takes the same time whatever it is."""
        shown = secret.encode()
        if self._held and compare_digest(shown, self._held):
            return True
        if not compare_digest(hashlib.sha256(self._salt + shown).digest(), self._digest):
            return False
        self._held = shown
        return True


def make_token(name: str, role: Role, now: float) -> tuple[str, Token]:
    """A new token, and what is kept of it.

    Args:
        name: for people; `is_name` holds for it.
        role: what who shows it may do.
        now: Unix seconds.
    """
    text = f"{PREFIX}{secrets.token_hex(_ID_BYTES)}_{secrets.token_hex(_SECRET_BYTES)}"
    return text, keep(text, name, role, now)


def keep(text: str, name: str, role: Role, now: float) -> Token:
    """What is kept of a token, with a salt of its own.

    Raises:
        ValueError: it is none; the text is not repeated.
    """
    parts = split(text)
    if parts is None:
        raise ValueError("it is no token")
    id_, secret = parts
    salt = secrets.token_bytes(_SALT_BYTES)
    created = datetime.fromtimestamp(int(now), UTC).isoformat().replace("+00:00", "Z")
    return Token(id_, name, role, created, salt.hex(), hashlib.sha256(salt + secret.encode()).hexdigest())


def split(text: str) -> tuple[str, str] | None:
    """Id and secret of what looks like a token; None: it does not."""
    if len(text) != _LENGTH or not text.startswith(PREFIX) or text[_SECRET_AT - 1] != "_" or not text.isascii():
        return None
    return text[_ID_AT : _SECRET_AT - 1], text[_SECRET_AT:]


def is_name(name: str) -> bool:
    """Whether it can be shown in a line of a log or of a table."""
    return 0 < len(name) <= NAME_MAX and name.isprintable() and name == name.strip()

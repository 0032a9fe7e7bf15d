"""Caller: who asks, as far as it is known; handlers find it in `request[CALLER]`."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

import msgspec
from aiohttp import web

from gateway.config.trust import Role


class Kind(Enum):
    """What a caller is known by."""

    TOKEN = "token"  # noqa: S105 # a word
    JWT = "jwt"
    CERTIFICATE = "certificate"
    #: It is on this machine, which is all that is known.
    LOOPBACK = "loopback"
    #: Nothing was asked for.
    ANYBODY = "anybody"


class Identity(msgspec.Struct, frozen=True, gc=False):
    """Who somebody is, wherever they are."""

    #: The token's name, the certificate's subject, the JWT's sub, else the word of `kind`.
    name: str
    kind: Kind
    #: None: it is known who it is, and nothing says what they may do.
    role: Role | None


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Who asks. There is no secret in it: it may be logged. A struct, since every request makes one."""

    #: As `Identity` has it.
    name: str
    kind: Kind
    role: Role
    #: The peer's address; None: the connection is gone.
    remote: str | None


#: Of a request that a route with a role answers.
CALLER = web.RequestKey("caller", Caller)
#: The same, asked again: an answer that goes on for long ends with the credential. Raises as the first time.
AGAIN: web.RequestKey[Callable[[], Caller]] = web.RequestKey("again")

#: A name is cut to so many characters.
_SHOWN_MAX = 200


def shown(name: str) -> str:
    """A name that somebody else chose, so that it fits into a line of a log."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name[:_SHOWN_MAX])

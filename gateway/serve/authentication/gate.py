"""Gate: a request and the role that it needs come in; who asks goes out, or 401 or 403.

All requests pass it before anything is looked up, so that who may not read learns nothing from an answer.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION

from gateway.config.types import Authentication, Config, Role
from gateway.serve.authentication.caller import Caller, Identity, Kind
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.local import is_local
from gateway.serve.authentication.refusal import credential_needed, credential_unknown, role_missing

_BEARER = "bearer "
_ANYBODY = Identity(Kind.ANYBODY.value, Kind.ANYBODY, Role.READER)
_LOOPBACK = Identity(Kind.LOOPBACK.value, Kind.LOOPBACK, Role.READER)
_NAMELESS = frozenset({Kind.ANYBODY, Kind.LOOPBACK})


class Gate:
    """Knows who may do what."""

    def __init__(self, config: Config, tokens: KnownTokens) -> None:
        """Args: the resolved configuration; the tokens that are accepted."""
        self._authentication = config.authentication
        self._local_read = config.credentials.local_read
        self._tokens = tokens

    def admit(self, request: web.BaseRequest, role: Role) -> Caller:
        """Who asks.

        Raises:
            ProblemError: 401, it is not known who; 403, they may not.
        """
        self._tokens.look()
        shown = _bearer(request)
        if shown is None:
            identity = self._without(request)
        else:
            identity = self._tokens.identify(shown)
            if identity is None and self._authentication is Authentication.NONE:
                # It may be meant for somebody before us.
                identity = _ANYBODY
        if identity is None or (identity.kind in _NAMELESS and not Role.READER.includes(role)):
            raise credential_needed() if shown is None else credential_unknown()
        if identity.role is None or not identity.role.includes(role):
            raise role_missing(role)
        return Caller(identity.name, identity.kind, identity.role, request.remote)

    def notes(self) -> list[str]:
        """What a person should know, for health."""
        self._tokens.look()
        notes = []
        if self._authentication is Authentication.NONE:
            notes.append('Everybody who can connect may read: gateway.authentication is "none"')
        if self._tokens.problems:
            notes.append("The tokens cannot be read again, those read before stay in use: see the log of serve")
        return notes

    def _without(self, request: web.BaseRequest) -> Identity | None:
        """Who asks without a credential."""
        if self._authentication is Authentication.NONE:
            return _ANYBODY
        return _LOOPBACK if self._is_open_here and is_local(request) else None

    @property
    def _is_open_here(self) -> bool:
        """To peers on this machine."""
        return self._authentication is Authentication.AUTO and (self._local_read or not self._tokens.are_made)


def _bearer(request: web.BaseRequest) -> str | None:
    """The token that is shown; None: none is, as with any other scheme."""
    shown = request.headers.getall(AUTHORIZATION, ())
    if len(shown) != 1:
        # Of several none is meant.
        return "" if shown else None
    scheme, text = shown[0][: len(_BEARER)], shown[0][len(_BEARER) :]
    return text.strip() if scheme.lower() == _BEARER else None

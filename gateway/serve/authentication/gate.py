"""Gate: a request and the role that it needs come in; who asks goes out, or 401 or 403.

All requests pass it before anything is looked up, so that who may not read learns nothing from an answer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION

from gateway.config.trust import Role
from gateway.config.types import Authentication, Config
from gateway.serve.authentication.caller import Caller, Identity, Kind
from gateway.serve.authentication.certificates import Certificates
from gateway.serve.authentication.known_tokens import KnownTokens
from gateway.serve.authentication.local import has_foreign_host, is_local
from gateway.serve.authentication.refusal import Reason, Refusals
from gateway.serve.authentication.tokens import PREFIX

if TYPE_CHECKING:
    from gateway.serve.authentication.web_tokens import WebTokens

_BEARER = "bearer "
_ANYBODY = Identity(Kind.ANYBODY.value, Kind.ANYBODY, Role.READER)
_LOOPBACK = Identity(Kind.LOOPBACK.value, Kind.LOOPBACK, Role.READER)
_NAMELESS = frozenset({Kind.ANYBODY, Kind.LOOPBACK})


class Gate:
    """Knows who may do what."""

    def __init__(self, config: Config, tokens: KnownTokens, *, on_loopback: bool, unix: Callable[[], float] = time.time) -> None:
        """Reads what else is accepted.

        Args:
            config: the resolved configuration.
            tokens: those that are accepted.
            on_loopback: only this machine can connect.
            unix: the time.
        """
        credentials = config.credentials
        self._authentication = config.authentication
        self._local_read = credentials.local_read
        self._on_loopback = on_loopback
        self._tokens = tokens
        self._unix = unix
        self.refusals = Refusals()
        self._certificates = Certificates(credentials.certificates) if credentials.certificates else None
        self._web_tokens: WebTokens | None = None
        if credentials.jwt is not None:
            from gateway.serve.authentication.web_tokens import web_tokens  # noqa: PLC0415 # cryptography takes memory

            self._web_tokens = web_tokens(credentials.jwt)

    def admit(self, request: web.BaseRequest, role: Role) -> Caller:
        """Who asks, and from where. Raises as `identify`."""
        identity = self.identify(request, role)
        # There is one: who has none may do nothing.
        return Caller(identity.name, identity.kind, cast("Role", identity.role), request.remote)

    def identify(self, request: web.BaseRequest, role: Role) -> Identity:
        """Who asks, who may.

        Raises:
            ProblemError: 401, it is not known who; 403, they may not.
        """
        self._tokens.look()
        shown = _bearer(request)
        if shown is None:
            identity = self._of_certificate(request) or self._without(request)
        else:
            identity = self._of_bearer(shown)
            if identity is None and self._authentication is Authentication.NONE:
                # It may be meant for somebody before us.
                identity = _ANYBODY
        if identity is None or (identity.kind in _NAMELESS and not Role.READER.includes(role)):
            raise self.refusals.refuse(Reason.MISSING if shown is None else Reason.UNKNOWN, role)
        if identity is _ANYBODY and self._on_loopback and has_foreign_host(request):
            raise self.refusals.refuse(Reason.HOST, role)
        if identity.role is None or not identity.role.includes(role):
            raise self.refusals.refuse(Reason.ROLE, role)
        return identity

    def notes(self) -> list[str]:
        """What a person should know, for health."""
        self._tokens.look()
        notes = []
        if self._authentication is Authentication.NONE:
            notes.append('Everybody who can connect may read: gateway.authentication is "none"')
        if self._tokens.problems:
            notes.append("The tokens cannot be read again, those read before stay in use: see the log of serve")
        if self._web_tokens is not None and self._web_tokens.source.problem is not None:
            notes.append("The issuer's keys cannot be read, those read before stay in use: see the log of serve")
        return notes

    async def run(self) -> None:
        """Fetches what has to be fetched, until it is cancelled."""
        if self._web_tokens is not None:
            await self._web_tokens.source.run()

    @property
    def is_configured(self) -> bool:
        """Whether anybody has made or configured a credential."""
        return self._tokens.are_made or self._certificates is not None or self._web_tokens is not None

    def _of_bearer(self, text: str) -> Identity | None:
        if self._web_tokens is None or text.startswith(PREFIX):
            return self._tokens.identify(text)
        return self._web_tokens.identify(text)

    def _of_certificate(self, request: web.BaseRequest) -> Identity | None:
        """One that is not known is as none: others may have asked for it."""
        if self._certificates is None:
            return None
        certificate = request.get_extra_info("peercert")
        return self._certificates.identify(certificate, self._unix()) if certificate else None

    def _without(self, request: web.BaseRequest) -> Identity | None:
        """Who asks without a credential."""
        if self._authentication is Authentication.NONE:
            return _ANYBODY
        is_open = self._authentication is Authentication.AUTO and (self._local_read or not self.is_configured)
        return _LOOPBACK if is_open and is_local(request) else None


def _bearer(request: web.BaseRequest) -> str | None:
    """The token that is shown; None: none is, as with any other scheme."""
    shown = request.headers.getall(AUTHORIZATION, ())
    if len(shown) != 1:
        # Of several none is meant.
        return "" if shown else None
    scheme, text = shown[0][: len(_BEARER)], shown[0][len(_BEARER) :]
    return text.strip() if scheme.lower() == _BEARER else None

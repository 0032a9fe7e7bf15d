"""JSON Web Tokens: one comes in, whose it is goes out, if the issuer signed it for us and it is the time for it (RFC 7519, 8725).

PyJWT takes it apart and verifies it: signatures are no place for code of one's own. This module is imported only where it is
configured, since cryptography takes memory.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from gateway.config.trust import Jwt, Role
from gateway.serve.authentication.caller import Identity, Kind, shown
from gateway.serve.authentication.key_source import FetchedKeys, KeyFile, KeySource
from gateway.serve.authentication.keys import Key

#: Verified tokens that are remembered until they end, or the keys change.
KEPT_MAX = 1_024
_DIGEST_BYTES = 16


class WebTokens:
    """The tokens of one issuer."""

    def __init__(self, settings: Jwt, source: KeySource, *, unix: Callable[[], float] = time.time) -> None:
        """Args: what is accepted; where the keys come from; the time."""
        self.source = source
        self._settings = settings
        self._unix = unix
        self._keys = source.keys
        # What is remembered is no token: it is a hash that is of no use outside of this process.
        self._secret = secrets.token_bytes(_DIGEST_BYTES)
        #: {hash of a token: (until when, whose)}
        self._kept: dict[bytes, tuple[float, Identity]] = {}

    def identify(self, text: str) -> Identity | None:
        """Whose it is; None: nobody's, or not now."""
        self.source.look()
        if self._keys is not self.source.keys:
            self._keys = self.source.keys
            self._kept.clear()
        digest = hashlib.blake2b(text.encode(errors="surrogatepass"), key=self._secret, digest_size=_DIGEST_BYTES).digest()
        kept = self._kept.get(digest)
        if kept is not None:
            if self._unix() < kept[0]:
                return kept[1]
            del self._kept[digest]
        claims = self._verified(text)
        if claims is None:
            return None
        identity = Identity(shown(str(claims.get("sub") or Kind.JWT.value)), Kind.JWT, self._role(claims))
        if len(self._kept) >= KEPT_MAX:
            del self._kept[next(iter(self._kept))]
        self._kept[digest] = (float(claims["exp"]) + self._settings.clock_skew_s, identity)
        return identity

    def _verified(self, text: str) -> Mapping[str, Any] | None:
        try:
            header = jwt.get_unverified_header(text)
            key = self._key(header.get("kid"))
            algorithm = header.get("alg")
            if key is None or algorithm not in key.algorithms:
                return None
            claims: Mapping[str, Any] = jwt.decode(
                text,
                key.key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.clock_skew_s,
                options={"require": ["exp", "iss", "aud"]},
            )
        except (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError):
            # What strangers make up breaks more than PyJWT expects.
            return None
        return claims

    def _key(self, kid: object) -> Key | None:
        """By its id; a token without one is of the only key there is."""
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        found = self._keys.get(kid) if isinstance(kid, str) else None
        if found is None:
            self.source.missed()
        return found

    def _role(self, claims: Mapping[str, Any]) -> Role | None:
        """The most that the claim says; None: nothing that is a role."""
        name = self._settings.role_claim
        value: Any = claims.get(name)
        if value is None and "." in name:
            value = claims
            for part in name.split("."):
                value = value.get(part) if isinstance(value, Mapping) else None
        words = value if isinstance(value, list) else [value]
        return next((role for role in (Role.OPERATOR, Role.READER) if role.value in words), None)


def web_tokens(settings: Jwt) -> WebTokens:
    """Those of the configuration."""
    source: KeySource = KeyFile(settings.jwks_file) if settings.jwks_file is not None else FetchedKeys(settings.jwks_url or "")
    return WebTokens(settings, source)

"""Refusal: why somebody may not comes in, 401 or 403 goes out. Neither depends on what there is."""

from __future__ import annotations

from aiohttp.hdrs import WWW_AUTHENTICATE

from gateway.config.trust import Role
from gateway.serve.problems import ProblemError

_REALM = 'Bearer realm="nativelink-gateway"'
_INVALID = f'{_REALM}, error="invalid_token"'


def credential_needed() -> ProblemError:
    """401: none is shown."""
    text = (
        "A credential is needed: send the header Authorization: Bearer TOKEN; on the gateway's machine "
        "`nativelink-gateway token show` or `token new` has one"
    )
    return ProblemError(401, text, {WWW_AUTHENTICATE: _REALM})


def credential_unknown() -> ProblemError:
    """401: the one that is shown is nobody's."""
    return ProblemError(401, "The credential is not known here, or not any more", {WWW_AUTHENTICATE: _INVALID})


def foreign_host() -> ProblemError:
    """403: a page may have made a browser on this machine ask (DNS rebinding)."""
    text = (
        'The header Host is no name of this machine\'s own. Where gateway.authentication is "none" on an address of loopback, '
        "ask as localhost, 127.0.0.1 or [::1], or with a credential: a page in a browser here could ask by any other name"
    )
    return ProblemError(403, text)


def role_missing(role: Role) -> ProblemError:
    """403: it is known who asks, and this is not theirs to do."""
    return ProblemError(403, f"This needs the role {role.value}, which the credential has not")

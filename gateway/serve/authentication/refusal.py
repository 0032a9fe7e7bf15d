"""Refusal: why somebody may not comes in, 401 or 403 goes out, and is counted. Neither depends on what there is."""

from __future__ import annotations

from enum import Enum

from aiohttp.hdrs import WWW_AUTHENTICATE

from gateway.config.trust import Role
from gateway.serve.problems import ProblemError

_REALM = 'Bearer realm="nativelink-gateway"'
_INVALID = f'{_REALM}, error="invalid_token"'


class Reason(Enum):
    """Why a request was refused."""

    #: None is shown.
    MISSING = "missing"
    #: The one that is shown is nobody's.
    UNKNOWN = "unknown"
    #: It is known who asks, and this is not theirs to do.
    ROLE = "role"
    #: A page may have made a browser on this machine ask (DNS rebinding).
    HOST = "host"


class Refusals:
    """Says no."""

    def __init__(self) -> None:
        #: How often, since the start.
        self.counts = dict.fromkeys(Reason, 0)

    def refuse(self, reason: Reason, role: Role) -> ProblemError:
        """What is to be raised; `role`: what would be needed."""
        self.counts[reason] += 1
        return _PROBLEMS[reason](role)


def _credential_needed(_: Role) -> ProblemError:
    text = (
        "A credential is needed: send the header Authorization: Bearer TOKEN; on the gateway's machine "
        "`nativelink-gateway token show` or `token new` has one"
    )
    return ProblemError(401, text, {WWW_AUTHENTICATE: _REALM})


def _credential_unknown(_: Role) -> ProblemError:
    return ProblemError(401, "The credential is not known here, or not any more", {WWW_AUTHENTICATE: _INVALID})


def _foreign_host(_: Role) -> ProblemError:
    text = (
        'The header Host is no name of this machine\'s own. Where gateway.authentication is "none" on an address of loopback, '
        "ask as localhost, 127.0.0.1 or [::1], or with a credential: a page in a browser here could ask by any other name"
    )
    return ProblemError(403, text)


def _role_missing(role: Role) -> ProblemError:
    return ProblemError(403, f"This needs the role {role.value}, which the credential has not")


_PROBLEMS = {
    Reason.MISSING: _credential_needed,
    Reason.UNKNOWN: _credential_unknown,
    Reason.ROLE: _role_missing,
    Reason.HOST: _foreign_host,
}

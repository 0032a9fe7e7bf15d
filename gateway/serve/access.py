"""Access: a request's peer comes in; 403 for whoever may not read (promise P8, design 7)."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from gateway.config.types import Authentication
from gateway.serve.authentication.caller import Caller, Kind
from gateway.serve.authentication.role import Role
from gateway.serve.problems import ProblemError

_REFUSED = (
    "Reading is open to this machine only. Ask from there, or let everybody read who can connect: "
    'gateway.authentication: "none" in the configuration'
)


def check_access(authentication: Authentication, remote: str | None, role: Role) -> Caller:
    """Let a peer do what a role may, or not: nobody is more than a reader.

    Args:
        authentication: gateway.authentication.
        remote: the peer's address as aiohttp names it; None where the connection has none any more.
        role: what is asked for needs.

    Raises:
        ProblemError: 403.
    """
    if authentication is not Authentication.NONE and not _is_loopback(remote or ""):
        raise ProblemError(403, _REFUSED)
    kind = Kind.ANYBODY if authentication is Authentication.NONE else Kind.LOOPBACK
    if not Role.READER.includes(role):
        raise ProblemError(403, f"This needs the role {role.value}")
    return Caller(kind.value, kind, Role.READER, remote)


@lru_cache(1_024)
def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        # An IPv4 peer of a listener on "::".
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback

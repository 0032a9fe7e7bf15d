"""Hosts: whom a request says it is for comes in; whether that is a name that only this machine can have for itself goes out.

A page of the web can have its own name lead to loopback (DNS rebinding), and then asks with that name as `Host`: the name is all
that tells it from a person at this machine.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

_REMEMBERED = 256
#: RFC 9110 7.2: a host, in brackets if it is an IPv6 address, and perhaps a port.
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,253}))(?::[0-9]{0,5})?", re.ASCII)


@lru_cache(_REMEMBERED)
def is_local_host(host: str | None) -> bool:
    """Whether `Host` is `localhost`, a name in it (RFC 6761 6.3), or an address of loopback; the port does not matter.

    Args:
        host: the header's value, or the authority of a request target; None: there is none, which is not local.
    """
    found = _HOST.fullmatch(host or "")
    if found is None:
        return False
    if found["v6"]:
        return is_loopback(found["v6"])
    name = found["name"].lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


@lru_cache(_REMEMBERED)
def is_loopback(address: str) -> bool:
    """Whether an IP address is one of loopback; what is no address is not."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        # An IPv4 peer of a listener on "::".
        return parsed.ipv4_mapped.is_loopback
    return parsed.is_loopback

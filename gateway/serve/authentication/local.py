"""Local: a request comes in; whether it comes from a program on this machine, for itself, goes out.

This is a trust in the machine, not a proof. A peer on loopback may be a proxy that asks for somebody else, or a browser that a page
from elsewhere made ask: most of those say so, by a header or by the name that they know this machine by, and are not local.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.hdrs import HOST
from aiohttp.http import HttpVersion11

from gateway.serve.hosts import is_local_host, is_loopback

_REMEMBERED = 256
#: Headers with which a proxy tells for whom it asks; and all that begin with `x-forwarded-`.
_FORWARDING = frozenset({"forwarded", "x-real-ip", "via"})
_FORWARDED = "x-forwarded-"


def is_local(request: web.BaseRequest) -> bool:
    """Whether peer, host and headers are those of a program on this machine."""
    if not is_loopback(request.remote or ""):
        return False
    if request.version < HttpVersion11:
        # Programs of this century speak 1.1; 1.0 is what nginx spoke to upstreams until 1.29.7 unless told otherwise.
        return False
    hosts = request.headers.getall(HOST, ())
    if len(hosts) != 1 or not is_local_host(_named(request.raw_path) or hosts[0]):
        return False
    return not any(map(_is_forwarding, request.headers))


def has_foreign_host(request: web.BaseRequest) -> bool:
    """Whether it is for a name that this machine does not have for itself; one that names nobody comes from no browser."""
    named = _named(request.raw_path)
    hosts = (named,) if named else request.headers.getall(HOST, ())
    return not all(map(is_local_host, hosts))


def _named(target: str) -> str:
    """The host in an address in absolute form, which counts instead of the Host header (RFC 9112, 3.2.2); "": none."""
    if target.startswith("/"):
        return ""
    try:
        return urlsplit(target).netloc
    except ValueError:
        return target


@lru_cache(_REMEMBERED)
def _is_forwarding(name: str) -> bool:
    small = name.lower()
    return small in _FORWARDING or small.startswith(_FORWARDED)

"""CORS: origins come in; answers that their pages may read in a browser go out, and answers to browsers that ask before they ask.

Credentials are no cookies: a page shows a token itself, in Authorization, so Access-Control-Allow-Credentials is never said.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiohttp import web
from aiohttp.hdrs import (
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD,
    METH_OPTIONS,
    ORIGIN,
)

from gateway.serve.description.entry import Route
from gateway.serve.reply import NO_CONTENT, OPEN, Reply

#: What a request may say besides what any page may.
_ASKED = "Authorization, Content-Type, If-None-Match, Last-Event-ID, Idempotency-Key"
#: Seconds for which a browser need not ask again.
_MAX_AGE_S = 600
#: Where there is no address: so that a page can read that.
_ELSEWHERE = ("GET", "HEAD")
#: Of answers that the table of routes does not have one by one.
_ANYWHERE = ("Allow", "Date")


class Cors:
    """Knows whose pages may read."""

    def __init__(self, origins: Iterable[str], routes: Iterable[Route]) -> None:
        """Args: as browsers send them; what is served, with the headers of its answers."""
        self._origins = frozenset(origins)
        answers = [answer for route in routes for answer in route.answers]
        names = {header.name for answer in answers for header in (*answer.always, *answer.perhaps)}
        self._exposed = ", ".join(sorted(names.union(_ANYWHERE)))

    def preflight(self, request: web.BaseRequest, methods: Callable[[web.BaseRequest, str], tuple[str, ...]]) -> Reply | None:
        """The answer to a browser that asks whether a page may ask; it has no credential yet. None: this is no such request.

        Args:
            request: any.
            methods: what is answered at its address, to who means to use a method.
        """
        if request.method != METH_OPTIONS or request.headers.get(ORIGIN) not in self._origins:
            return None
        method = request.headers.get(ACCESS_CONTROL_REQUEST_METHOD)
        if method is None:
            return None
        headers: dict[str, str] = {
            ACCESS_CONTROL_ALLOW_METHODS: ", ".join(methods(request, method) or _ELSEWHERE),
            ACCESS_CONTROL_ALLOW_HEADERS: _ASKED,
            ACCESS_CONTROL_MAX_AGE: str(_MAX_AGE_S),
        }
        return Reply(b"", status=NO_CONTENT, headers=headers, caching=OPEN)

    def share(self, request: web.BaseRequest, reply: Reply) -> None:
        """What is answered, error or not, may be read by pages of the origins."""
        reply.vary(ORIGIN)
        origin = request.headers.get(ORIGIN)
        if origin in self._origins:
            reply.headers[ACCESS_CONTROL_ALLOW_ORIGIN] = origin
            reply.headers[ACCESS_CONTROL_EXPOSE_HEADERS] = self._exposed

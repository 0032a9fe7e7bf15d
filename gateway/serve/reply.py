"""Reply: a body that is bytes already comes in, one write of head and body goes out.

aiohttp's own Response copies the body to join it with the head, and names the server's version; this one does neither.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from http import HTTPStatus
from typing import cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.hdrs import HOST
from aiohttp.http import HttpVersion11

from gateway.serve.connections.connection import Connection
from gateway.serve.hosts import is_local_host

NO_CONTENT = 204
NOT_MODIFIED = 304
_BODILESS = frozenset({NO_CONTENT, NOT_MODIFIED})
#: It is true now, and for who asked: whoever wants it again asks again.
GATED = "Cache-Control: private, no-cache\r\nVary: Authorization, Accept-Encoding"
#: The same where Accept matters too.
NEGOTIATED = "Cache-Control: private, no-cache\r\nVary: Authorization, Accept, Accept-Encoding"
#: For everybody.
OPEN = "Cache-Control: no-cache"
#: Of what came by TLS (RFC 6797). Not to localhost: there it would be about whatever else this machine serves.
_STRICT = "Strict-Transport-Security: max-age=31536000"
#: Nothing here is a page, or part of one: a browser does not run it, frame it, or give it to pages of others.
SECURITY = (
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin"
)
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class Reply(web.StreamResponse):
    """An answer with all its bytes at hand, JSON unless said otherwise. For HEAD only its head is sent."""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        caching: str = GATED,
    ) -> None:
        """What it is made of.

        Args:
            body: all of it.
            status: with its usual reason.
            headers: besides those that every answer has.
            content_type: what the body is.
            caching: the headers about who may keep it; Vary, if there is one, at the end.
        """
        super().__init__(status=status, reason=_REASONS[status], headers=headers)
        self._content = body
        self._type = content_type
        self._caching = caching
        self._closes = False
        self._request: web.BaseRequest | None = None

    @property
    def keep_alive(self) -> bool:
        """Whether the connection may carry another request."""
        return not self._closes and self._request is not None and self._request.keep_alive

    def force_close(self) -> None:
        """The connection ends with this answer."""
        self._closes = True

    def vary(self, name: str) -> None:
        """It depends on this header of the request too."""
        separator = ", " if "Vary: " in self._caching else "\r\nVary: "
        self._caching = f"{self._caching}{separator}{name}"

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Called by aiohttp before `write_eof`; nothing is sent yet."""
        self._request = request
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - aiohttp's signature; it gives none
        """Send everything.

        Raises:
            ConnectionResetError: the peer is gone, or takes nothing.
        """
        request = self._request
        transport = request.transport if request is not None else None
        if request is None or transport is None or transport.is_closing():
            raise ConnectionResetError
        head = self._head(request)
        transport.writelines((head,) if request.method == "HEAD" else (head, self._content))
        if transport.get_write_buffer_size():
            await cast("Connection", request.protocol).taken(transport, self._content)

    def unasked(self) -> bytes:
        """All of it, where there is no request that it answers: nothing comes after it."""
        self._closes = True
        return self._head(None) + self._content

    def _head(self, request: web.BaseRequest | None) -> bytes:
        lines = [f"HTTP/1.1 {self.status} {self.reason}"]
        if self.status not in _BODILESS:
            lines += self._content_headers()
        lines += [self._caching, _always()]
        if request is not None and request.secure and not is_local_host(request.headers.get(HOST)):
            lines.append(_STRICT)
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if not self.keep_alive:
            lines.append("Connection: close")
        elif request is not None and request.version < HttpVersion11:
            lines.append("Connection: keep-alive")
        lines.append("\r\n")
        return "\r\n".join(lines).encode()

    def _content_headers(self) -> Sequence[str]:
        return f"Content-Type: {self._type}", f"Content-Length: {len(self._content)}"


class _Always:
    """Headers that every answer has, made once a second: those for browsers, and Date (RFC 9110 5.6.7)."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = f"{SECURITY}\r\nDate: {formatdate(second, usegmt=True)}"
        return self._text


_always = _Always()

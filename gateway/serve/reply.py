"""Reply: a body that is bytes already comes in, one write of head and body goes out.

aiohttp's own Response copies the body to join it with the head, names the server's version, and makes a
dozen things for each answer that none of ours has; this one does what aiohttp's server asks of a response.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.hdrs import HOST, METH_HEAD
from aiohttp.http import HttpVersion11

from gateway.serve.hosts import is_local_host

if TYPE_CHECKING:
    from gateway.serve.connections.connection import Connection

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
_STRICT = "Strict-Transport-Security: max-age=31536000\r\n"
#: Nothing here is a page, or part of one: a browser does not run it, frame it, or give it to pages of others.
SECURITY = (
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Cross-Origin-Resource-Policy: same-origin"
)
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
#: A body up to this is copied behind its head: that costs less than telling the kernel of two places.
_JOINED_BYTES = 4_096


class Reply:
    """An answer with all its bytes at hand, JSON unless said otherwise. For HEAD only its head is sent."""

    __slots__ = ("_body", "_caching", "_closes", "_is_sent", "_request", "_type", "headers", "status")

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
        self.status = status
        self.headers: dict[str, str] = {**headers} if headers else {}
        self._body = body
        self._type = content_type
        self._caching = caching
        self._closes = False
        #: What it answers, from `send` or `prepare` on.
        self._request: web.BaseRequest | None = None
        self._is_sent = False

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

    def send(self, request: web.BaseRequest) -> None:
        """Send everything, which the peer may not take before a while.

        Raises:
            ConnectionResetError: the peer is gone.
        """
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        self._request = request
        head = self._head(request)
        if request.method == METH_HEAD or not self._body:
            transport.write(head)
        elif len(self._body) <= _JOINED_BYTES:
            transport.write(head + self._body)
        else:
            transport.writelines((head, self._body))
        self._is_sent = True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Called by aiohttp before `write_eof`; nothing is sent yet, or everything."""
        self._request = request
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - aiohttp's signature; it gives none
        """Send everything, and wait until it is taken.

        Raises:
            ConnectionResetError: the peer is gone, or takes nothing.
        """
        request = self._request
        if request is None:
            raise ConnectionResetError
        if not self._is_sent:
            self.send(request)
        connection, transport = cast("Connection", request.protocol), request.transport
        if connection.writing_paused and transport is not None:
            await connection.taken(transport, self._body)

    def unasked(self) -> bytes:
        """All of it, where there is no request that it answers: nothing comes after it."""
        self._closes = True
        return self._head(None) + self._body

    def _head(self, request: web.BaseRequest | None) -> bytes:
        content = "" if self.status in _BODILESS else self._content_headers()
        own = "".join([f"{name}: {value}\r\n" for name, value in self.headers.items()]) if self.headers else ""
        strict = _STRICT if request is not None and request.secure and not is_local_host(request.headers.get(HOST)) else ""
        staying = ""
        if not self.keep_alive:
            staying = "Connection: close\r\n"
        elif request is not None and request.version < HttpVersion11:
            staying = "Connection: keep-alive\r\n"
        return f"{_STATUS_LINES[self.status]}{content}{self._caching}\r\n{_always()}{strict}{own}{staying}\r\n".encode()

    def _content_headers(self) -> str:
        return f"Content-Type: {self._type}\r\nContent-Length: {len(self._body)}\r\n"


class _Always:
    """Headers that every answer has, made once a second: those for browsers, and Date (RFC 9110 5.6.7)."""

    def __init__(self) -> None:
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._text = f"{SECURITY}\r\nDate: {formatdate(second, usegmt=True)}\r\n"
        return self._text


_always = _Always()

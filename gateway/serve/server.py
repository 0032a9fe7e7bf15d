"""Server: routes and the gate before them come in, an aiohttp server whose every answer but one is JSON goes out.

It is aiohttp's low-level server: no Application, so that an address with any id in it is looked up here, once, and nothing but the
routes answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from gateway.config.types import Role
from gateway.serve.authentication.caller import AGAIN, CALLER, Caller
from gateway.serve.authentication.gate import Gate
from gateway.serve.metrics.latencies import OTHER
from gateway.serve.problems import Handler, ProblemError, answer_problems, problem_reply
from gateway.serve.reply import Reply
from gateway.serve.routes import ROUTE, Routes

#: Bytes of the request line, and of one header; how many headers. More is 400.
LINE_BYTES = 8190
HEADERS = 128
#: An idle connection, and one whose request does not get complete, is closed after this.
KEEP_ALIVE_S = 75.0
#: How long the rest of a request's body is read and thrown away, so that the peer gets to see the answer.
_LINGER_S = 2.0

logger = logging.getLogger(__name__)


class _Connection(web.RequestHandler):
    """aiohttp's side of one connection; what it cannot read gets the documented error."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature
    ) -> Reply:
        """Called by aiohttp for requests that are not HTTP; `message` has the offending bytes, among which may be a token."""
        logger.debug("%s sent what is not HTTP/1.1: %s", request.remote, type(exc).__name__)
        is_long = isinstance(exc, LineTooLong)
        text = f"The address or a header is longer than {LINE_BYTES} bytes" if is_long else "This is no HTTP/1.1 request"
        reply = problem_reply(status, text)
        reply.force_close()
        return reply


class JsonServer(web.Server):
    """The protocol factory for a listening socket."""

    def __call__(self) -> web.RequestHandler:
        """The protocol of one connection."""
        return _Connection(
            self,
            loop=self._loop,
            access_log=None,  # type: ignore[arg-type] # None is how aiohttp's own run_app says: no access log
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            max_headers=HEADERS,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=_LINGER_S,
            # A body that nobody wants is thrown away as it came: one that is not what its coding says would be logged as a defect.
            auto_decompress=False,
        )


def make_server(routes: Routes, gate: Gate) -> JsonServer:
    """A server of the routes; call it within a running loop."""

    async def permitted(request: web.BaseRequest) -> web.StreamResponse:
        try:
            target, found = routes.find(request)
        except ProblemError:
            # Whoever may not read is not told what is wrong with the address either.
            gate.admit(request, Role.READER)
            raise
        if found.role is not None:
            admit: Callable[[], Caller] = partial(gate.admit, request, found.role)
            try:
                request[CALLER] = admit()
                request[AGAIN] = admit
            except ProblemError as problem:
                if found.role is Role.OPERATOR:
                    await routes.audit.refuse(request.remote, request.method, target.path, problem)
                raise
        return await routes.answer(request, target, found)

    handler: Handler = answer_problems(permitted)

    async def timed(request: web.BaseRequest) -> web.StreamResponse:
        began = perf_counter()
        reply = await handler(request)
        routes.latencies.observe(request.get(ROUTE, OTHER), reply.status, perf_counter() - began)
        return reply

    # Who goes is not waited for, nor looked for.
    return JsonServer(timed, handler_cancellation=True)

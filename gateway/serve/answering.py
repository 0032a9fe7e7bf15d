"""Answering: a request comes in; its route is found, who asks is admitted, and the route's reply or an error's goes out.

What nothing has to be waited for is answered at once, where the connection read it: a task of its own for each request, and the
turns of the loop that it takes, cost as much as all that is done here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import perf_counter

from aiohttp import web
from aiohttp.hdrs import METH_GET, METH_HEAD

from gateway.config.trust import Role
from gateway.serve.authentication.caller import AGAIN, CALLER, Caller
from gateway.serve.authentication.gate import Gate
from gateway.serve.connections.connection import Connection
from gateway.serve.connections.limits import BODY_BYTES, HEAD_BYTES
from gateway.serve.cors import Cors
from gateway.serve.metrics.latencies import OTHER
from gateway.serve.parameters import waits
from gateway.serve.problems import ProblemError, error_reply
from gateway.serve.reply import Reply
from gateway.serve.routes import Routes
from gateway.serve.routing import Found
from gateway.serve.waiting import WAITED

#: What changes nothing, and says nothing in a body.
_READS = frozenset({METH_GET, METH_HEAD})
TOO_LONG = f"Request line and headers have more than {HEAD_BYTES} bytes together"


class Answering:
    """All requests."""

    def __init__(self, routes: Routes, gate: Gate, cors: Cors | None) -> None:
        """Args: what there is; who may ask; whose pages may read, None: nobody's."""
        self._routes = routes
        self._gate = gate
        self._cors = cors

    def at_once(self, request: web.BaseRequest) -> Reply | None:
        """The reply to a request without a body, of a size that is known to be allowed; None: `answer` has to be waited for."""
        if request.method not in _READS:
            return None
        began, found = perf_counter(), None
        try:
            found = self._find(request)
            if found.role is Role.OPERATOR:
                return None
            if found.role is not None:
                self._gate.identify(request, found.role)
            reply = self._routes.at_once(found, request.headers)
        except Exception as error:  # noqa: BLE001 # it is logged
            reply = error_reply(request, error)
        if reply is not None:
            self._finish(request, found, reply, began)
        return reply

    async def answer(self, request: web.BaseRequest) -> Reply:
        """The reply to any request."""
        connection = request.protocol
        if isinstance(connection, Connection) and (begun := connection.begun()) is not None:
            return begun
        began, found = perf_counter(), None
        try:
            _check_size(request)
            if self._cors is not None and (preflight := self._cors.preflight(request, self._routes.methods)) is not None:
                reply = preflight
            else:
                found = self._find(request)
                await self._admit(request, found)
                reply = await self._waited_for(request, found)
        except Exception as error:  # noqa: BLE001 # it is logged
            reply = error_reply(request, error)
        self._finish(request, found, reply, began)
        return reply

    async def _waited_for(self, request: web.BaseRequest, found: Found) -> Reply:
        try:
            reply = await self._routes.answer(found, request)
        except ProblemError as problem:
            reply = problem.reply()
        if found.role is Role.READER:
            # The credential may have ended meanwhile. What an operator changed is told in any case.
            self._gate.identify(request, found.role)
        return reply

    def _find(self, request: web.BaseRequest) -> Found:
        try:
            return self._routes.find(request)
        except ProblemError:
            # Whoever may not read is not told what is wrong with the address either.
            self._gate.identify(request, Role.READER)
            raise

    async def _admit(self, request: web.BaseRequest, found: Found) -> None:
        if found.role is None:
            return
        admit: Callable[[], Caller] = partial(self._gate.admit, request, found.role)
        try:
            request[CALLER] = admit()
        except ProblemError as problem:
            if found.role is Role.OPERATOR:
                await self._routes.audit.refuse(request.remote, request.method, found.target.path, problem)
            raise
        request[AGAIN] = admit

    def _finish(self, request: web.BaseRequest, found: Found | None, reply: Reply, began: float) -> None:
        if self._cors is not None:
            self._cors.share(request, reply)
        self._routes.latencies.observe(_counted_as(found), reply.status, perf_counter() - began)


def _counted_as(found: Found | None) -> str:
    """The template of a route. A wait is no latency: it has one that is not counted."""
    if found is None or found.path is None:
        return OTHER
    return WAITED if found.id and waits(found.target) else found.path


def _check_size(request: web.BaseRequest) -> None:
    """What could only be seen of the whole head.

    Raises:
        ProblemError: 413 or 431.
    """
    if request.body_exists and (request.content_length or 0) > BODY_BYTES:
        raise ProblemError(413, f"The body has more than {BODY_BYTES} bytes", closes=True)
    connection = request.protocol
    if isinstance(connection, Connection) and connection.may_be_long:
        # With it came others, perhaps.
        size = len(request.raw_path) + sum(len(name) + len(value) + 4 for name, value in request.raw_headers)
        if size > HEAD_BYTES:
            raise ProblemError(431, TOO_LONG, closes=True)

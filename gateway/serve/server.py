"""Server: what answers requests comes in, an aiohttp server whose every answer but one is JSON goes out.

It is aiohttp's low-level server: no Application, so that an address with any id in it is looked up here, once, and nothing but the
routes answers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from gateway.serve.answering import TOO_LONG, Answering
from gateway.serve.connections.admission import Admission, Full, Place
from gateway.serve.connections.answers import Answers
from gateway.serve.connections.connection import Connection
from gateway.serve.connections.limits import HEAD_S, LINE_BYTES, RETRY_AFTER_S
from gateway.serve.connections.untaken import Untaken
from gateway.serve.problems import problem_reply
from gateway.serve.reply import Reply

#: How often connections are looked at.
_LOOK_S = 1.0
#: Of those that could make way, so many do at once: looking for them costs more than one connection is worth.
_MAKE_WAY = 64

logger = logging.getLogger(__name__)


class JsonServer(web.Server):
    """All connections."""

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[Reply]],
        at_once: Callable[[web.BaseRequest], Reply | None],
        admission: Admission,
        *,
        handler_cancellation: bool = False,
    ) -> None:
        """What it is made of.

        Args:
            answer: makes the reply to a request.
            at_once: likewise, if there is nothing to wait for.
            admission: who gets in.
            handler_cancellation: whether an answer that is waited for ends when the peer goes.
        """
        # What aiohttp asks of a response, a Reply has.
        handler = cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", answer)
        super().__init__(handler, handler_cancellation=handler_cancellation)
        self._untaken = Untaken()
        self._connected: set[Connection] = set()
        self._answers = Answers(at_once, _unreadable, _LATE.unasked(), _LONG.unasked())
        self.admission = admission
        admission.make_room = self._make_room

    def connection(self, place: Place) -> Connection:
        """The protocol of one connection."""
        return Connection(self, self._loop, place, self._answers, self._untaken, self._connected)

    async def watch(self) -> None:
        """End connections that are too slow, as long as it runs."""
        while True:
            await asyncio.sleep(_LOOK_S)
            now = self._loop.time()
            for connection in tuple(self._connected):
                connection.look(now)

    async def end(self) -> None:
        """Of connections that were closed, those too that have not taken everything."""
        for connection in tuple(self._connected):
            connection.cut()
        while self._connected:  # noqa: ASYNC110 - a turn of the loop or two
            await asyncio.sleep(0)

    def _make_room(self) -> bool:
        """Those of the peer with the most connections make way that have been idle for longest; whether there were any."""
        idle = [(since, connection) for connection in self._connected if (since := connection.idle_since) is not None]
        of_peers = {connection.peer: self.admission.peers.get(connection.peer, 0) for _, connection in idle}
        if not of_peers:
            return False
        largest = max(of_peers, key=of_peers.__getitem__)
        of_largest = sorted((each for each in idle if each[1].peer == largest), key=lambda each: each[0])
        for _, connection in of_largest[: max(len(of_largest) // _MAKE_WAY, 1)]:
            connection.cut()
        return True


def make_server(answering: Answering, admission: Admission) -> JsonServer:
    """A server of all requests; call it within a running loop."""
    # Who goes is not waited for, nor looked for.
    return JsonServer(answering.answer, answering.at_once, admission, handler_cancellation=True)


def refusals(admission: Admission) -> dict[Full, bytes]:
    """What they are told who do not get in."""
    again = {"Retry-After": str(RETRY_AFTER_S)}
    return {
        Full.PEER: problem_reply(
            429, f"Your address has {admission.per_peer} connections here (gateway.http.connections_per_peer): close some", again
        ).unasked(),
        Full.ALL: problem_reply(
            503, f"{admission.in_all} connections are open (gateway.http.connections): come back in a moment", again
        ).unasked(),
    }


def _unreadable(error: BaseException | None) -> Reply:
    # The error has the offending bytes, among which may be a token.
    logger.debug("what came is not HTTP/1.1: %s", type(error).__name__)
    is_long = isinstance(error, LineTooLong)
    text = f"The address or a header is longer than {LINE_BYTES} bytes" if is_long else "This is no HTTP/1.1 request"
    reply = problem_reply(400, text)
    reply.force_close()
    return reply


_LONG = problem_reply(431, TOO_LONG)
_LATE = problem_reply(408, f"The request's head was not complete within {HEAD_S:g} s")

"""Reply: a request for events comes in; head and stream go out, for as long as the client stays."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.serve.authentication.caller import AGAIN
from gateway.serve.events.publisher import Publisher
from gateway.serve.events.stream import Stream
from gateway.serve.events.wire import MEDIA_TYPE
from gateway.serve.problems import ProblemError
from gateway.serve.queries import EventsQuery
from gateway.serve.reply import Reply

#: nginx passes on what it gets at once, instead of collecting it.
_HEADERS = {"X-Accel-Buffering": "no"}
#: So often it is looked at whether the credential that opened a stream is still one.
AGAIN_S = 10.0


class EventReply(Reply):
    """An answer without an end: the connection's is the stream's. For HEAD only its head is sent."""

    def __init__(self, publisher: Publisher, query: EventsQuery, last_event_id: str | None) -> None:
        """Args: who writes the events; what was asked for; Last-Event-ID, None: none."""
        super().__init__(b"", headers=_HEADERS, content_type=MEDIA_TYPE)
        self._publisher = publisher
        self._query = query
        self._last_event_id = last_event_id
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Send everything there ever is.

        Raises:
            ConnectionResetError: the peer is gone.
        """
        request = self._request
        if request is None or request.method == "HEAD":
            await super().write_eof(data)
            return
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        stream = self._publisher.join(transport, self._query, self._last_event_id, self._head(request))
        try:
            while not await _ended(stream, AGAIN_S):
                if not _is_admitted(request):
                    stream.end()
        finally:
            self._publisher.leave(stream)

    def _content_headers(self) -> str:
        return f"Content-Type: {self._type}\r\n"


async def _ended(stream: Stream, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            await stream.ended()
    except TimeoutError:
        return False
    return True


def _is_admitted(request: web.BaseRequest) -> bool:
    """Whether who asked would still be answered: a token may have been revoked, a certificate may have ended."""
    try:
        request[AGAIN]()
    except ProblemError:
        return False
    return True

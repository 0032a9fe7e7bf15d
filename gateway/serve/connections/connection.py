"""Connection: bytes of one connection come in; aiohttp makes requests of them, within the limits of size and time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from gateway.serve.connections.admission import Place
from gateway.serve.connections.answers import Answers, Known, is_one_head
from gateway.serve.connections.limits import (
    BODY_BYTES,
    CLOSE_S,
    HEAD_BYTES,
    HEAD_S,
    HEADERS,
    KEEP_ALIVE_S,
    KNOWN_BYTES,
    LINE_BYTES,
    LINGER_S,
    PIPELINED,
    TAKE_S,
)
from gateway.serve.connections.untaken import Untaken

if TYPE_CHECKING:
    from gateway.serve.reply import Reply


class Connection(web.RequestHandler):
    """aiohttp's side of one connection. `look` is to be called every second or so."""

    __slots__ = (
        "_answers",
        "_began",
        "_begun",
        "_body",
        "_body_bytes",
        "_connected",
        "_cut_at",
        "_head_bytes",
        "_is_between",
        "_known",
        "_own",
        "_place",
        "_untaken",
        "may_be_long",
    )

    def __init__(
        self,
        server: web.Server,
        loop: asyncio.AbstractEventLoop,
        place: Place,
        answers: Answers,
        untaken: Untaken,
        connected: set[Connection],
    ) -> None:
        """One that is accepted.

        Args:
            server: whose requests are made of it.
            loop: of the server.
            place: its own, which it leaves.
            answers: what is said without a request.
            untaken: of all connections.
            connected: in which it is from `connection_made` to `connection_lost`.
        """
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # None is how aiohttp's own run_app says: no access log
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            max_headers=HEADERS,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            # A body is what it is: a few bytes would stand for any number of them.
            auto_decompress=False,
        )
        self._max_msg_queue_size = PIPELINED
        self._msg_queue_resume_size = PIPELINED // 2
        self._place: Place | None = place
        self._answers = answers
        self._untaken = untaken
        self._connected = connected
        self._own: asyncio.Transport | None = None
        #: Clock when the head began that is not complete; None: none is.
        self._began: float | None = None
        self._head_bytes = 0
        #: Of the latest request, and how much of it came after its head.
        self._body: StreamReader = EMPTY_PAYLOAD
        self._body_bytes = 0
        #: Clock when it is cut, being closed already or having been refused; None: it is open.
        self._cut_at: float | None = None
        #: So much came at once with the latest head that it may be over the limit.
        self.may_be_long = False
        #: The reply that is sent already, to the request that aiohttp's task has next.
        self._begun: Reply | None = None
        #: All that came so far are requests, each a head that came alone and whole: nothing of another one has come yet.
        self._is_between = True
        #: The latest of them that was answered at once. Who asks the same again, as dashboards do, is not parsed again.
        self._known: Known | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first head is waited for from now on."""
        super().connection_made(transport)
        self._connected.add(self)
        self._own = self.transport
        self._began = self._loop.time()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Gives its place back."""
        super().connection_lost(exc)
        # It knows the connection, too: a circle.
        self._known = None
        self._connected.discard(self)
        self._leave()

    def data_received(self, data: bytes) -> None:
        """Answers at once what can be, and counts what is not complete."""
        before = self._request_count
        # aiohttp would wake its task for every request.
        waiter, self._waiter = self._waiter, None
        # The first request may come before that task has begun.
        is_idle = not waiter.done() if waiter is not None else not before
        known = self._known if is_idle and self._is_between and self._known is not None and self._known.data == data else None
        try:
            if known is not None:
                self._request_count += 1
                self._messages.append((known.message, EMPTY_PAYLOAD))
            else:
                super().data_received(data)
                self._is_between = self._is_between and self._request_count == before + 1 and is_one_head(data)
        finally:
            self._waiter = waiter
        if self._request_count != before:
            self.may_be_long = self._head_bytes + len(data) > HEAD_BYTES
            self._body = self._messages[-1][1]
            self._began = None
            self._head_bytes = self._body_bytes = 0
            if is_idle and not self._answered_at_once(known or self._understood(data)) and waiter is not None:
                waiter.set_result(None)
        elif data:
            self._go_on(len(data))

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,  # noqa: ARG002 - it is always 400: what a handler raises is answered before
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it has the offending bytes, which stay here
    ) -> web.StreamResponse:
        """Called by aiohttp for what is not HTTP."""
        return cast("web.StreamResponse", self._answers.unreadable(exc))

    def begun(self) -> Reply | None:
        """What was sent already, to be called once for each request; None: nothing was."""
        begun, self._begun = self._begun, None
        return begun

    async def taken(self, transport: asyncio.Transport, body: bytes) -> None:
        """Wait until the peer has taken an answer, but for what the transport keeps below its low water.

        Raises:
            ConnectionResetError: it did not within the time.
        """
        self._untaken.begin(transport, body)
        try:
            async with asyncio.timeout(TAKE_S):
                await self._drain_helper()
        except TimeoutError as error:
            transport.abort()
            raise ConnectionResetError from error
        finally:
            self._untaken.end(transport)

    def look(self, now: float) -> None:
        """End it if it is too slow."""
        transport = self._own
        if transport is None:
            return
        if self._cut_at is not None:
            if now >= self._cut_at:
                transport.abort()
        elif transport.is_closing():
            self._cut_at = now + CLOSE_S
        elif self.idle_since is not None and self._began is not None and now - self._began >= HEAD_S:
            if self._head_bytes:
                self._refuse(self._answers.late)
            else:
                self.force_close()

    @property
    def idle_since(self) -> float | None:
        """Clock when its latest request was answered, or it connected; None: one is being answered, or it is closing."""
        if self._waiter is None or self._messages or self.transport is None:
            return None
        return self._next_keepalive_close_time - KEEP_ALIVE_S

    @property
    def peer(self) -> str:
        """As admission has it; "": it has left."""
        return self._place.peer if self._place is not None else ""

    def cut(self) -> None:
        """End it at once, whatever it is at."""
        self._leave()
        self.force_close()
        if self._own is not None:
            self._own.abort()

    def _understood(self, data: bytes) -> Known | None:
        """The request that has come, if it is the only one, has no body, and is of a size that is allowed; None: it is not."""
        message, payload = self._messages[0]
        if len(self._messages) > 1 or payload is not EMPTY_PAYLOAD or not isinstance(message, RawRequestMessage):
            return None
        if self._upgraded or self.may_be_long:
            return None
        # Only aiohttp's task has a use for the last two.
        return Known(data, message, web.BaseRequest(message, payload, self, None, None, self._loop))  # type: ignore[arg-type]

    def _answered_at_once(self, known: Known | None) -> bool:
        """Whether a request, which came while none was being answered, needs nothing of aiohttp's task."""
        manager, parser, transport = self._manager, self._parser, self.transport
        if known is None or manager is None or parser is None or transport is None or transport.is_closing():
            return False
        reply = self._answers.at_once(known.request)
        if reply is None:
            return False
        reply.send(known.request)
        if self.writing_paused or not reply.keep_alive:
            # Waiting until it is taken, and the end, are what that task does.
            self._begun = reply
            return False
        manager.requests_count += 1
        parser.message_consumed()
        self._messages.clear()
        self._next_keepalive_close_time = self._loop.time() + KEEP_ALIVE_S
        if self._is_between and len(known.data) <= KNOWN_BYTES:
            self._known = known
        return True

    def _leave(self) -> None:
        if self._place is not None:
            self._place.leave()
            self._place = None

    def _go_on(self, size: int) -> None:
        """More of a body, or of a head that is not complete yet."""
        if not self._body.is_eof():
            self._body_bytes += size
            if self._body_bytes > BODY_BYTES:
                self._stop_reading()
            return
        if self._began is None:
            self._began = self._loop.time()
        self._head_bytes += size
        if self._head_bytes > HEAD_BYTES:
            if self.idle_since is None:
                self._stop_reading()
            else:
                self._refuse(self._answers.long)

    def _refuse(self, answer: bytes) -> None:
        """Nothing is being answered: the peer is told. What it still sends is thrown away, or it would see a reset instead."""
        transport = self._own
        if transport is None or transport.is_closing():
            return
        self.close()
        transport.write(answer)
        if transport.can_write_eof():
            transport.write_eof()
        self._cut_at = self._loop.time() + LINGER_S

    def _stop_reading(self) -> None:
        """What is being answered is the last."""
        self.close()
        self._pause_reading_for_buffer()

"""Acceptor: a listening socket comes in; its connections go out to a protocol each, those over the limits to their end.

They are counted before anything is read of them, a TLS handshake included.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic

from gateway.serve.connections.admission import Admission, Full, Place
from gateway.serve.connections.limits import ACCEPT_AGAIN_S, HEAD_S, RECEIVE_BYTES, TURNED_AWAY
from gateway.serve.connections.turned_away import TurnedAway

#: Accepted in one turn of the loop; several processes may share the socket.
_BATCH = 32
#: What happens at a limit is logged once in this time.
_LOG_S = 60.0

logger = logging.getLogger(__name__)


class Acceptor:
    """Of one listening socket, which it closes in the end."""

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[Place], asyncio.Protocol],
        admission: Admission,
        answers: Mapping[Full, bytes],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Accepts from now on, within a running loop.

        Args:
            listener: listens already.
            protocol: of a connection that is in; from `connection_lost` on it has left its place.
            admission: who may come in.
            answers: what they get who may not, unless they would have to be told by TLS.
            tls: the context of each connection; None: they are not encrypted.
        """
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._admission = admission
        self._answers = answers
        self._tls = tls
        self._opening: set[asyncio.Task[None]] = set()
        self._turned_away: set[TurnedAway] = set()
        self._again: asyncio.TimerHandle | None = None
        self._log_at = {Full.PEER: 0.0, Full.ALL: 0.0, None: 0.0}
        listener.setblocking(False)
        self._loop.add_reader(listener, self._accept)

    def close(self) -> None:
        """Nothing more is accepted; connections that are in stay."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        for task in self._opening:
            task.cancel()
        for each in tuple(self._turned_away):
            each.close()

    def _accept(self) -> None:
        for _ in range(_BATCH):
            try:
                peer, address = self._listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._pause(error)
                return
            peer.setblocking(False)
            place = self._admission.enter(address[0])
            if isinstance(place, Full):
                self._turn_away(peer, address[0], place)
            else:
                task = self._loop.create_task(self._open(peer, place), name="open a connection")
                self._opening.add(task)
                task.add_done_callback(partial(self._opened, peer, place))

    async def _open(self, peer: socket.socket, place: Place) -> None:
        """Until the protocol has it."""
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        protocol = self._protocol(place)
        if self._tls is None:
            await self._loop.connect_accepted_socket(lambda: protocol, peer)
        else:
            await self._loop.connect_accepted_socket(lambda: protocol, peer, ssl=self._tls, ssl_handshake_timeout=HEAD_S)

    def _opened(self, peer: socket.socket, place: Place, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None and not task.cancelled():
            return
        # Stopped before it began; or it is not TLS, too slow, or gone.
        peer.close()
        place.leave()
        if isinstance(error, OSError):
            logger.debug("a connection of %s did not come about: %s", place.peer, error)
        elif error is not None:
            logger.error("a connection of %s could not be opened", place.peer, exc_info=error)

    def _turn_away(self, peer: socket.socket, address: str, full: Full) -> None:
        if full is Full.PEER:
            self._log(
                full,
                "%s has %d connections, gateway.http.connections_per_peer: more are refused",
                address,
                self._admission.per_peer,
            )
        else:
            self._log(
                full,
                "%d connections are open, gateway.http.connections or what open files allow: more are refused",
                self._admission.in_all,
            )
        if self._tls is not None or len(self._turned_away) >= TURNED_AWAY:
            peer.close()
        else:
            TurnedAway(peer, self._answers[full], self._turned_away)

    def _pause(self, error: OSError) -> None:
        """Out of descriptors or memory: tried at once it would be tried for ever. Connects wait in the backlog meanwhile."""
        self._log(None, "no connection can be accepted now: %s", error.strerror)
        self._loop.remove_reader(self._listener)
        self._again = self._loop.call_later(ACCEPT_AGAIN_S, self._loop.add_reader, self._listener, self._accept)

    def _log(self, what: Full | None, text: str, *values: object) -> None:
        now = monotonic()
        if now >= self._log_at[what]:
            self._log_at[what] = now + _LOG_S
            logger.warning(text, *values)

"""Turned away: a connection over the limits comes in; it gets its answer once it asked, and ends.

Answered before it asks, or closed while it still sends, it would see a reset instead of the answer.
"""

from __future__ import annotations

import asyncio
import socket

from gateway.serve.connections.limits import TURNED_AWAY_S

_READ_BYTES = 64 * 1024


class TurnedAway:
    """One of them; it holds its socket until `closed` is called."""

    def __init__(self, peer: socket.socket, answer: bytes, closed: set[TurnedAway]) -> None:
        """Args: not blocking; what it gets; those that are held, from which it goes when it is closed."""
        self._peer = peer
        self._answer = answer
        self._held = closed
        self._loop = asyncio.get_running_loop()
        self._held.add(self)
        self._loop.add_reader(peer, self._read)
        self._end = self._loop.call_later(TURNED_AWAY_S, self.close)

    def close(self) -> None:
        """Whatever it got."""
        self._end.cancel()
        self._loop.remove_reader(self._peer)
        self._peer.close()
        self._held.discard(self)

    def _read(self) -> None:
        try:
            if not self._peer.recv(_READ_BYTES):
                self.close()
            elif self._answer:
                self._peer.send(self._answer)
                self._answer = b""
                self._peer.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()

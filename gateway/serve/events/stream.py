"""Stream: one client's connection and place in the log; what is for it comes in, and is written as far as there is room."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from gateway.serve.events.selection import Selection

#: What a client may have left untaken in this process; it gets nothing more until there is room. In the kernel, as much again.
CLIENT_BYTES = 256 * 1024
#: A client that takes nothing of it for so long is disconnected, …
STALLED_S = 60.0
#: … so is one that acknowledges nothing of what the kernel sends, …
VANISHED_MS = 90_000
#: … and one that was told to begin anew, if it has not taken that within this time.
CLOSING_S = 10.0


class Stream:
    """One client."""

    def __init__(
        self,
        transport: asyncio.Transport,
        selection: Selection,
        place: int,
        now: float,
        *,
        scheduler: bool,
        health: bool,
        drains: bool = False,
    ) -> None:
        """Args: an open connection; what it is shown; where it begins; the clock; what it is told beside."""
        self._transport = transport
        self.selection = selection
        #: In the log: everything before it was written, or is not for this client.
        self.place = place
        self.wants_scheduler = scheduler
        self.wants_health = health
        self.wants_drains = drains
        #: The blocks that it was told last; None: none.
        self.scheduler: bytes | None = None
        self.health: bytes | None = None
        #: Of drain news: what it was told, and what there was when it came.
        self.drains = self.drains_joined = 0
        #: Clock when it was last told where to come back to.
        self.told_at = now
        #: Clock when it last took something, or had nothing to take; how much it had not taken then.
        self._took_at = now
        self._untaken = 0
        self._over = asyncio.Event()
        own = transport.get_extra_info("socket")
        if own is not None:
            # By itself the kernel takes megabytes, and finds out after a quarter of an hour that a peer has vanished.
            own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, CLIENT_BYTES)
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, VANISHED_MS)

    @property
    def is_open(self) -> bool:
        """It may be written to."""
        return not self._transport.is_closing() and not self._over.is_set()

    def untaken(self, now: float) -> int:
        """Bytes that wait for the client; to be asked whenever it is looked at."""
        untaken = self._transport.get_write_buffer_size()
        if not untaken or untaken < self._untaken:
            self._took_at = now
        self._untaken = untaken
        return untaken

    def is_stalled(self, now: float) -> bool:
        """It has had something to take for so long, and took nothing."""
        return now - self._took_at > STALLED_S

    def write(self, parts: Sequence[bytes]) -> None:
        """All at once; the stream is open."""
        if len(parts) == 1:
            self._transport.write(parts[0])
        else:
            self._transport.writelines(parts)
        self._untaken = self._transport.get_write_buffer_size()

    def end(self) -> None:
        """Nothing more comes; what was written is still sent, within a time."""
        if not self._over.is_set():
            self._over.set()
            asyncio.get_running_loop().call_later(CLOSING_S, self._transport.abort)

    def cut(self) -> None:
        """End it, whatever was written."""
        self._over.set()
        self._transport.abort()

    async def ended(self) -> None:
        """Wait until nothing more comes."""
        await self._over.wait()

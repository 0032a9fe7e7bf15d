"""The record link: readers of the ring on a unix socket, and over TCP where that is wanted, each at its own position.

Nobody waits for a reader. It is written as much as its socket takes and the rest stays in the ring; what has left the ring
before the reader came for it is a Gap and the open streams' state.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from gateway.errors import StartError
from gateway.tap import records
from gateway.tap.journal import Journal
from gateway.tap.remote import RemoteListener
from gateway.tap.requests import RequestFrames, read_acknowledgement, read_request
from gateway.tap.ring import Ring
from gateway.tap.wire import MalformedError

_log = logging.getLogger(__name__)

#: More readers than any installation has.
_MAX_READERS = 64
#: What may wait in a reader's transport, besides one stretch; the rest waits in the ring.
_WRITE_BUFFER_BYTES = 256 * 1024
#: Stretches written to one reader before others get their turn.
_STRETCHES = 4
#: Encoded state that is written at once.
_STATE_BYTES = 64 * 1024


class _Reader(asyncio.Protocol):
    """One reader."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ring = link.ring
        self._transport: asyncio.Transport | None = None
        self._frames = RequestFrames()
        #: It has said what it wants.
        self.reads = False
        self._paused = False
        #: Where it is.
        self.position = 0
        self._sequence = 0
        #: Up to there it has said that it is done; None: it has said nothing.
        self._acknowledged: int | None = None
        #: State that is being said before the records go on.
        self._state: Iterator[bytes] | None = None
        self._handle: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_WRITE_BUFFER_BYTES)
        if not self._link.add(self):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - how a reader leaves is its own affair
        self._transport = None
        self._link.discard(self)
        if self._handle is not None:
            self._handle.cancel()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self.pump()

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                if self.reads:
                    self._acknowledge(read_acknowledgement(message))
                else:
                    self._begin(*read_request(message))
        except MalformedError as error:
            self._refuse(str(error))

    def _acknowledge(self, sequence: int) -> None:
        if sequence < (self._acknowledged or 0):
            raise MalformedError("an Acknowledgement that takes one back")
        self._acknowledged = sequence

    @property
    def behind_bytes(self) -> int:
        """What it was not written or, if it acknowledges, what it has not acknowledged and is still here."""
        if not self.reads:
            return 0
        ring = self._ring
        position = self.position
        if self._acknowledged is not None:
            acknowledged = ring.position_of(self._acknowledged + 1)
            position = min(position, ring.start if acknowledged is None else acknowledged)
        return ring.end - position

    def _refuse(self, why: str) -> None:
        """Ends a reader that does not keep to the protocol."""
        _log.warning("a reader of the record link does not keep to its protocol: %s", why)
        if self._transport is not None:
            self._transport.abort()

    def _begin(self, run: str, next_sequence: int) -> None:
        ring, journal = self._ring, self._link.journal
        self.reads = True
        self._write(records.encode(1, journal.monotonic_ns, 0, 0, records.RUN_STARTED, journal.started))
        is_new = run != journal.run
        # RunStarted has just been said.
        wanted = 2 if is_new else max(next_sequence, 2)
        position = ring.position_of(wanted)
        if position is None:
            self._lose_place(wanted)
        elif is_new and run:
            self._say_state()
            self.position, self._sequence = position, wanted
        else:
            self.position, self._sequence = position, min(wanted, ring.next_sequence)
        self.pump()

    def _lose_place(self, wanted: int) -> None:
        """What the reader wants next is gone."""
        state = self._ring.state
        self._link.gaps += 1
        self._write(records.encode(state.sequence, state.monotonic_ns, 0, 0, records.GAP, records.gap(wanted, state.sequence)))
        self._say_state()
        self.position, self._sequence = self._ring.start, self._ring.first_sequence

    def _say_state(self) -> None:
        self._state = self._ring.state.snapshot()

    def pump(self) -> None:
        """Writes what there is, as much as the socket takes."""
        if not self.reads or self._handle is not None:
            return
        for _ in range(_STRETCHES):
            if self._paused or self._transport is None:
                return
            if not self._write_some():
                if self._link.is_ending:
                    self.close()
                return
        self._handle = asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._handle = None
        self.pump()

    def _write_some(self) -> bool:
        """Writes the next stretch; False: there is none."""
        if self._state is not None:
            said = _take(self._state, _STATE_BYTES)
            if said:
                self._write(said)
                return True
            self._state = None
        if self.position < self._ring.start:
            self._lose_place(self._sequence)
            return True
        stretch = self._ring.read(self.position)
        if stretch is None:
            return False
        self.position, self._sequence = stretch.position, stretch.sequence
        self._write(stretch.data)
        return True

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Ends the reader after what it was already written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends the reader at once."""
        if self._transport is not None:
            self._transport.abort()


def _take(state: Iterator[bytes], count: int) -> bytes:
    taken = bytearray()
    for each in state:
        taken += each
        if len(taken) >= count:
            break
    return bytes(taken)


class Link:
    """The sockets and their readers."""

    def __init__(self, path: Path, ring: Ring, journal: Journal, remote: RemoteListener | None = None) -> None:
        """`remote`: for readers on other machines."""
        self._remote = remote
        self.ring = ring
        self.journal = journal
        self._path = path
        self._readers: set[_Reader] = set()
        #: There are no readers.
        self._empty = asyncio.Event()
        self._empty.set()
        self._server: asyncio.Server | None = None
        #: Times that a reader was told Gap.
        self.gaps = 0
        #: Nothing more will come: who has everything may go.
        self.is_ending = False

    @property
    def readers(self) -> int:
        """Those that are connected."""
        return len(self._readers)

    @property
    def behind_bytes(self) -> int:
        """Of the reader furthest behind (`_Reader.behind_bytes`)."""
        return max((reader.behind_bytes for reader in self._readers), default=0)

    async def start(self) -> None:
        """Listens.

        Raises:
            StartError: A socket cannot be there.
        """
        bound = _bind(self._path)
        self._server = await asyncio.get_running_loop().create_unix_server(lambda: _Reader(self), sock=bound)
        if self._remote is not None:
            self._remote.start(lambda: _Reader(self))

    def add(self, reader: _Reader) -> bool:
        """A reader connected; False: there are too many."""
        if len(self._readers) >= _MAX_READERS:
            _log.warning("more than %d readers of the record link", _MAX_READERS)
            return False
        self._readers.add(reader)
        self._empty.clear()
        return True

    def discard(self, reader: _Reader) -> None:
        """A reader is gone."""
        self._readers.discard(reader)
        if not self._readers:
            self._empty.set()

    def wake(self) -> None:
        """There may be new records."""
        for reader in list(self._readers):
            reader.pump()

    async def stop(self, within_s: float) -> None:
        """Lets readers have everything that is there, for so long, and ends."""
        if self._server is not None:
            self._server.close()
        if self._remote is not None:
            await self._remote.stop()
        self.is_ending = True
        for reader in list(self._readers):
            if reader.reads:
                reader.pump()
            else:
                reader.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        for reader in list(self._readers):
            reader.abort()
        with contextlib.suppress(OSError):
            self._path.unlink()


def _bind(path: Path) -> socket.socket:
    """A listening unix socket that only this user can open, in the place of a stale one."""
    if path.exists() and not path.is_socket():
        raise StartError(f"gateway.state_dir: {path} is in the way and not a socket")
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        bound.bind(str(path))
        # Nobody can connect before listen().
        path.chmod(0o600)
        bound.listen(_MAX_READERS)
    except OSError as error:
        bound.close()
        raise StartError(f"gateway.state_dir: the record link {path} cannot be made: {error.strerror or error}") from None
    return bound

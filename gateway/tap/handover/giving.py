"""The process that has the connections: a successor asks on a unix socket, and everything goes to it, or nothing does.

One at a time. Whatever a successor does or leaves undone, forwarding stands still for a second at most, and goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

from gateway.tap.handover import channel
from gateway.tap.handover.channel import Channel, ChannelError, Kind, SilentError, other_process
from gateway.tap.handover.messages import PROTOCOL, Hello, MessageError, State, encode_open_state
from gateway.tap.intake import Intake
from gateway.tap.journal import Journal
from gateway.tap.link import Link
from gateway.tap.listener import TapListener
from gateway.tap.moving import Moving
from gateway.tap.snapshot import Snapshot, dump, uncollected

_log = logging.getLogger(__name__)

#: How long forwarding stands still at most.
PAUSE_S = 1.0
#: Of that: decoding what waits, and the answer to COMMIT at the least.
_DECODE_S = 0.25
_ANSWER_S = 0.2
#: How long a successor may take to get ready while traffic goes on: it reads the whole ring.
_PREPARATION_S = 30.0
#: How long to wait for a moment at which no connection is between two states: they are so for a turn or two of the loop.
_SETTLING_S = 0.5
#: How long to wait for a moment at which upstream is not being dialled. After that it is dialled again, and sees a connection that
#: ends without a word.
_DIALLING_S = 0.2


@dataclass(frozen=True, slots=True)
class Running:
    """What a tap process is made of."""

    hello: Hello
    journal: Journal
    intake: Intake
    link: Link
    #: By name.
    taps: Mapping[str, TapListener]
    sockets: Mapping[str, socket.socket]


class Giver:
    """Waits for a successor. When it has taken over, `leave` is called, which does not return."""

    def __init__(self, path: Path, running: Running, leave: Callable[[], None]) -> None:
        self._path = path
        self._running = running
        self._leave = leave
        self._socket: socket.socket | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listens. A tap that cannot hand over is still a tap: that is told and no error."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._path.unlink(missing_ok=True)
            sock.bind(str(self._path))
            # Nobody can connect before listen().
            self._path.chmod(0o600)
            sock.listen(1)
        except OSError as error:
            sock.close()
            _log.warning("no successor can take over: %s cannot be made: %s", self._path, error.strerror or error)
            return
        self._socket = sock
        self._task = asyncio.get_running_loop().create_task(self._serve(sock), name="hand over")

    async def stop(self) -> None:
        """Listens no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def _serve(self, listening: socket.socket) -> None:
        while True:
            sock, _ = await asyncio.get_running_loop().sock_accept(listening)
            with sock:
                sock.setblocking(False)
                try:
                    await self._give(sock)
                except (ChannelError, MessageError, TimeoutError) as error:
                    why = str(error) or f"the successor was not ready within {_PREPARATION_S:g} s"
                    _log.warning("not handed over, going on: %s", why)
                    _refuse(sock, why)
                except Exception:  # the tap goes on whatever fails here  # noqa: BLE001 - P1
                    _log.exception("not handed over, going on")
                    _refuse(sock, "a defect of the running tap; its log says more")

    async def _give(self, sock: socket.socket) -> None:
        pid = other_process(sock)
        running = self._running
        async with asyncio.timeout(_PREPARATION_S):
            _, said = await channel.receive(sock, Kind.HELLO)
            hello = Hello.decode(said)
            _check(hello, running.hello)
            _log.info("process %d, release %s, wants to take over", pid, hello.release)
            await channel.send(sock, Kind.HELLO, running.hello.encode())
            reads_on = hello.layout == running.hello.layout
            position = await self._send_ring(sock) if reads_on else 0
            await channel.send(sock, Kind.PREPARED)
            await channel.receive(sock, Kind.PREPARED)
            await self._settle()
        with uncollected():
            self._hand_over(sock, pid, position, reads_on=reads_on)

    async def _send_ring(self, sock: socket.socket) -> int:
        """Sends what the ring has; up to which position."""
        ring = self._running.link.ring
        position = ring.start
        await channel.send(sock, Kind.OPEN_STATE, encode_open_state(position, ring.first_sequence, dump(ring.state)))
        while True:
            if position < ring.start:
                raise ChannelError("records come faster than the successor reads them")
            stretch = ring.read(position)
            if stretch is None:
                return position
            await channel.send(sock, Kind.RECORDS, stretch.data)
            position = stretch.position

    async def _settle(self) -> None:
        """While traffic goes on."""
        taps = self._running.taps.values()
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + _SETTLING_S:
            is_dialling = loop.time() < began + _DIALLING_S and any(tap.is_dialling for tap in taps)
            if not is_dialling and all(tap.is_settled for tap in taps):
                return
            await asyncio.sleep(0)
        raise ChannelError("connections come and go too fast")

    def _hand_over(self, sock: socket.socket, pid: int, position: int, *, reads_on: bool) -> None:
        """In one turn of the loop, so that nothing is read, written, accepted or closed meanwhile."""
        paused_ns = monotonic_ns()
        talk = Channel(sock)
        talk.within(PAUSE_S)
        running = self._running
        if not running.intake.catch_up(_DECODE_S):
            raise ChannelError(f"more waits to be decoded than can be in {_DECODE_S:g} s")
        connections = [moving for tap in running.taps.values() for moving in tap.moving()]
        state = State(
            paused_ns,
            list(running.sockets),
            connections,
            self._records_since(position) if reads_on else b"",
        )
        talk.send(Kind.STATE, state.encode())
        talk.send_descriptors([*(each.fileno() for each in running.sockets.values()), *_descriptors(connections)])
        if reads_on:
            # The successor makes sockets of its descriptors meanwhile.
            talk.send(Kind.DECODERS, self._snapshot())
        talk.receive(Kind.READY)
        _commit(talk, pid, PAUSE_S - (monotonic_ns() - paused_ns) / 1e9)
        left_behind = sum(len(tap.decoders) for tap in running.taps.values()) - len(connections)
        if left_behind:
            _log.warning("%d connections end: they have TLS, which cannot be handed over", left_behind)
        _log.info("process %d has taken over %d connections", pid, len(connections))
        self._leave()

    def _records_since(self, position: int) -> bytes:
        ring = self._running.link.ring
        if position < ring.start:
            raise ChannelError("records come faster than the successor reads them")
        found = []
        while (stretch := ring.read(position)) is not None:
            found.append(stretch.data)
            position = stretch.position
        return b"".join(found)

    def _snapshot(self) -> bytes:
        running = self._running
        delays = running.intake.delays
        decoders = {decoder.number: decoder for tap in running.taps.values() for decoder in tap.decoders}
        return dump(Snapshot(running.journal, decoders, (delays.counts, delays.sum_ns), running.link.gaps))


def _check(successor: Hello, ours: Hello) -> None:
    if successor.protocol != PROTOCOL:
        raise ChannelError(f"release {ours.release} cannot hand over to release {successor.release}: stop it, then start the other")
    if successor.supervised != ours.supervised:
        keeper = "the gateway's supervisor keeps this tap: use run --take-over" if ours.supervised else "this tap runs alone"
        raise ChannelError(keeper)
    if successor.taps != ours.taps:
        raise ChannelError("gateway.taps is not what it was; names, addresses and what is carried change at a restart only")


def _descriptors(connections: list[Moving]) -> list[int]:
    return [side.descriptor for each in connections for side in each.sides]


def _commit(talk: Channel, pid: int, left_s: float) -> None:
    """From here on the sockets are the successor's, unless it is gone without having touched one.

    Raises:
        ChannelError: It is.
    """
    talk.send(Kind.COMMIT)
    talk.within(max(left_s, _ANSWER_S))
    try:
        talk.receive(Kind.GOING)
    except SilentError:
        # It has touched nothing before it says so, and will not after this. It has not closed its socket: the pid is still its own.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        talk.within(PAUSE_S)
        talk.receive(Kind.GOING)


def _refuse(sock: socket.socket, why: str) -> None:
    """As far as the successor listens."""
    talk = Channel(sock)
    talk.within(_ANSWER_S)
    with contextlib.suppress(ChannelError):
        talk.send(Kind.REFUSED, why.encode())

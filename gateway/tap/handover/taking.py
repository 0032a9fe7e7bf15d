"""The process that gets the connections: it asks the one that has them, restores everything, and goes on.

It blocks, since until it goes on it has nothing else to do; each wait has an end.
"""

from __future__ import annotations

import logging
import os
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns

from gateway.config.types import TapLimits
from gateway.errors import StartError
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.handover.channel import Channel, ChannelError, Kind, RefusedError, other_process
from gateway.tap.handover.messages import PROTOCOL, Hello, MessageError, State, decode_open_state
from gateway.tap.journal import Journal
from gateway.tap.moving import Moving, Reading
from gateway.tap.records import BY_TAP, HANDED_OVER
from gateway.tap.ring import Ring
from gateway.tap.snapshot import Snapshot, SnapshotError, load_open_state, load_run, uncollected

_log = logging.getLogger(__name__)

#: For one answer: the other process gives up long before.
_ANSWER_S = 10.0
#: For a process to be gone that closed its socket.
_END_S = 0.5
_OTHER_LAYOUT = "it was handed over by a release whose decoders are different"


@dataclass(frozen=True, slots=True)
class Connection:
    """One that goes on here."""

    moved: Moving
    decoder: ConnectionDecoder
    #: Of `moved.sides`.
    socks: list[socket.socket]


class Taken:
    """Everything that another process had, and still has until `go`."""

    def __init__(
        self, talk: Channel, predecessor: _Predecessor, state: State, socks: list[socket.socket], run: tuple[Snapshot, Ring] | None
    ) -> None:
        self._talk = talk
        self._predecessor = predecessor
        self._state = state
        #: Sockets that listen, by the tap's name.
        self.listeners = dict(zip(state.listeners, socks, strict=False))
        self._socks = socks[len(state.listeners) :]
        #: The run that goes on; None: another one begins, since the layouts differ.
        self.run = run

    def connections(self, journal: Journal) -> list[Connection]:
        """All of them, with decoders of this process: those that were handed over, or new ones."""
        socks = iter(self._socks)
        return [
            Connection(moved, self._decoder(moved, journal), [next(socks) for _ in moved.sides])
            for moved in self._state.connections
        ]

    def _decoder(self, moved: Moving, journal: Journal) -> ConnectionDecoder:
        if self.run is not None:
            return self.run[0].decoders[moved.number]
        decoder = journal.accepted(moved.listener, moved.peer)
        now = monotonic_ns()
        decoder.opened(now)
        if moved.reading in {Reading.READ, Reading.BLIND}:
            decoder.blind(now, HANDED_OVER, _OTHER_LAYOUT)
        elif moved.reading is Reading.IGNORED:
            decoder.ignore()
        return decoder

    def end_others(self) -> None:
        """What could not move has ended."""
        if self.run is not None:
            decoders = self.run[0].decoders
            for number in decoders.keys() - {moved.number for moved in self._state.connections}:
                decoders[number].closed(monotonic_ns(), BY_TAP, reset=False)

    def go(self) -> None:
        """Takes over: from here on the other process touches nothing, and this one may.

        Raises:
            StartError: It is not to be. The other process goes on.
        """
        self._talk.within(_ANSWER_S)
        try:
            # What it says matters, whether or not it still listens.
            with suppress(ChannelError):
                self._talk.send(Kind.READY)
            self._talk.receive(Kind.COMMIT)
        except RefusedError as error:
            raise StartError(f"--take-over: {error}: the running tap goes on") from error
        except ChannelError as error:
            # It died standing still: its sockets are as they were when it described them, and nobody else goes on with them.
            if not self._predecessor.is_gone(_END_S):
                raise StartError(f"--take-over: {error}: the running tap goes on") from error
            _log.warning("the process before this one died while it handed over")
        else:
            with suppress(ChannelError):
                self._talk.send(Kind.GOING)
        self._talk.close()
        self._predecessor.close()

    def say(self) -> None:
        """All connections are made."""
        paused_ms = (monotonic_ns() - self._state.paused_ns) / 1e6
        count = len(self._state.connections)
        _log.info("took over %d connections from process %d, %.0f ms standing still", count, self._predecessor.pid, paused_ms)
        if self.run is None and count:
            _log.warning("connections on which something was said before are forwarded and not read: %s", _OTHER_LAYOUT)


class _Predecessor:
    """The process that has the connections."""

    def __init__(self, sock: socket.socket) -> None:
        self.pid = other_process(sock)
        try:
            self._descriptor = os.pidfd_open(self.pid)
        except OSError as error:
            raise ChannelError(f"process {self.pid} cannot be watched: {error.strerror}") from error

    def close(self) -> None:
        """Watches it no more."""
        os.close(self._descriptor)

    def is_gone(self, within_s: float) -> bool:
        """Waits for its end."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return bool(poll.poll(within_s * 1000))


def take(path: Path, ours: Hello, limits: TapLimits) -> Taken:
    """Gets everything from the process that answers at `path`, and restores it. Nothing happens to a connection.

    Raises:
        StartError: There is none, or it does not hand over.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(_ANSWER_S)
    try:
        sock.connect(str(path))
    except OSError as error:
        raise StartError(f"--take-over: nobody hands over at {path}: {error.strerror or error}") from error
    talk = Channel(sock)
    try:
        with uncollected():
            return _take(talk, _Predecessor(sock), ours, limits)
    except (ChannelError, MessageError, SnapshotError) as error:
        talk.within(_END_S)
        _refuse(talk, str(error))
        raise StartError(f"--take-over: {error}: the running tap goes on") from error


def _take(talk: Channel, predecessor: _Predecessor, ours: Hello, limits: TapLimits) -> Taken:
    talk.within(_ANSWER_S)
    talk.send(Kind.HELLO, ours.encode())
    _, said = talk.receive(Kind.HELLO)
    theirs = Hello.decode(said)
    if theirs.protocol != PROTOCOL:
        raise ChannelError(f"release {theirs.release} cannot hand over to release {ours.release}")
    ring = Ring(limits.ring_bytes)
    reads_on = theirs.layout == ours.layout
    if reads_on:
        _, said = talk.receive(Kind.OPEN_STATE)
        position, sequence, open_state = decode_open_state(said)
        ring.resume(load_open_state(open_state), position, sequence)
    while True:
        talk.within(_ANSWER_S)
        kind, said = talk.receive(Kind.RECORDS, Kind.PREPARED)
        if kind is Kind.PREPARED:
            break
        ring.extend(said)
    talk.send(Kind.PREPARED)
    _, said = talk.receive(Kind.STATE)
    state = State.decode(said)
    # Type and protocol are known; otherwise the system is asked for each.
    socks = [socket.socket(-1, socket.SOCK_STREAM, 0, each) for each in talk.receive_descriptors(state.descriptors)]
    ring.extend(state.records)
    run = None
    if reads_on:
        _, said = talk.receive(Kind.DECODERS)
        found = load_run(said)
        missing = {moved.number for moved in state.connections} - found.decoders.keys()
        if missing:
            raise ChannelError(f"connections without decoders: {sorted(missing)[:10]}")
        run = found, ring
    return Taken(talk, predecessor, state, socks, run)


def _refuse(talk: Channel, why: str) -> None:
    """As far as the other process listens."""
    with suppress(ChannelError):
        talk.send(Kind.REFUSED, why.encode())

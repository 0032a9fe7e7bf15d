"""The tap as a process: configuration and listening sockets in, forwarded connections and the record link out, until it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gateway import __version__
from gateway.config.types import Address, Config, Tap
from gateway.errors import StartError
from gateway.tap.handover.giving import Giver, Running
from gateway.tap.handover.messages import PROTOCOL, Hello, taps_of
from gateway.tap.handover.taking import Taken, take
from gateway.tap.handshake import TapTls, certificates, keep_current
from gateway.tap.intake import Intake
from gateway.tap.journal import Journal
from gateway.tap.link import Link
from gateway.tap.listener import TapListener
from gateway.tap.records import Listener, ProcessTotals
from gateway.tap.remote import RemoteListener
from gateway.tap.ring import Ring
from gateway.tap.room import Room, connections_that_fit
from gateway.tap.snapshot import layout, uncollected

_log = logging.getLogger(__name__)

#: Connects that wait while a tap is restarted.
_BACKLOG = 4096
#: How long open connections, and then readers, get to take what they were told when the tap stops.
_STOP_S = 0.5
#: After the record link could not be made.
_AGAIN_S = 1.0
_NONE_GIVEN: Mapping[str, socket.socket] = {}


def bind(config: Config, process: int = 0, given: Mapping[str, socket.socket] = _NONE_GIVEN) -> dict[str, socket.socket]:
    """Binds every tap's listener of one process and listens: name -> socket. The sockets are the caller's, who gives them to `run`.

    Where there are several processes, they share their ports (SO_REUSEPORT), and only then. What is given listens already.

    Raises:
        StartError: An address cannot be had, or a certificate not used; none is bound then.
    """
    certificates(config.taps)
    if config.record_link.listen is not None:
        RemoteListener(config.record_link, process).check()
    bound = _bind_all([tap for tap in config.taps if tap.name not in given], is_shared=config.tap.processes > 1)
    return {**given, **bound}


def bind_processes(config: Config, given: Mapping[str, socket.socket] = _NONE_GIVEN) -> list[dict[str, socket.socket]]:
    """As `bind`, for every process. A port that anybody else has is not shared.

    Raises:
        StartError: As of `bind`.
    """
    with contextlib.ExitStack() as stack:
        if config.tap.processes > 1:
            for tap in config.taps:
                _bind(tap, tap.listen, is_shared=False, listens=False).close()
        found: list[dict[str, socket.socket]] = []
        taps = config.taps
        for process in range(config.tap.processes):
            sockets = bind(replace(config, taps=taps), process, given)
            for sock in sockets.values():
                stack.enter_context(sock)
            found.append(sockets)
            # Where the system was to choose a port, all have the same.
            taps = tuple(replace(tap, listen=Address(tap.listen.host, sockets[tap.name].getsockname()[1])) for tap in taps)
        stack.pop_all()
        return found


def _bind_all(taps: Sequence[Tap], *, is_shared: bool) -> dict[str, socket.socket]:
    bound: dict[str, socket.socket] = {}
    try:
        for tap in taps:
            bound[tap.name] = _bind(tap, tap.listen, is_shared=is_shared, listens=True)
    except StartError:
        for sock in bound.values():
            sock.close()
        raise
    return bound


def _bind(tap: Tap, listen: Address, *, is_shared: bool, listens: bool) -> socket.socket:
    setting = f"gateway.taps[{tap.name}].listen: {listen}"
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"{setting}: {error.strerror or error}") from None
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        if listens:
            sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(f"{setting}: {error.strerror or error}") from None
    return sock


def _remote(config: Config, process: int) -> RemoteListener | None:
    """What other machines read at; None: nothing. A tap whose listeners are there goes on without it: builds need the tap."""
    if config.record_link.listen is None:
        return None
    try:
        return RemoteListener(config.record_link, process)
    except StartError as error:
        _log.error("%s; until the tap is started again other machines cannot read its records", error)
        return None


def leave() -> None:
    """Ends this process without a word to any peer: its sockets live on in another."""
    logging.shutdown()
    os._exit(0)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """How a tap process gets its connections, and how it gives them away."""

    #: It takes over from the one that runs.
    take_over: bool = False
    #: A supervisor keeps it, and starts it again when it ends: only another supervisor's tap may take over from it.
    supervised: bool = False
    #: Awaited when it has taken over and the other process is about to be gone.
    taken_over: Callable[[], Awaitable[None]] | None = None
    #: Called when another process has taken over from it; does not return.
    leave: Callable[[], None] = leave


_NO_UPGRADE = Upgrade()


async def run(
    config: Config, listeners: Mapping[str, socket.socket], stop: asyncio.Event, *, process: int = 0, upgrade: Upgrade = _NO_UPGRADE
) -> None:
    """Forwards and records until `stop` is set, then ends within about a second. Closes the listeners it was given.

    Args:
        config: Names the taps.
        listeners: Of each tap, by name: a socket that listens (`bind`). Empty: those of the process that is taken over.
        stop: Set when it is time to end.
        process: Its number among `config.tap.processes`.
        upgrade: What there is besides an ordinary life.

    Raises:
        StartError: The record link cannot be made (a tap that is supervised tries again and again), a certificate not used, or
            nothing is taken over.
    """
    hello = Hello(PROTOCOL, __version__, layout(), upgrade.supervised, taps_of(config))
    tls = certificates(config.taps)
    taken = take(config.handover_sockets[process], hello, config.tap) if upgrade.take_over else None
    running = _assemble(config, process, hello, listeners or (taken.listeners if taken else {}), tls, taken)
    taps, link, intake = running.taps, running.link, running.intake
    giver = Giver(config.handover_sockets[process], running, upgrade.leave)
    keeping = [asyncio.create_task(keep_current(list(tls.values())), name="certificates")]
    try:
        if taken is None:
            try:
                await link.start()
            except StartError as error:
                if not upgrade.supervised:
                    raise
                keeping.append(_try_again(link, error))
        else:
            await _go_on(taken, running)
            try:
                await link.start()
            except StartError as error:
                keeping.append(_try_again(link, error))
        for each in taps.values():
            each.start()
        giver.start()
        for tap in config.taps:
            _log.info("tap %s forwards %s to %s", tap.name, _bound(running.sockets[tap.name]), tap.upstream)
        if taken is not None and upgrade.taken_over is not None:
            await upgrade.taken_over()
        intake.delays.watch()
        await _tick(running.journal, link, intake, stop)
    finally:
        await giver.stop()
        intake.delays.stop()
        for task in keeping:
            task.cancel()
        await asyncio.gather(*(each.stop(_STOP_S) for each in taps.values()))
        intake.drain(_STOP_S)
        await link.stop(_STOP_S)
        for sock in running.sockets.values():
            sock.close()


def _assemble(
    config: Config,
    process: int,
    hello: Hello,
    listeners: Mapping[str, socket.socket],
    tls: Mapping[str, TapTls],
    taken: Taken | None,
) -> Running:
    """The parts, which go on with the run that was taken over if there is one."""
    if taken is not None and taken.run is not None:
        snapshot, ring = taken.run
        journal = snapshot.journal
        journal.resume(config.tap, ring.append)
    else:
        snapshot, ring = None, Ring(config.tap.ring_bytes)
        described = [_describe(tap, listeners[tap.name]) for tap in config.taps]
        journal = Journal(secrets.token_hex(16), time.time_ns(), time.monotonic_ns(), described, config.tap, ring.append)
    link = Link(config.record_sockets[process], ring, journal, _remote(config, process))
    intake = Intake(asyncio.get_running_loop(), config.tap.undecoded_bytes, config.tap.decode_interval_ms / 1000, link.wake)
    if snapshot is not None:
        link.gaps = snapshot.gaps
        intake.delays.resume(*snapshot.delays)
    room = Room(connections_that_fit())
    taps = {
        tap.name: TapListener(tap, listeners[tap.name], intake, journal.accepted, tls.get(tap.name), room) for tap in config.taps
    }
    return Running(hello, journal, intake, link, taps, listeners)


async def _go_on(taken: Taken, running: Running) -> None:
    """Takes over."""
    with uncollected():
        connections = taken.connections(running.journal)
        taken.go()
        for each in connections:
            running.taps[each.moved.listener].go_on(each.moved, each.decoder, each.socks)
        taken.end_others()
        for tap in running.taps.values():
            await tap.adopted()
    taken.say()


def _try_again(link: Link, error: StartError) -> asyncio.Task[None]:
    """Until the link can be there. Builds need what the tap forwards, and forwarding needs no readers."""
    _log.error("%s; nobody reads the records until it can be, builds go on", error)

    async def start() -> None:
        while True:
            await asyncio.sleep(_AGAIN_S)
            with contextlib.suppress(StartError):
                await link.start()
                _log.info("the record link is there")
                return

    return asyncio.create_task(start(), name="record link")


async def _tick(journal: Journal, link: Link, intake: Intake, stop: asyncio.Event) -> None:
    """A Tick a second, in its turn among what arrived, until the end."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    while not stop.is_set():
        intake.happened(lambda now: journal.tick(now, _totals(link, intake)))
        due = max(due + 1, loop.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(due):
                await stop.wait()


def _totals(link: Link, intake: Intake) -> ProcessTotals:
    delays = intake.delays
    max_ns, lag_ns = delays.taken()
    return ProcessTotals(
        ring_bytes=link.ring.used_bytes,
        undecoded_bytes=intake.queued_bytes,
        ring_limit_bytes=link.ring.limit_bytes,
        gaps=link.gaps,
        readers=link.readers,
        behind_bytes=link.behind_bytes,
        delays=(delays.counts, delays.sum_ns, max_ns),
        loop_lag_ns=lag_ns,
    )


def _describe(tap: Tap, sock: socket.socket) -> Listener:
    carries = sorted(each.value for each in tap.carries)
    return Listener(tap.name, _bound(sock), str(tap.upstream), carries, tap.scheduler or "")


def _bound(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return str(Address(host, port))

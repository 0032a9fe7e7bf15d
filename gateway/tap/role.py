"""The tap as a process: configuration and listening sockets in, forwarded connections and the record link out, until it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import socket
import time
from collections.abc import Mapping
from itertools import count

from gateway.config.types import Address, Config, Tap
from gateway.errors import StartError
from gateway.tap import publishing
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.handshake import Kept, certificates, keep_current
from gateway.tap.intake import Intake
from gateway.tap.journal import Journal
from gateway.tap.link import Link
from gateway.tap.listener import TapListener
from gateway.tap.records import Listener, ProcessTotals
from gateway.tap.ring import Ring
from gateway.tap.room import Room, connections_that_fit

_log = logging.getLogger(__name__)

#: Connects that wait while a tap is restarted.
_BACKLOG = 4096
#: How long open connections, and then readers, get to take what they were told when the tap stops.
_STOP_S = 0.5


def bind_all(config: Config) -> list[dict[str, socket.socket]]:
    """Binds the listeners of every tap process, as `bind` does for one: none where the taps run on other machines.

    Raises:
        StartError: An address cannot be had, also where another gateway would share it; or a certificate not used.
    """
    if not config.record_link.local:
        return []
    bound: list[dict[str, socket.socket]] = []
    try:
        if config.tap.processes > 1:
            # Whoever lets others in as well would do so unnoticed: nobody may be there yet.
            for tap in config.taps:
                _bind(tap, shared=False).close()
        # One by one into the list, so that those before one that fails are closed.
        bound.extend(bind(config, process) for process in range(config.tap.processes))
    except StartError:
        for sock in (sock for listeners in bound for sock in listeners.values()):
            sock.close()
        raise
    return bound


def bind(config: Config, process: int = 0) -> dict[str, socket.socket]:
    """Binds every tap's listener and listens: name -> socket. The sockets are the caller's, who gives them to `run`.

    Several tap processes have a socket each of every listener, and the kernel deals out the connections.

    Raises:
        StartError: An address cannot be had, or a certificate not used; none is bound then.
    """
    check_process(config, process)
    certificates(config.taps)
    publishing.check(config.record_link, process)
    bound: dict[str, socket.socket] = {}
    try:
        for tap in config.taps:
            bound[tap.name] = _bind(tap, shared=config.tap.processes > 1)
    except StartError:
        for sock in bound.values():
            sock.close()
        raise
    return bound


def check_process(config: Config, process: int) -> None:
    """Whether there is a tap process of that number here.

    Raises:
        StartError: There is none.
    """
    if not config.record_link.local:
        raise StartError("gateway.record_link.local: false: the taps of this configuration run on other machines")
    if process >= config.tap.processes:
        raise StartError(f"--process {process}: gateway.tap.processes is {config.tap.processes}, and they count from 0")


def _bind(tap: Tap, *, shared: bool) -> socket.socket:
    setting = f"gateway.taps[{tap.name}].listen: {tap.listen}"
    try:
        found = socket.getaddrinfo(tap.listen.host, tap.listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise StartError(f"{setting}: {error.strerror or error}") from None
    family, _, _, _, address = found[0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise StartError(f"{setting}: {error.strerror or error}") from None
    return sock


async def run(config: Config, listeners: Mapping[str, socket.socket], stop: asyncio.Event, process: int = 0) -> None:
    """Forwards and records until `stop` is set, then ends within about a second. Closes the listeners it was given.

    Args:
        config: Names the taps.
        listeners: Of each tap, by name: a socket that listens (`bind`).
        stop: Set when it is time to end.
        process: Which of the tap processes this is, counted from 0.

    Raises:
        StartError: The record link cannot be made, or a certificate not used.
    """
    tls = certificates(config.taps)
    ring = Ring(config.tap.ring_bytes)
    described = [_describe(tap, listeners[tap.name]) for tap in config.taps]
    journal = Journal(secrets.token_hex(16), time.time_ns(), time.monotonic_ns(), described, config.tap, ring.append)
    link = Link(config.record_sockets[process], ring, journal)
    intake = Intake(asyncio.get_running_loop(), config.tap.undecoded_bytes, config.tap.decode_interval_ms / 1000, link.wake)
    numbers = count(1)

    def decoder(listener: str, peer: str) -> ConnectionDecoder:
        return journal.connection(next(numbers), listener, peer)

    room = Room(connections_that_fit())
    taps = [TapListener(tap, listeners[tap.name], intake, decoder, tls.get(tap.name), room) for tap in config.taps]
    published = publishing.publication(config.record_link, process, link.reader)
    kept: list[Kept] = [*tls.values()]
    if published is not None:
        kept.append(published)
    keeping = asyncio.create_task(keep_current(kept), name="certificates")
    try:
        await link.start()
        for each in taps:
            each.start()
        if published is not None:
            published.start()
            _log.info("other machines read the records at %s", published.address)
        for listener in described:
            _log.info("tap %s forwards %s to %s", listener.name, listener.listen, listener.upstream)
        intake.delays.watch()
        await _tick(journal, link, intake, stop)
    finally:
        intake.delays.stop()
        keeping.cancel()
        await asyncio.gather(*(each.stop(_STOP_S) for each in taps))
        intake.drain(_STOP_S)
        if published is not None:
            await published.stop()
        await link.stop(_STOP_S)
        for sock in listeners.values():
            sock.close()


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
    host, port = sock.getsockname()[:2]
    carries = sorted(each.value for each in tap.carries)
    return Listener(tap.name, str(Address(host, port)), str(tap.upstream), carries, tap.scheduler or "")

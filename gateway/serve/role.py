"""The serve role: configuration and perhaps a listening socket come in; it answers HTTP until told to stop."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web

from gateway.config.types import Address, Config
from gateway.errors import StartError
from gateway.serve.answering import Answering
from gateway.serve.authentication.opening import open_gate
from gateway.serve.clock import steady_clock
from gateway.serve.connections.acceptor import Acceptor
from gateway.serve.connections.admission import Admission, connections_that_fit
from gateway.serve.cors import Cors
from gateway.serve.description import table
from gateway.serve.encryption import CurrentContext
from gateway.serve.hosts import is_loopback
from gateway.serve.overview import Overview
from gateway.serve.routes import Routes
from gateway.serve.server import make_server, refusals
from gateway.serve.siblings import Siblings
from gateway.serve.upstream import Upstream

#: Connects that wait to be accepted: as many as dashboards may come back at once.
BACKLOG = 1_024
#: aiohttp waits for requests under way twice, once kindly and once after cancelling; both within half of what stopping may take.
_SHUTDOWN_SHARE = 0.25

logger = logging.getLogger(__name__)


def bind(config: Config) -> socket.socket:
    """The listening socket of `config.http`.

    Raises:
        StartError: the address cannot be had; it names the setting.
    """
    host, port = config.http.host, config.http.port
    try:
        # A name may stand for several addresses; the first that this machine has is taken.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found[:-1]:
            with suppress(OSError):
                return _listen(family, kind, protocol, address)
        family, kind, protocol, _, address = found[-1]
        return _listen(family, kind, protocol, address)
    except OSError as error:
        raise StartError(
            f"servers[].listener.http.socket_address (or --http): cannot listen on {config.http}: {error.strerror or error}"
        ) from error


async def run(
    config: Config,
    listener: socket.socket | None,
    stop: asyncio.Event,
    *,
    process: int | None = None,
    now: Callable[[], float] | None = None,
) -> None:
    """Serve until `stop` is set, then finish what is under way within `config.stop_timeout_s`.

    Args:
        config: the resolved configuration.
        listener: a socket that listens already, and is closed in the end; None: that of `bind`.
        stop: ends it.
        process: its number among `config.serve.processes`; None: it is the only one, whatever they are.
        now: the time, in Unix seconds; None: this machine's clocks.

    Raises:
        StartError: `bind`'s.
    """
    listener = listener if listener is not None else bind(config)
    upstream = Upstream(config)
    steady = now or steady_clock()
    gate = open_gate(config, on_loopback=is_loopback(listener.getsockname()[0]))
    overview = Overview(upstream, gate.notes, now=steady, wall=now or time.time)
    siblings = Siblings(config.serve_sockets if process is not None else config.serve_sockets[:1], process or 0)
    routes = Routes(upstream, overview, siblings, gate.refusals, config.state_dir, now=steady)
    admission = Admission(config.http_options.connections_per_peer, connections_that_fit(config.http_options.connections))
    origins = config.http_options.cors_origins
    answering = Answering(routes, gate, Cors(origins, table.ROUTES) if origins else None)
    server = make_server(answering, admission)
    encryption = CurrentContext(config.http_tls) if config.http_tls is not None else None
    runner = web.ServerRunner(server, shutdown_timeout=config.stop_timeout_s * _SHUTDOWN_SHARE)
    await runner.setup()
    async with siblings.answering(lambda: msgspec.msgpack.encode(routes.exposition.part())), asyncio.TaskGroup() as tasks:
        following = tasks.create_task(upstream.follow(), name="follow upstream")
        publishing = tasks.create_task(routes.publisher.run(), name="publish events")
        knowing = tasks.create_task(gate.run(), name="fetch keys")
        watching = tasks.create_task(server.watch(), name="watch connections")
        acceptor = Acceptor(listener, server.connection, admission, refusals(admission), tls=encryption)
        try:
            host, port = listener.getsockname()[:2]
            logger.info("answering on %s://%s", "https" if encryption else "http", Address(host, port))
            await stop.wait()
        finally:
            acceptor.close()
            routes.close()
            # Requests under way still see the replica being kept.
            await runner.cleanup()
            await server.end()
            following.cancel()
            publishing.cancel()
            knowing.cancel()
            watching.cancel()


def _listen(family: int, kind: int, protocol: int, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener

"""Many clients, and clients that do not keep up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager

import pytest

from gateway.config.types import Config
from gateway.serve.events import log, publisher, stream
from gateway.serve.events.log import EventLog, Piece
from gateway.serve.events.publisher import Publisher
from gateway.serve.events.selection import Selection
from gateway.serve.events.stream import Stream
from gateway.serve.ongoing import Ongoing
from gateway.serve.overview import Overview
from gateway.serve.problems import ProblemError
from gateway.serve.upstream import Upstream
from tests.serve.builders import operation
from tests.serve.events.listening import Parser, listening
from tests.serve.events.test_reply import CLIENTS, until_metric
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Client, serving

REQUEST = b"GET /api/v1/events?kind=operations HTTP/1.1\r\nHost: localhost\r\n\r\n"
RESETS = "nativelink_gateway_event_resets_total"


@pytest.fixture
async def client(config: Config, implementer: Implementer) -> AsyncIterator[Client]:
    await implementer.start()
    async with serving(config) as client:
        yield client


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds that some hundred events reach."""
    monkeypatch.setattr(stream, "CLIENT_BYTES", 16_384)
    monkeypatch.setattr(publisher, "CLIENT_BYTES", 16_384)
    monkeypatch.setattr(publisher, "PIECE_BYTES", 4_096)
    monkeypatch.setattr(log, "PIECE_BYTES", 4_096)


@contextmanager
def reads_nothing(client: Client) -> Iterator[socket.socket]:
    """A client that asked for events and sleeps."""
    with socket.socket() as sleeping:
        sleeping.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        sleeping.settimeout(PATIENCE_S)
        sleeping.connect(("127.0.0.1", client.port))
        sleeping.sendall(REQUEST)
        yield sleeping


def everything(sleeping: socket.socket) -> Parser:
    """What it gets when it wakes up, until the end."""
    parser = Parser()
    head, _, rest = sleeping.recv(1 << 20).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    parser.feed(rest)
    while chunk := sleeping.recv(1 << 20):
        parser.feed(chunk)
    return parser


async def test_clients_with_the_same_filters_get_the_very_same_bytes(
    client: Client, implementer: Implementer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_SLICE", 7)
    encoded: list[Piece] = []
    piece = EventLog.piece

    def counted(self: EventLog, selection: Selection, start: int, stop: int) -> Piece:
        encoded.append(piece(self, selection, start, stop))
        return encoded[-1]

    monkeypatch.setattr(EventLog, "piece", counted)
    async with AsyncExitStack() as stack:
        listeners = [await stack.enter_async_context(listening(client, "?kind=operations")) for _ in range(30)]
        for listener in listeners:
            await listener.next()
        implementer.set(operations=[operation(1), operation(2)])
        for listener in listeners:
            assert await listener.names(2) == ["operation op-1", "operation op-2"]
    assert len(encoded) == 1


async def test_whoever_sleeps_is_reset_and_holds_up_nobody(
    client: Client, implementer: Implementer, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "KEPT_ENTRIES", 50)
    with reads_nothing(client) as sleeping:
        async with listening(client, "?kind=operations") as awake:
            await until_metric(client, CLIENTS, 2)
            await awake.next()
            for start in range(2, 402, 10):
                implementer.set(operations=map(operation, range(start, start + 10)))
                assert await awake.names(10) == [f"operation op-{number}" for number in range(start, start + 10)]
            await until_metric(client, RESETS, 1, "too_slow")
            await until_metric(client, CLIENTS, 1)
        parser = await asyncio.to_thread(everything, sleeping)
    first, *told, last = parser.events
    assert first.type == "snapshot"
    # What it was told before is in order and without a gap.
    assert [event.data["arrival"] for event in told] == list(range(2, 2 + len(told)))
    assert 0 < len(told) < 350
    assert (last.type, last.data, last.last_event_id) == ("reset", {"reason": "too_slow"}, "")
    await until_metric(client, CLIENTS, 0)


async def test_whoever_sleeps_only_for_a_while_gets_everything(client: Client, implementer: Implementer, small: None) -> None:
    with reads_nothing(client) as sleeping:
        async with listening(client, "?kind=operations") as awake:
            await until_metric(client, CLIENTS, 2)
            await awake.next()
            for number in range(2, 402):
                implementer.set(operations=[operation(number)])
            await awake.next(400)

        def catch_up() -> Parser:
            parser = Parser()
            while len(parser.events) < 401:
                parser.feed(sleeping.recv(1_000).rpartition(b"\r\n\r\n")[2])
            return parser

        parser = await asyncio.to_thread(catch_up)
    assert [event.data["arrival"] for event in parser.events[1:]] == list(range(2, 402))
    await until_metric(client, RESETS, 0, "too_slow")


async def test_what_a_sleeping_client_holds_is_bounded(
    client: Client, implementer: Implementer, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    untaken = Stream.untaken

    def seen(self: Stream, now: float) -> int:
        held.append(untaken(self, now))
        return held[-1]

    monkeypatch.setattr(Stream, "untaken", seen)
    with reads_nothing(client):
        async with listening(client, "?kind=operations") as awake:
            await until_metric(client, CLIENTS, 2)
            await awake.next()
            implementer.set(operations=map(operation, range(2, 1_002)))
            await awake.next(1_000)
        await until_metric(client, CLIENTS, 1)
    # Some of it was held, and never more than the bound and one event.
    assert 4_096 < max(held) < 16_384 + 600


async def test_whoever_takes_nothing_for_too_long_is_disconnected(
    client: Client, implementer: Implementer, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "STALLED_S", 0.2)
    monkeypatch.setattr(publisher, "TICK_S", 0.02)
    with reads_nothing(client) as sleeping:
        await until_metric(client, CLIENTS, 1)
        implementer.set(operations=map(operation, range(2, 402)))
        await until_metric(client, CLIENTS, 0)
        await until_metric(client, RESETS, 1, "too_slow")
        parser = await asyncio.to_thread(everything, sleeping)
    # It got what the kernel had of it, cut off anywhere, and no more.
    assert 1 < len(parser.events) < 401
    assert "reset" not in {event.type for event in parser.events}


async def test_a_reset_that_nobody_takes_is_given_up(
    client: Client, implementer: Implementer, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "CLOSING_S", 0.05)
    with reads_nothing(client) as sleeping:
        async with listening(client, "?kind=operations") as awake:
            await until_metric(client, CLIENTS, 2)
            await awake.next()
            implementer.set(operations=map(operation, range(2, 402)))
            await awake.next(400)
        monkeypatch.setattr(log, "KEPT_ENTRIES", 50)
        implementer.set(operations=[operation(402)])
        await until_metric(client, RESETS, 1, "too_slow")
        # Timers of one loop fire in order: this one behind the one that cuts.
        await asyncio.sleep(0.1)
        parser = await asyncio.to_thread(everything, sleeping)
    assert "reset" not in {event.type for event in parser.events}


async def test_a_long_past_is_told_in_pieces(client: Client, implementer: Implementer, small: None) -> None:
    implementer.set(operations=[operation(1)])
    await until_metric(client, "nativelink_gateway_state_revision", 2)
    for number in range(2, 202):
        implementer.set(operations=[operation(number)])
    await until_metric(client, "nativelink_gateway_state_revision", 202)
    async with listening(client, "?kind=operations&since=epoch-1-2") as listener:
        events = await listener.next(200)
    assert [event.data["arrival"] for event in events] == list(range(2, 202))
    assert events[-1].last_event_id == "epoch-1-202"


async def test_stopping_does_not_wait_for_whoever_sleeps(config: Config, implementer: Implementer, small: None) -> None:
    await implementer.start()
    with ExitStack() as afterwards:
        # Leaving it ends the role, within its patience.
        async with serving(config) as client:
            sleeping = afterwards.enter_context(reads_nothing(client))
            async with listening(client, "?kind=operations") as awake:
                await until_metric(client, CLIENTS, 2)
                await awake.next()
                implementer.set(operations=map(operation, range(2, 402)))
                await awake.next(400)
        parser = await asyncio.to_thread(everything, sleeping)
    assert "reset" not in {event.type for event in parser.events}


async def test_clients_with_other_filters_get_other_bytes_however_few_a_walk_keeps(
    client: Client, implementer: Implementer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher, "_PIECES_BYTES", 0)
    monkeypatch.setattr(publisher, "_SLICE", 1)
    async with AsyncExitStack() as stack:
        listeners = [
            await stack.enter_async_context(listening(client, f"?kind=operations&worker_id=worker-{number % 3}"))
            for number in range(9)
        ]
        for listener in listeners:
            await listener.next()
        implementer.set(operations=[operation(number, worker_id=f"worker-{number % 3}") for number in range(3, 9)])
        for number, listener in enumerate(listeners):
            assert await listener.names(2) == [f"operation op-{3 + number % 3}", f"operation op-{6 + number % 3}"]


async def test_nobody_joins_once_it_is_closed(config: Config) -> None:
    upstream = Upstream(config)
    closed = Publisher(upstream, Overview(upstream), Ongoing())
    closed.check_room()
    closed.close()
    with pytest.raises(ProblemError, match="The gateway stops"):
        closed.check_room()

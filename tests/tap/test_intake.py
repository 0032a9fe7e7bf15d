from __future__ import annotations

import asyncio
from time import monotonic_ns

import pytest

from gateway.config.types import TapLimits
from gateway.pb import tap_pb2
from gateway.tap.connection import ConnectionDecoder
from gateway.tap.intake import Intake
from gateway.tap.journal import Journal
from gateway.tap.records import TO_SERVER
from tests.tap import frames
from tests.tap.frames import EXECUTE, PING, PREFACE, Peer, frame, grpc, settings
from tests.tap.reading import EXECUTION, WORKERS, kinds, parse
from tests.tap.running import PATIENCE_S


class _Bench:
    """An intake with its journal; `found` are the records so far."""

    def __init__(self, limit_bytes: int, interval_s: float = 0.001) -> None:
        self.found: list[tap_pb2.TapRecord] = []
        self.decoded = asyncio.Event()
        self.journal = Journal("run", 0, 0, [EXECUTION, WORKERS], TapLimits(), lambda record: self.found.append(parse(record)))
        self.intake = Intake(asyncio.get_running_loop(), limit_bytes, interval_s, self.decoded.set)
        self.found.clear()

    def connection(self, number: int) -> ConnectionDecoder:
        decoder = self.journal.connection(number, "execution", f"p:{number}")
        self.intake.happened(decoder.opened)
        self.intake.chunk(monotonic_ns(), decoder, TO_SERVER, PREFACE + settings())
        return decoder

    async def all_decoded(self) -> list[tap_pb2.TapRecord]:
        done = asyncio.Event()
        self.intake.happened(lambda _: done.set())
        async with asyncio.timeout(PATIENCE_S):
            await done.wait()
        return self.found


@pytest.fixture
async def bench() -> _Bench:
    return _Bench(2**20)


async def test_everything_is_decoded_later_in_order_of_arrival(bench: _Bench) -> None:
    first, second = bench.connection(1), bench.connection(2)
    for decoder in (second, first, second):
        bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, b"")
    bench.intake.chunk(monotonic_ns(), second, TO_SERVER, Peer().request(1, EXECUTE))
    bench.intake.chunk(monotonic_ns(), first, TO_SERVER, Peer().request(1, EXECUTE))
    bench.intake.happened(lambda now: second.closed(now, 1, reset=False))
    assert bench.found == []
    assert bench.intake.queued_bytes > 0
    found = await bench.all_decoded()
    assert [(record.connection, record.WhichOneof("record")) for record in found] == [
        (1, "connection_opened"),
        (2, "connection_opened"),
        (2, "stream_opened"),
        (1, "stream_opened"),
        (2, "stream_closed"),
        (2, "connection_closed"),
    ]
    times = [record.monotonic_ns for record in found]
    assert times == sorted(times)
    assert bench.intake.queued_bytes == first.pending_bytes == 0
    assert bench.decoded.is_set()


async def test_over_the_bound_the_connection_with_most_of_it_is_blinded() -> None:
    bench = _Bench(100_000, interval_s=0.05)
    greedy, modest = bench.connection(1), bench.connection(2)
    begun = frames.data(1, bytes(10_000))
    for _ in range(8):
        bench.intake.chunk(monotonic_ns(), greedy, TO_SERVER, begun)
    bench.intake.chunk(monotonic_ns(), modest, TO_SERVER, Peer().request(1, EXECUTE) + frames.data(1, grpc(b"kept")))
    for _ in range(5):
        bench.intake.chunk(monotonic_ns(), greedy, TO_SERVER, begun)
    found = await bench.all_decoded()
    blinded = [(record.connection, record.blinded.reason) for record in found if record.HasField("blinded")]
    assert blinded == [(1, tap_pb2.Blinded.OVERLOADED)]
    assert [record.connection for record in found if record.HasField("message")] == [2]
    assert bench.intake.queued_bytes == greedy.pending_bytes == modest.pending_bytes == 0
    bench.journal.tick(10**18)
    # Forwarded bytes are counted, read or not.
    assert bench.found[-1].tick.listeners[0].bytes > 13 * 10_000


async def test_over_the_bound_so_many_are_blinded_that_an_eighth_is_free_and_no_more() -> None:
    bench = _Bench(100_000, interval_s=0.05)
    connections = [bench.connection(number) for number in range(1, 31)]
    for decoder in connections:
        bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, frames.data(1, bytes(3000 + decoder.number)))
    assert bench.intake.queued_bytes <= 100_000
    found = await bench.all_decoded()
    blinded = {record.connection for record in found if record.HasField("blinded")}
    # Each has some 3,300 bytes: an eighth is that of four. Twice the bound was passed.
    assert 3 <= len(blinded) <= 8
    assert bench.intake.queued_bytes == 0
    assert all(decoder.pending_bytes == 0 for decoder in connections)


async def test_letting_go_is_rare_however_many_connections_are_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    sheds = 0
    shed = Intake._shed

    def counted(self: Intake) -> None:
        nonlocal sheds
        sheds += 1
        shed(self)

    monkeypatch.setattr(Intake, "_shed", counted)
    bench = _Bench(1_000_000, interval_s=60)
    for number in range(1, 4001):
        decoder = bench.connection(number)
        bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, bytes(1000))
    # Six million bytes came; each time an eighth of a million was made free.
    assert 20 <= sheds <= 50
    assert bench.intake.queued_bytes <= 1_000_000
    bench.intake.drain(PATIENCE_S)


async def test_single_bytes_are_counted_with_what_they_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = _Bench(100_000, interval_s=60)
    decoder = bench.connection(1)
    for _ in range(1000):
        bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, b"x")
    bench.intake.drain(PATIENCE_S)
    assert [record.blinded.reason for record in bench.found if record.HasField("blinded")] == [tap_pb2.Blinded.OVERLOADED]


@pytest.mark.parametrize("failing", ["feed", "work", "blind"])
async def test_a_defect_that_even_prevents_the_record_reaches_nobody(
    bench: _Bench, failing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    decoder, other = bench.connection(1), bench.connection(2)
    await bench.all_decoded()

    def fail(self: ConnectionDecoder, *arguments: object) -> object:
        if self is decoder:
            raise RuntimeError("defect")
        return unharmed(self, *arguments)

    unharmed = getattr(ConnectionDecoder, failing)
    monkeypatch.setattr(ConnectionDecoder, failing, fail)
    # With `blind`: nonsense, which the decoder cannot even complain of.
    for _ in range(3):
        bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, frame(PING, 0, 0, bytes(7)))
    bench.intake.chunk(monotonic_ns(), other, TO_SERVER, Peer().request(1, EXECUTE))
    large = bench.connection(3)
    bench.intake.chunk(monotonic_ns(), large, TO_SERVER, bytes(100_000))
    assert kinds(await bench.all_decoded())[2:] == ["stream_opened", "connection_opened", "blinded"]
    assert not decoder.reads
    assert caplog.text.count("connection 1 is not read any more: the tap failed") == 1


async def test_a_large_chunk_is_decoded_at_once_after_what_waits(bench: _Bench) -> None:
    decoder = bench.connection(1)
    bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, Peer().request(1, EXECUTE))
    assert bench.found == []
    bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, frame(PING, 0, 0, bytes(8)) * 3000 + frames.data(1, grpc(b"message")))
    assert kinds(bench.found)[:2] == ["connection_opened", "stream_opened"]
    assert bench.intake.queued_bytes == 0
    assert kinds(await bench.all_decoded())[2:] == ["message"]


async def test_decoding_is_cut_into_slices(bench: _Bench) -> None:
    decoder = bench.connection(1)
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if not done.is_set():
            asyncio.get_running_loop().call_soon(turn)

    done = asyncio.Event()
    for _ in range(4):
        bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, frame(PING, 0, 0, bytes(8)) * 15_000)
    bench.intake.happened(lambda _: done.set())
    turn()
    async with asyncio.timeout(PATIENCE_S):
        await done.wait()
    assert turns > 5
    assert decoder.reads


async def test_a_defect_in_what_happened_stops_nothing(bench: _Bench, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: int) -> None:
        raise RuntimeError("defect")

    bench.intake.happened(fail)
    bench.connection(1)
    assert kinds(await bench.all_decoded()) == ["connection_opened"]
    assert "defect" in caplog.text


async def test_at_the_end_what_waits_is_decoded_at_once(bench: _Bench) -> None:
    decoder = bench.connection(1)
    bench.intake.chunk(monotonic_ns(), decoder, TO_SERVER, frame(PING, 0, 0, bytes(8)) * 1000 + Peer().request(1, EXECUTE))
    bench.intake.drain(PATIENCE_S)
    assert kinds(bench.found) == ["connection_opened", "stream_opened"]
    bench.intake.drain(PATIENCE_S)

"""The record link over a real unix socket, with taps that come late, die, and say nonsense."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.observe import link as module
from gateway.observe.dialling import UnixDial
from gateway.observe.link import Position, RecordLink
from gateway.observe.wire import Splitter, delimited, varint
from gateway.pb import tap_pb2
from tests.command import PATIENCE_S
from tests.observe.records import ScriptedTap


@dataclass
class TapSocket:
    """The socket of a tap: what is in `to_send` goes to whoever connects."""

    path: Path
    to_send: list[bytes] = field(default_factory=list)
    #: What readers asked for.
    asked: list[tap_pb2.ReadRequest] = field(default_factory=list)
    #: What they acknowledged.
    acknowledged: list[int] = field(default_factory=list)
    #: Hang up after sending.
    hangs_up: bool = True
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, self.path)
        async with server:
            yield
            server.close()
            for writer in list(self._open):
                writer.close()
        self.path.unlink(missing_ok=True)

    async def say(self, data: bytes) -> None:
        """Something more to every reader."""
        for writer in self._open:
            writer.write(data)
            await writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        splitter = Splitter(10_000)
        self._open.add(writer)
        try:
            requests = [tap_pb2.ReadRequest.FromString(bytes(message)) for message in splitter.feed(await reader.read(10_000))]
            self.asked += requests
            for data in self.to_send:
                writer.write(data)
                await writer.drain()
            while not self.hangs_up and (data := await reader.read(10_000)):
                messages = [bytes(message) for message in splitter.feed(data)]
                self.acknowledged += [tap_pb2.Acknowledgement.FromString(message).sequence for message in messages]
        finally:
            self._open.discard(writer)
            writer.close()


@dataclass
class Reader:
    link: RecordLink
    records: list[tap_pb2.TapRecord] = field(default_factory=list)
    position: Position = field(default_factory=lambda: Position("", 0))
    clock: float = 100.0
    #: How much later it is at each look at the clock.
    step: float = 0.0

    def now(self) -> float:
        self.clock += self.step
        return self.clock

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - what happens has no event
                await asyncio.sleep(0.002)


@asynccontextmanager
async def reading(path: Path) -> AsyncIterator[Reader]:
    records: list[tap_pb2.TapRecord] = []
    reader = Reader(None, records)  # type: ignore[arg-type]  # known in a moment
    reader.link = RecordLink(UnixDial(path), lambda: reader.position, records.extend, clock=reader.now)
    task = asyncio.create_task(reader.link.follow(), name="link")
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def tap(tmp_path: Path) -> TapSocket:
    return TapSocket(tmp_path / "tap.sock")


def encoded(*records: tap_pb2.TapRecord) -> bytes:
    return b"".join(delimited(record.SerializeToString()) for record in records)


async def test_records_come_in_order_and_the_link_asks_for_what_it_lacks(tap: TapSocket) -> None:
    script = ScriptedTap()
    script.open()
    tap.to_send = [encoded(*script.records)]
    async with tap.listening(), reading(tap.path) as reader:
        reader.position = Position("run-1", 17)
        await reader.until(lambda: len(reader.records) >= 4)
        assert reader.records[:2] == script.records
        assert tap.asked[1] == tap_pb2.ReadRequest(run="run-1", next_sequence=17)


async def test_a_tap_that_comes_late_is_found(tap: TapSocket) -> None:
    async with reading(tap.path) as reader:
        await reader.until(lambda: "nobody answers" in (reader.link.problem or ""))
        tap.to_send = [encoded(*ScriptedTap().records)]
        tap.hangs_up = False
        async with tap.listening():
            await reader.until(lambda: bool(reader.records))
            assert reader.link.problem is None
            assert not reader.link.is_fresh, "no Tick yet"
            assert reader.link.silence_s() is None


async def test_a_tap_that_is_not_there_is_said_once_and_not_while_everything_starts(
    tap: TapSocket, caplog: pytest.LogCaptureFixture
) -> None:
    async with reading(tap.path) as reader:
        await reader.until(lambda: "nobody answers" in (reader.link.problem or ""))
        assert not caplog.records
        reader.clock += module.STARTING_S
        await reader.until(lambda: bool(caplog.records))
        reader.clock += 60
        await asyncio.sleep(0.3)
        assert len(caplog.records) == 1


async def test_it_is_fresh_for_five_seconds_after_a_tick(tap: TapSocket) -> None:
    script = ScriptedTap()
    script.tick()
    tap.to_send = [encoded(*script.records)]
    tap.hangs_up = False
    async with tap.listening(), reading(tap.path) as reader:
        await reader.until(lambda: reader.link.is_fresh)
        reader.clock += 5
        assert reader.link.is_fresh
        reader.clock += 0.1
        assert not reader.link.is_fresh


async def test_a_tap_that_says_nothing_for_long_is_left_for_its_successor(tap: TapSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_LIMIT_S", 0.01)
    tap.hangs_up = False
    async with tap.listening(), reading(tap.path) as reader:
        await reader.until(lambda: len(tap.asked) >= 3)
        assert "no answer in time" in (reader.link.problem or "")


async def test_a_tap_that_hangs_up_is_not_fresh(tap: TapSocket) -> None:
    script = ScriptedTap()
    script.tick()
    tap.to_send = [encoded(*script.records)]
    async with reading(tap.path) as reader:
        async with tap.listening():
            await reader.until(lambda: bool(reader.records))
        await reader.until(lambda: reader.link.problem is not None)
        assert not reader.link.is_fresh


async def test_a_record_that_is_none_is_counted_and_the_next_is_read(tap: TapSocket) -> None:
    script = ScriptedTap()
    tap.to_send = [delimited(b"\xff\xff\xff"), encoded(*script.records)]
    tap.hangs_up = False
    async with tap.listening(), reading(tap.path) as reader:
        await reader.until(lambda: bool(reader.records))
        assert reader.link.malformed == 1


async def test_bytes_without_framing_end_the_connection_and_not_the_reader(tap: TapSocket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RECORD_BYTES", 1000)
    tap.to_send = [varint(1001)]
    tap.hangs_up = False
    async with tap.listening(), reading(tap.path) as reader:
        await reader.until(lambda: len(tap.asked) >= 2)
        assert "broke" in (reader.link.problem or "")


async def test_the_tap_is_told_how_far_its_records_are_processed_but_not_how_far_those_of_another_run(tap: TapSocket) -> None:
    tap.hangs_up = False
    script = ScriptedTap()
    script.tick()
    tap.to_send = [encoded(*script.records)]
    async with tap.listening(), reading(tap.path) as reader:
        await reader.until(lambda: len(reader.records) == 2)
        reader.position = Position("run-1", 4)
        reader.step = 1.5
        await tap.say(encoded(script.tick()))
        await reader.until(lambda: tap.acknowledged != [])
        # What is processed is still of a run before.
        reader.position = Position("run-0", 1000)
        for count in range(3, 6):
            await tap.say(encoded(script.tick()))
            await reader.until(lambda count=count: len(reader.records) == count + 1)  # type: ignore[misc]  # bound now
        reader.position = Position("run-1", 8)
        await tap.say(encoded(script.tick()))
        await reader.until(lambda: tap.acknowledged[-1] != 3)
    assert tap.acknowledged == [3, 7]


@pytest.mark.parametrize("off_s", [5.0, -5.0])
async def test_how_far_the_taps_clock_is_off_is_seen_at_a_tick(off_s: float, tap: TapSocket) -> None:
    tap.hangs_up = False
    script = ScriptedTap()
    script.tick()
    tap.to_send = [encoded(*script.records)]
    records: list[tap_pb2.TapRecord] = []
    now = script.unix_ns + int(off_s * 1e9)
    link = RecordLink(UnixDial(tap.path), lambda: Position("", 0), records.extend, unix_ns=lambda: now)
    async with tap.listening():
        task = asyncio.create_task(link.follow(), name="link")
        async with asyncio.timeout(PATIENCE_S):
            while len(records) < 2:  # noqa: ASYNC110 - what happens has no event
                await asyncio.sleep(0.002)
        assert link.behind_s == pytest.approx(off_s)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

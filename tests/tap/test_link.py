from __future__ import annotations

import asyncio
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config.types import TapLimits
from gateway.errors import StartError
from gateway.pb import tap_pb2
from gateway.tap import records
from gateway.tap.journal import Journal
from gateway.tap.link import Link
from gateway.tap.ring import Ring
from tests.tap.frames import EXECUTE, PREFACE, Peer, grpc, settings
from tests.tap.reading import EXECUTION, kinds
from tests.tap.running import PATIENCE_S, delimited, link_reader, until

_RUN = "this-run"


class _Tap:
    """A journal, its ring and its link, without any connections."""

    def __init__(self, folder: Path, ring_bytes: int) -> None:
        self.path = folder / "state" / "tap.sock"
        self.ring = Ring(ring_bytes)
        self.journal = Journal(_RUN, 10**18, 5, [EXECUTION], TapLimits(), self.ring.append)
        self.link = Link(self.path, self.ring, self.journal)

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.journal.tick(9)
        self.link.wake()

    def execute(self) -> None:
        """A connection with one open call."""
        decoder = self.journal.connection(1, "execution", "p:1")
        decoder.opened(7)
        decoder.feed(8, records.TO_SERVER, PREFACE + settings() + Peer().request(1, EXECUTE) + b"")
        decoder.work()


@pytest.fixture
async def tap(tmp_path: Path) -> AsyncIterator[_Tap]:
    tap = _Tap(tmp_path, 2**20)
    await tap.link.start()
    yield tap
    await tap.link.stop(1)


@pytest.fixture
async def small(tmp_path: Path) -> AsyncIterator[_Tap]:
    """A ring that holds only a few records."""
    tap = _Tap(tmp_path, 600)
    await tap.link.start()
    yield tap
    await tap.link.stop(1)


def _sequences(found: list[tap_pb2.TapRecord]) -> list[int]:
    return [record.sequence for record in found]


async def test_a_new_reader_gets_everything_from_the_start_and_what_comes_later(tap: _Tap) -> None:
    tap.ticks(3)
    async with link_reader(tap.path) as reader:
        await reader.until_kind("tick", 3)
        tap.ticks(2)
        found = await reader.until_kind("tick", 5)
    assert _sequences(found) == [1, 2, 3, 4, 5, 6]
    assert found[0].run_started.run == _RUN
    assert found[0].monotonic_ns == 5


@pytest.mark.parametrize(("wanted", "expected"), [(0, [1, 2, 3, 4]), (1, [1, 2, 3, 4]), (3, [1, 3, 4]), (5, [1, 5]), (99, [1, 5])])
async def test_a_reader_that_comes_back_goes_on_at_its_number(tap: _Tap, wanted: int, expected: list[int]) -> None:
    tap.ticks(3)
    async with link_reader(tap.path, _RUN, wanted) as reader:
        await reader.until(lambda found: len(found) >= min(len(expected), 1))
        if expected[-1] == 5:
            tap.ticks(1)
        found = await reader.until(lambda found: len(found) == len(expected))
    assert _sequences(found) == expected
    assert found[0].HasField("run_started")


async def test_a_reader_of_another_run_is_told_the_state_although_nothing_is_gone(tap: _Tap) -> None:
    tap.ticks(1)
    async with link_reader(tap.path, "another", 40) as reader:
        found = await reader.until_kind("tick")
    assert kinds(found) == ["run_started", "state_begin", "state_end", "tick"]
    assert _sequences(found) == [1, 1, 1, 2]


@pytest.mark.parametrize(("run", "wanted", "first_missing"), [(_RUN, 4, 4), (_RUN, 0, 2), ("", 0, 2), ("another", 9999, 2)])
async def test_what_is_gone_is_a_gap_and_the_state_of_what_is_open(small: _Tap, run: str, wanted: int, first_missing: int) -> None:
    small.execute()
    small.ticks(100)
    last_gone = small.ring.first_sequence - 1
    async with link_reader(small.path, run, wanted) as reader:
        found = await reader.until(lambda found: found[-1:] != [] and found[-1].sequence == small.ring.next_sequence - 1)
    assert kinds(found)[:6] == ["run_started", "gap", "state_begin", "open_stream", "open_stream", "state_end"]
    assert found[1].gap == tap_pb2.Gap(first=first_missing, last=last_gone)
    assert {record.sequence for record in found[1:6]} == {last_gone}
    assert [(record.connection, record.stream) for record in found[3:5]] == [(1, 0), (1, 1)]
    assert found[4].open_stream.stream_opened.method == EXECUTE
    assert _sequences(found[6:]) == list(range(last_gone + 1, small.ring.next_sequence))


async def test_a_slow_reader_falls_behind_and_holds_up_nobody(tmp_path: Path) -> None:
    tap = _Tap(tmp_path, 200_000)
    await tap.link.start()
    connection = tap.journal.connection(1, "execution", "p:1")
    connection.opened(1)
    connection.feed(2, records.TO_SERVER, PREFACE + settings() + Peer().request(1, EXECUTE))
    connection.work()
    async with link_reader(tap.path) as slow, link_reader(tap.path) as quick:
        await slow.until(lambda found: len(found) >= 3)
        await quick.until(lambda found: len(found) >= 3)
        data = grpc(bytes(8000))
        message = len(data).to_bytes(3, "big") + bytes((0, 0)) + (1).to_bytes(4, "big") + data
        for number in range(500):
            connection.feed(3, records.TO_SERVER, message)
            assert connection.work()
            tap.link.wake()
            await quick.until_kind("message", number + 1)
        assert kinds(quick.records).count("gap") == 0
        tap.ticks(1)
        found = await slow.until_kind("tick")
    assert kinds(found).count("gap") == 1
    gap = next(record for record in found if record.HasField("gap"))
    position = found.index(gap)
    assert found[position - 1].sequence == gap.gap.first - 1
    after = next(record for record in found[position:] if record.HasField("state_end"))
    rest = found[found.index(after) + 1 :]
    assert _sequences(rest) == list(range(gap.gap.last + 1, tap.ring.next_sequence))
    await tap.link.stop(1)


async def test_a_reader_that_is_behind_gets_everything_before_the_link_ends(tap: _Tap) -> None:
    async with link_reader(tap.path) as reader:
        await reader.until_kind("run_started")
        tap.ticks(20_000)
        stopping = asyncio.create_task(tap.link.stop(PATIENCE_S), name="stop")
        found = await reader.ended()
        await stopping
    assert _sequences(found) == list(range(1, tap.ring.next_sequence))


async def test_who_has_not_asked_for_anything_does_not_hold_up_the_end(tap: _Tap) -> None:
    reader, writer = await asyncio.open_unix_connection(tap.path)
    async with asyncio.timeout(PATIENCE_S):
        while not tap.link.readers:  # noqa: ASYNC110 - the other side's state sets no event
            await asyncio.sleep(0.01)
        await tap.link.stop(1000)
        assert await reader.read() == b""
    writer.close()


async def test_a_reader_that_never_reads_ends_with_the_link(tmp_path: Path) -> None:
    tap = _Tap(tmp_path, 2**22)
    await tap.link.start()
    tap.ticks(60_000)
    reader, writer = await asyncio.open_unix_connection(tap.path, limit=1024)
    writer.write(delimited(b""))
    await reader.readexactly(100)
    async with asyncio.timeout(PATIENCE_S):
        await tap.link.stop(0.05)
    assert not tap.path.exists()
    writer.close()


@pytest.mark.parametrize("bad", [b"\xff" * 11, b"\xff\xff\x03", b"\x02\x0a\x05", b"\x01\x0f"])
async def test_a_request_that_does_not_parse_ends_its_reader(tap: _Tap, bad: bytes, caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = await asyncio.open_unix_connection(tap.path)
    writer.write(bad)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read() == b""
    writer.close()
    assert "does not keep to its protocol" in caplog.text


async def test_a_request_may_come_in_pieces(tap: _Tap) -> None:
    reader, writer = await asyncio.open_unix_connection(tap.path)
    for byte in delimited(tap_pb2.ReadRequest(run=_RUN, next_sequence=1).SerializeToString()):
        writer.write(bytes((byte,)))
        await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE_S):
        assert await reader.read(1)
    writer.close()


def _acknowledgement(sequence: int) -> bytes:
    return delimited(tap_pb2.Acknowledgement(sequence=sequence).SerializeToString())


async def test_a_reader_that_acknowledges_is_behind_by_what_it_has_not(tap: _Tap) -> None:
    tap.ticks(5)
    reader, writer = await asyncio.open_unix_connection(tap.path)
    writer.write(delimited(b""))
    await until(lambda: tap.link.readers == 1 and tap.link.behind_bytes == 0)
    # In one piece with the next, in two pieces with the one after that.
    writer.write(_acknowledgement(2) + _acknowledgement(4)[:3])
    await until(lambda: tap.link.behind_bytes > 0)
    after_two = tap.link.behind_bytes
    writer.write(_acknowledgement(4)[3:])
    await until(lambda: tap.link.behind_bytes < after_two)
    assert tap.link.behind_bytes == tap.ring.end - (tap.ring.position_of(5) or 0)
    writer.write(_acknowledgement(6))
    await until(lambda: tap.link.behind_bytes == 0)
    writer.close()
    del reader


@pytest.mark.parametrize("bad", [_acknowledgement(3) + _acknowledgement(2), _acknowledgement(3) + b"\xff" * 11, b"\x02\x0a\x05"])
async def test_an_acknowledgement_that_is_none_ends_its_reader_and_nobody_else(
    tap: _Tap, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    tap.ticks(5)
    async with link_reader(tap.path) as other:
        reader, writer = await asyncio.open_unix_connection(tap.path)
        writer.write(delimited(b"") + bad)
        async with asyncio.timeout(PATIENCE_S):
            while await reader.read(65536):
                pass
        writer.close()
        assert "does not keep to its protocol" in caplog.text
        await other.until_kind("tick", 5)
        assert tap.link.readers == 1


async def test_readers_are_bounded(tap: _Tap) -> None:
    opened = [await asyncio.open_unix_connection(tap.path) for _ in range(65)]
    async with asyncio.timeout(PATIENCE_S):
        assert await opened[-1][0].read() == b""
    for _, writer in opened:
        writer.close()


async def test_the_socket_is_only_for_this_user_and_replaces_a_stale_one(tmp_path: Path) -> None:
    path = tmp_path / "state" / "tap.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    tap = _Tap(tmp_path, 1000)
    await tap.link.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    async with link_reader(path) as reader:
        await reader.until_kind("run_started")
    await tap.link.stop(1)


async def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "tap.sock"
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(StartError, match="state_dir"):
        await _Tap(tmp_path, 1000).link.start()
    assert path.read_text() == "precious"


async def test_a_path_that_is_too_long_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    with pytest.raises(StartError, match="state_dir"):
        await _Tap(folder, 1000).link.start()

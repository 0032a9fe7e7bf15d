"""Records over TCP, read by observe's own reader."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import ssl
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from gateway.config.trust import DialTls
from gateway.config.types import Address, RecordEndpoint, RecordLink, TapLimits
from gateway.errors import StartError
from gateway.observe import link as observing
from gateway.observe.dialling import TlsDial
from gateway.pb import tap_pb2
from gateway.tap.journal import Journal
from gateway.tap.link import Link
from gateway.tap.remote import RemoteListener
from gateway.tap.ring import Ring
from tests.certificates import Authority, Identity
from tests.tap.reading import EXECUTION
from tests.tap.running import PATIENCE_S, delimited, until


class _Tap:
    """A journal, its ring and its link, for readers of the same authority."""

    def __init__(self, folder: Path) -> None:
        self.authority = Authority(folder)
        self.identity = self.authority.issue("tap")
        self.remote = RemoteListener(
            RecordLink(Address("127.0.0.1", 0), self.identity.listener(self.authority.file), True, ()), process=0
        )
        self.ring = Ring(2**20)
        self.journal = Journal("run", 10**18, 5, [EXECUTION], TapLimits(), self.ring.append)
        self.link = Link(folder / "state" / "tap.sock", self.ring, self.journal, self.remote)

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.journal.tick(9)
        self.link.wake()

    def dial(self, tls: DialTls) -> TlsDial:
        return TlsDial(RecordEndpoint(self.remote.address, tls), "gateway.record_link.endpoints[0].tls")

    def trusted(self, identity: Identity | None = None) -> DialTls:
        return (identity or self.authority.issue("observer")).dial(self.authority.file, "localhost")


@pytest.fixture
async def tap(tmp_path: Path) -> AsyncIterator[_Tap]:
    tap = _Tap(tmp_path)
    await tap.link.start()
    await until(lambda: tap.remote.address.port != 0)
    yield tap
    await tap.link.stop(1)


class _Following:
    def __init__(self, dial: TlsDial) -> None:
        self.records: list[tap_pb2.TapRecord] = []
        self.link = observing.RecordLink(dial, self._position, self.records.extend)

    def _position(self) -> observing.Position:
        return observing.Position("run", self.records[-1].sequence + 1) if self.records else observing.Position("", 0)


@contextlib.asynccontextmanager
async def _following(dial: TlsDial) -> AsyncIterator[_Following]:
    following = _Following(dial)
    task = asyncio.create_task(following.link.follow(), name="follow")
    try:
        yield following
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_records_come_with_certificates_on_both_sides(tap: _Tap) -> None:
    tap.ticks(3)
    async with _following(tap.dial(tap.trusted())) as following:
        await until(lambda: len(following.records) >= 4)
        tap.ticks(20_000)
        await until(lambda: len(following.records) >= 20_004)
        assert [record.sequence for record in following.records] == list(range(1, 20_005))
        assert following.link.is_fresh


async def test_without_a_certificate_nothing_is_read(tap: _Tap, caplog: pytest.LogCaptureFixture) -> None:
    tap.ticks(3)
    context = ssl.create_default_context(cafile=str(tap.authority.file))
    address = tap.remote.address
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(address.host, address.port, ssl=context, server_hostname="localhost")
        # With TLS 1.3 a client is done before the server has looked.
        with contextlib.suppress(OSError):
            assert await reader.read(1) == b""
    writer.close()
    assert tap.link.readers == 0
    assert "did not return a certificate" in caplog.text


async def test_a_reader_of_another_authority_is_refused_and_knows_why(tap: _Tap, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    stranger = tap.trusted(other.issue("stranger"))
    async with _following(tap.dial(stranger)) as following:
        await until(lambda: following.link.problem not in (None, "not connected yet"))
        assert "client_ca_file there has to be of the authority of our cert_file" in str(following.link.problem)
    assert following.records == []


async def test_plaintext_and_silence_hold_up_nobody(tap: _Tap) -> None:
    tap.ticks(1)
    address = tap.remote.address
    silent = [await asyncio.open_connection(address.host, address.port) for _ in range(8)]
    _, plain = await asyncio.open_connection(address.host, address.port)
    plain.write(b"\0" * 100)
    async with _following(tap.dial(tap.trusted())) as following:
        await until(lambda: len(following.records) >= 2)
    for _, writer in [*silent, (None, plain)]:
        writer.close()


async def test_a_reader_that_never_reads_holds_up_nobody_and_no_memory(tap: _Tap) -> None:
    """It has TLS's buffers before the socket's; another reader goes on, and the link ends without it."""
    never = await tap.dial(tap.trusted()).open(1024)
    transport = cast("asyncio.Transport", never[1].transport)
    never[1].write(delimited(b""))
    await never[0].readexactly(1)
    transport.pause_reading()
    tap.ticks(1_000)
    tracemalloc.start()
    try:
        async with _following(tap.dial(tap.trusted())) as following:
            for _ in range(8):
                tap.ticks(1_000)
                await until(lambda: bool(following.records) and following.records[-1].sequence == tap.ring.next_sequence - 1)
                following.records[:-1] = []
            held, _ = tracemalloc.get_traced_memory()
            tap.ticks(20_000)
            await until(lambda: following.records[-1].sequence == tap.ring.next_sequence - 1)
            following.records[:-1] = []
            gc.collect()
            assert tracemalloc.get_traced_memory()[0] - held < 2**20
    finally:
        tracemalloc.stop()
    async with asyncio.timeout(PATIENCE_S):
        await tap.link.stop(0.05)
    transport.abort()


async def test_a_port_that_is_taken_is_said(tap: _Tap) -> None:
    identity = tap.identity.listener(tap.authority.file)
    with pytest.raises(StartError, match=r"gateway.record_link.listen: 127.0.0.1:\d+: Address already in use"):
        RemoteListener(RecordLink(tap.remote.address, identity, True, ()), process=0).check()


def test_each_process_has_a_port_of_its_own(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    link = RecordLink(Address("127.0.0.1", 7000), authority.issue("tap").listener(authority.file), True, ())
    assert [RemoteListener(link, process).address.port for process in range(3)] == [7000, 7001, 7002]

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import uvloop

from gateway.config.types import Address, Config, DialTls, RecordEndpoint, RecordLink, TapLimits
from gateway.errors import StartError
from gateway.observe.dialling import TlsDial
from gateway.pb import tap_pb2
from gateway.tap import publishing, role
from gateway.tap.journal import Journal
from gateway.tap.link import Link
from gateway.tap.ring import Ring
from tests.certificates import Authority
from tests.tap.reading import EXECUTION
from tests.tap.running import PATIENCE_S, LinkReader, RunningTap, configuration, delimited, free_port, running


def _published(tmp_path: Path, authority: Authority, port: int) -> Config:
    link = RecordLink(Address("127.0.0.1", port), authority.issue("tap").listener(authority.file))
    return replace(configuration(tmp_path / "state", free_port()), record_link=link)


@asynccontextmanager
async def _reader(port: int, tls: DialTls) -> AsyncIterator[LinkReader]:
    """As observe dials."""
    reader, writer = await TlsDial(RecordEndpoint(Address("127.0.0.1", port), tls), "endpoints[0].tls").open(65536)
    writer.write(delimited(tap_pb2.ReadRequest().SerializeToString()))
    try:
        yield LinkReader(reader, writer)
    finally:
        writer.transport.abort()


async def _is_refused(port: int, tls: DialTls) -> bool:
    try:
        async with _reader(port, tls) as reader:
            await reader.until_kind("tick")
    except (OSError, AssertionError):
        return True
    return False


async def test_a_reader_with_a_certificate_reads_what_the_unix_socket_has(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    tls = authority.issue("observe").dial(authority.file)
    async with running(_published(tmp_path, authority, port)) as tap, _reader(port, tls) as remote, tap.link() as local:
        found, expected = await remote.until_kind("tick"), await local.until_kind("tick")
    assert found[:2] == expected[:2]


async def test_a_reader_without_a_certificate_of_ours_reads_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority, port = Authority(tmp_path), free_port()
    stranger = Authority(tmp_path, "other").issue("stranger")
    async with running(_published(tmp_path, authority, port)) as tap:
        assert await _is_refused(port, authority.dial())
        assert await _is_refused(port, stranger.dial(authority.file))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(delimited(tap_pb2.ReadRequest().SerializeToString()) * 100)
        async with asyncio.timeout(PATIENCE_S):
            assert len(await reader.read()) < 20
        writer.close()
        async with _reader(port, authority.issue("observe").dial(authority.file)) as remote, tap.link() as local:
            await remote.until_kind("tick")
            await local.until_kind("tick")
    assert caplog.text.count("the record link is not for 127.0.0.1:") == 3


async def test_many_who_say_nothing_hold_up_readers_for_no_longer_than_a_handshake_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_HANDSHAKE_S", 0.5)
    authority, port = Authority(tmp_path), free_port()
    tls = authority.issue("observe").dial(authority.file)
    async with running(_published(tmp_path, authority, port)):
        silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await _is_refused(port, tls):
                    pass
        finally:
            for each in silent:
                each.close()


async def test_processes_publish_on_ports_in_a_row(tmp_path: Path) -> None:
    port = free_port()
    link = _published(tmp_path, Authority(tmp_path), port).record_link
    for process in (0, 1):
        published = publishing.publication(link, process, asyncio.Protocol)
        assert published is not None
        assert published.address == Address("127.0.0.1", port + process)
        await published.stop()


def test_what_cannot_be_published_is_told_at_a_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = _published(tmp_path, authority, port)
        with pytest.raises(StartError, match=rf"gateway\.record_link\.listen: 127\.0\.0\.1:{port}: Address already in use"):
            role.bind(config)
    (tmp_path / "tap.key").write_text("no key")
    with pytest.raises(StartError, match=r"gateway\.record_link\.tls\.key_file: .*tap\.key: no private key"):
        role.bind(config)


async def test_a_tap_that_was_started_goes_on_where_its_records_cannot_be_published(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = _published(tmp_path, Authority(tmp_path), free_port())
    listeners = role.bind(config)
    (tmp_path / "tap.key").write_text("no key")
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(role.run(config, listeners, stop), name="tap")
        async with asyncio.timeout(PATIENCE_S):
            while not config.record_sockets[0].exists():  # noqa: ASYNC110 - a file sets no event
                await asyncio.sleep(0.01)
        async with RunningTap(config, {}).link() as local:
            await local.until_kind("tick")
        stop.set()
    assert "until the tap is started again other machines cannot read its records" in caplog.text


async def _certificate(port: int, tls: DialTls) -> bytes:
    _, writer = await TlsDial(RecordEndpoint(Address("127.0.0.1", port), tls), "endpoints[0].tls").open(65536)
    shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return shown


async def test_a_certificate_that_is_renewed_is_shown_to_the_next_reader(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    tls = authority.issue("observe").dial(authority.file)
    async with running(_published(tmp_path, authority, port)):
        first = await _certificate(port, tls)
        authority.issue("tap")
        async with asyncio.timeout(PATIENCE_S):
            while await _certificate(port, tls) == first:  # noqa: ASYNC110 - what another process reads sets no event
                await asyncio.sleep(0.1)


def test_a_reader_that_never_reads_costs_no_more_than_its_buffers(tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    config = _published(tmp_path, authority, port)
    config = replace(config, tap=TapLimits(ring_bytes=2**20))

    async def traffic() -> tuple[int, int]:
        ring = Ring(config.tap.ring_bytes)
        journal = Journal("run", 10**18, 5, [EXECUTION], config.tap, ring.append)
        link = Link(config.record_sockets[0], ring, journal)
        await link.start()
        transports: list[asyncio.WriteTransport] = []

        def reader() -> asyncio.Protocol:
            made = link.reader()
            begin = made.connection_made

            def connection_made(transport: asyncio.BaseTransport) -> None:
                transports.append(cast("asyncio.WriteTransport", transport))
                begin(transport)

            made.connection_made = connection_made  # type: ignore[method-assign]  # to look at its transport
            return made

        published = publishing.publication(config.record_link, 0, reader)
        assert published is not None
        published.start()
        _, writer = await TlsDial(
            RecordEndpoint(Address("127.0.0.1", port), authority.issue("observe").dial(authority.file)), "endpoints[0].tls"
        ).open(1024)
        writer.write(delimited(tap_pb2.ReadRequest().SerializeToString()))
        decoder = journal.connection(1, "execution", "p:1")
        decoder.opened(1)
        most = 0
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(120):
                for _ in range(2000):
                    journal.tick(9)
                link.wake()
                await asyncio.sleep(0)
                most = max([most, *(each.get_write_buffer_size() for each in transports)])
        assert ring.used_bytes <= config.tap.ring_bytes + 64 * 1024
        readers = link.readers
        writer.transport.abort()
        await published.stop()
        await link.stop(0.1)
        return most, readers

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        most, readers = runner.run(traffic())
    assert readers == 1
    assert 0 < most <= 1024 * 1024

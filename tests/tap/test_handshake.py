from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.config.trust import DialTls
from gateway.errors import StartError
from gateway.pb import tap_pb2
from gateway.tap import handshake, role
from gateway.tls import DialContext, ListenerContext
from tests.certificates import Authority
from tests.tap.encrypted import SETTING, Peer, Wiring, connect, joined
from tests.tap.reading import kinds
from tests.tap.running import PATIENCE_S, LinkReader, RunningTap, listening, running

_BY = tap_pb2.ConnectionClosed
_DRAIN = b"POST /admin/scheduler/MAIN/set_drain_worker/w/1 HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def _tapped(
    tmp_path: Path, wiring: Wiring, dial_timeout_s: float = 10
) -> AsyncIterator[tuple[RunningTap, socket.socket, LinkReader]]:
    async with (
        listening() as upstream,
        running(wiring.configuration(tmp_path, upstream.getsockname()[1], dial_timeout_s)) as tap,
        tap.link() as link,
    ):
        yield tap, upstream, link


async def _accept(upstream: socket.socket) -> socket.socket:
    async with asyncio.timeout(PATIENCE_S):
        sock, _ = await asyncio.get_running_loop().sock_accept(upstream)
    return sock


async def _refusal(link: LinkReader) -> tuple[str, int, bool]:
    """Why upstream was refused, and how the connection was closed."""
    records = [record for record in await link.until_kind("connection_closed") if record.connection]
    assert kinds(records) == ["connection_opened", "upstream_refused", "connection_closed"]
    return records[1].upstream_refused.reason, records[2].connection_closed.by, records[2].connection_closed.reset


async def _closed(link: LinkReader, count: int = 1) -> list[tuple[int, bool]]:
    """How connections were closed before which nothing else was recorded of them."""
    records = [record for record in await link.until_kind("connection_closed", count) if record.connection]
    assert kinds(records).count("connection_opened") + count == len(records)
    return [(each.connection_closed.by, each.connection_closed.reset) for each in records if each.HasField("connection_closed")]


@pytest.mark.parametrize("mutual", [True, False])
async def test_both_sides_see_the_gateways_certificates(tmp_path: Path, mutual: bool) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=True, mutual=mutual)
    async with _tapped(tmp_path, wiring) as (tap, upstream, _), joined(tap, upstream, wiring) as (client, server):
        await client.send(b"up")
        assert await server.read(2) == b"up"
        await server.send(b"down")
        assert await client.read(4) == b"down"
        assert server.tls is not None
        assert bool(server.tls.getpeercert()) == mutual


@pytest.mark.parametrize(
    ("offered", "agreed", "asked"),
    [(["h2"], "h2", "h2"), (["http/1.1"], "http/1.1", None), (["http/1.1", "h2"], "h2", "h2"), ([], None, None)],
)
async def test_upstream_is_asked_for_h2_where_the_client_speaks_it_and_for_nothing_else_which_nativelink_would_refuse(
    tmp_path: Path, offered: list[str], agreed: str | None, asked: str | None
) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=True)
    assert wiring.client_context is not None
    if offered:
        wiring.client_context.set_alpn_protocols(offered)
    async with _tapped(tmp_path, wiring) as (tap, upstream, _), joined(tap, upstream, wiring) as (client, server):
        assert client.tls is not None
        assert server.tls is not None
        assert (client.tls.selected_alpn_protocol(), server.tls.selected_alpn_protocol()) == (agreed, asked)


@pytest.mark.parametrize("upstream_tls", [True, False])
async def test_an_admin_call_is_read_from_a_client_that_offers_nothing(tmp_path: Path, upstream_tls: bool) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=upstream_tls)
    async with _tapped(tmp_path, wiring) as (tap, upstream, link), joined(tap, upstream, wiring) as (client, server):
        await client.send(_DRAIN)
        assert await server.read(len(_DRAIN)) == _DRAIN
        await server.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        found = await link.until_kind("admin_call")
    call = next(record.admin_call for record in found if record.HasField("admin_call"))
    assert (call.request, call.status) == ("POST /admin/scheduler/MAIN/set_drain_worker/w/1", 200)


@pytest.mark.parametrize("shows", ["nothing", "another authority's"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_without_an_accepted_certificate_is_told_so_and_it_is_logged_once(
    tmp_path: Path, shows: str, version: ssl.TLSVersion, caplog: pytest.LogCaptureFixture
) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=False, mutual=True)
    other = Authority(tmp_path, "foreign").issue("foreign").dial(wiring.own.file)
    context = DialContext(wiring.own.dial() if shows == "nothing" else other, SETTING).current()
    context.maximum_version = version
    async with _tapped(tmp_path, wiring) as (tap, upstream, link):
        for _ in range(3):
            client = Peer(await connect(tap), context, "localhost")
            server = await _accept(upstream)
            with pytest.raises(ssl.SSLError, match=r"(?i)alert"):  # noqa: PT012 - TLS 1.3 tells after the client's handshake
                await client.shake()
                await client.read_end()
            assert await Peer(server).read_end() == b""
            client.sock.close()
            server.close()
        assert await _closed(link, 3) == [(_BY.TAP, False)] * 3
    words = "peer did not return a certificate" if shows == "nothing" else "its certificate is not accepted: "
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert told[0].startswith("tap execution: 127.0.0.1: ")
    assert words in told[0]


async def test_a_client_that_speaks_plaintext_is_refused_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with _tapped(tmp_path, Wiring(tmp_path, client=True, upstream=False)) as (tap, _, link):
        for said in (b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes(100)):
            client = Peer(await connect(tap))
            await client.send(said)
            await client.is_reset()
            client.sock.close()
        assert await _closed(link, 3) == [(_BY.TAP, False)] * 3
    assert "tap execution: 127.0.0.1: TLS: http request" in [record.getMessage() for record in caplog.records]
    assert len(caplog.records) == 2


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01"])
async def test_a_client_that_goes_before_it_has_said_anything_is_nothing_special(
    tmp_path: Path, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with _tapped(tmp_path, Wiring(tmp_path, client=True, upstream=True)) as (tap, _, link):
        client = Peer(await connect(tap))
        await client.send(said)
        await client.end()
        assert await client.read_end() == b""
        client.sock.close()
        assert await _closed(link) == [(_BY.CLIENT, False)]
    assert [record.getMessage() for record in caplog.records] == (
        ["tap execution: 127.0.0.1: the connection was ended during the TLS handshake"] if said else []
    )


async def test_a_client_that_resets_during_the_handshake_ends_the_connection(tmp_path: Path) -> None:
    async with _tapped(tmp_path, Wiring(tmp_path, client=True, upstream=False)) as (tap, upstream, link):
        client = Peer(await connect(tap))
        await client.send(b"\x16\x03\x01")
        server = Peer(await _accept(upstream))
        client.reset()
        assert await server.read_end() == b""
        server.sock.close()
        assert await _closed(link) == [(_BY.CLIENT, False)]


async def test_handshakes_that_are_under_way_hold_up_nobody(tmp_path: Path) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=True)
    async with _tapped(tmp_path, wiring, dial_timeout_s=60) as (tap, upstream, link), contextlib.AsyncExitStack() as sockets:
        for said in (b"", b"\x16", b"\x16\x03\x01\x02\x00") * 7:
            client = Peer(sockets.enter_context(await connect(tap)))
            await client.send(said)
            sockets.enter_context(await _accept(upstream))
        async with joined(tap, upstream, wiring) as (client, server):
            await client.send(b"at once")
            assert await server.read(7) == b"at once"
        found = await link.until_kind("connection_closed")
    assert kinds(found).count("connection_opened") == 22


async def test_a_clients_handshake_that_takes_too_long_ends_the_connection(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with _tapped(tmp_path, Wiring(tmp_path, client=True, upstream=True), 1) as (tap, upstream, link):
        clients = [Peer(await connect(tap)) for _ in range(2)]
        servers = [Peer(await _accept(upstream)) for _ in range(2)]
        await clients[0].send(b"\x16\x03\x01")
        for each in clients + servers:
            assert await each.read_end() == b""
            each.sock.close()
        assert await _closed(link, 2) == [(_BY.TAP, False)] * 2
    assert [record.getMessage() for record in caplog.records] == ["tap execution: 127.0.0.1: no TLS handshake within 1 s"]


async def test_different_complaints_are_bounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handshake, "_COMPLAINTS_MAX", 1)
    async with _tapped(tmp_path, Wiring(tmp_path, client=True, upstream=False)) as (tap, _, link):
        for said in (b"GET / HTTP/1.1\r\n\r\n", bytes(100)):
            client = Peer(await connect(tap))
            await client.send(said)
            await client.is_reset()
            client.sock.close()
        await _closed(link, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "tap execution: 127.0.0.1: TLS: http request",
        "tap execution: no more of such are told for a day",
    ]


async def _connects_to(tap: RunningTap, wiring: Wiring) -> Peer:
    """A client; where it has TLS, its own handshake is done."""
    client = Peer(await connect(tap), wiring.client_context, "localhost" if wiring.client_context else None)
    await client.shake()
    return client


@pytest.mark.parametrize("client_tls", [True, False])
async def test_upstream_with_a_certificate_of_another_authority_is_refused_and_the_client_reset(
    tmp_path: Path, client_tls: bool, caplog: pytest.LogCaptureFixture
) -> None:
    wiring = Wiring(tmp_path, client=client_tls, upstream=True)
    wiring.upstream_tls = Authority(tmp_path, "unrelated").dial()
    async with _tapped(tmp_path, wiring) as (tap, upstream, link):
        port = upstream.getsockname()[1]
        for _ in range(2):
            client = await _connects_to(tap, wiring)
            server = Peer(await _accept(upstream), wiring.server_context)
            with contextlib.suppress(ssl.SSLError):
                await server.shake()
                await server.read_end()
            assert await client.is_reset()
            client.sock.close()
            server.sock.close()
        found = await link.until_kind("connection_closed", 2)
    mine = [record for record in found if record.connection]
    assert kinds(mine) == ["connection_opened", "upstream_refused", "connection_closed"] * 2
    reason = mine[1].upstream_refused.reason
    assert reason.startswith(f"127.0.0.1:{port}: its certificate is not accepted: ")
    assert (mine[2].connection_closed.by, mine[2].connection_closed.reset) == (_BY.TAP, True)
    assert [record.getMessage() for record in caplog.records] == [f"tap execution: upstream does not answer: {reason}"]


async def test_upstream_for_another_name_is_refused_unless_that_is_its_name(tmp_path: Path) -> None:
    wiring = Wiring(tmp_path, client=False, upstream=True)
    wiring.upstream_tls = wiring.authority.dial("scheduler.internal")
    async with _tapped(tmp_path, wiring) as (tap, upstream, link):
        client = await _connects_to(tap, wiring)
        server = Peer(await _accept(upstream), wiring.server_context)
        with contextlib.suppress(ssl.SSLError):
            await server.shake()
            await server.read_end()
        assert await client.is_reset()
        reason, _, _ = await _refusal(link)
        client.sock.close()
        server.sock.close()
    assert "not valid for 'scheduler.internal'" in reason


@pytest.mark.parametrize("client_tls", [True, False])
@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "TLS: wrong version number"),
        (b"", "the connection was ended during the TLS handshake"),
    ],
    ids=["plaintext", "end"],
)
async def test_upstream_that_does_not_shake_hands_is_refused(tmp_path: Path, client_tls: bool, said: bytes, words: str) -> None:
    wiring = Wiring(tmp_path, client=client_tls, upstream=True)
    async with _tapped(tmp_path, wiring) as (tap, upstream, link):
        port = upstream.getsockname()[1]
        client = await _connects_to(tap, wiring)
        server = Peer(await _accept(upstream))
        assert await server.some()
        if said:
            await server.send(said)
        else:
            await server.end()
        assert await client.is_reset()
        assert await _refusal(link) == (f"127.0.0.1:{port}: {words}", _BY.TAP, True)
        client.sock.close()
        server.sock.close()


async def test_upstream_that_is_silent_in_the_handshake_is_refused(tmp_path: Path) -> None:
    wiring = Wiring(tmp_path, client=False, upstream=True)
    async with _tapped(tmp_path, wiring, dial_timeout_s=1) as (tap, upstream, link):
        port = upstream.getsockname()[1]
        client = await _connects_to(tap, wiring)
        with await _accept(upstream):
            assert await client.is_reset()
        assert await _refusal(link) == (f"127.0.0.1:{port}: no TLS handshake within 1 s", _BY.TAP, True)
        client.sock.close()


async def test_upstream_that_wants_a_certificate_of_ours_is_refused_with_its_own_words(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """In TLS 1.3 upstream says so only after the handshake, as far as we can see."""
    wiring = Wiring(tmp_path, client=True, upstream=True, mutual=True)
    wiring.upstream_tls = DialTls(wiring.authority.file)
    async with _tapped(tmp_path, wiring) as (tap, upstream, link):
        for _ in range(2):
            client = await _connects_to(tap, wiring)
            server = Peer(await _accept(upstream), wiring.server_context)
            with pytest.raises(ssl.SSLError, match=r"(?i)peer.did.not.return.a.certificate"):
                await server.shake()
            assert await client.is_reset()
            client.sock.close()
            server.sock.close()
        await link.until_kind("connection_closed", 2)
    refused = [record.upstream_refused.reason for record in link.records if record.HasField("upstream_refused")]
    assert len(refused) == 2
    assert refused[0].endswith("certificate required")
    assert len(caplog.records) == 1


async def test_upstream_that_answers_again_is_said_once_it_says_something(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wiring = Wiring(tmp_path, client=False, upstream=True)
    with caplog.at_level(logging.INFO):
        async with _tapped(tmp_path, wiring) as (tap, upstream, link):
            client = await _connects_to(tap, wiring)
            (await _accept(upstream)).close()
            assert await client.is_reset()
            client.sock.close()
            await link.until_kind("upstream_refused")
            async with joined(tap, upstream, wiring) as (client, server):
                assert "answers again" not in caplog.text
                await server.send(b"x")
                assert await client.read(1) == b"x"
    assert caplog.text.count("upstream answers again") == 1


async def test_new_connections_get_changed_certificates_and_open_ones_go_on(tmp_path: Path) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=False)

    def shown(client: Peer) -> object:
        certificate = client.tls and client.tls.getpeercert()
        assert certificate
        return certificate["serialNumber"]

    async with _tapped(tmp_path, wiring) as (tap, upstream, _), joined(tap, upstream, wiring) as (client, server):
        wiring.own.issue("gateway")
        before = after = shown(client)
        async with asyncio.timeout(PATIENCE_S):
            while after == before:
                async with joined(tap, upstream, wiring) as (newer, _):
                    after = shown(newer)
        assert shown(client) == before
        await client.send(b"still")
        assert await server.read(5) == b"still"


async def test_a_file_system_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, answers = threading.Event(), threading.Event()

    def look(_: ListenerContext) -> None:
        looking.set()
        answers.wait(PATIENCE_S)

    monkeypatch.setattr(ListenerContext, "look", look)
    wiring = Wiring(tmp_path, client=True, upstream=False)
    async with _tapped(tmp_path, wiring) as (tap, upstream, _):
        try:
            assert await asyncio.to_thread(looking.wait, PATIENCE_S)
            async with joined(tap, upstream, wiring) as (client, server):
                await client.send(b"x")
                assert await server.read(1) == b"x"
            assert not answers.is_set()
        finally:
            answers.set()


@pytest.mark.parametrize("shaken", [True, False])
async def test_handshakes_end_with_the_tap(tmp_path: Path, shaken: bool) -> None:
    """While the client's is under way, and while upstream's is."""
    wiring = Wiring(tmp_path, client=True, upstream=True)
    async with _tapped(tmp_path, wiring) as (tap, upstream, _):
        client = await _connects_to(tap, wiring) if shaken else Peer(await connect(tap))
        server = Peer(await _accept(upstream))
        if shaken:
            assert await server.some()
    assert await client.read_end() == b""
    assert await server.read_end() == b""
    client.sock.close()
    server.sock.close()


async def test_a_client_that_is_lost_during_upstreams_handshake_ends_both(tmp_path: Path) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=True)
    async with _tapped(tmp_path, wiring) as (tap, upstream, link):
        client = await _connects_to(tap, wiring)
        server = Peer(await _accept(upstream), wiring.server_context)
        client.reset()
        await server.shake()
        await server.is_reset()
        server.sock.close()
        await _closed(link)


def test_a_certificate_that_cannot_be_used_binds_nothing(tmp_path: Path) -> None:
    wiring = Wiring(tmp_path, client=True, upstream=True)
    config = wiring.configuration(tmp_path, 1)
    (tmp_path / "theirs.pem").unlink()
    with pytest.raises(StartError) as error:
        role.bind(config)
    assert str(error.value).startswith(f"gateway.taps[execution].upstream_tls.ca_file: {tmp_path}/theirs.pem: No such file")
    config = replace(config, taps=(replace(config.taps[0], upstream_tls=None),))
    os.truncate(tmp_path / "gateway.key", 0)
    with pytest.raises(StartError, match=r"gateway\.taps\[execution\]\.tls\.key_file: "):
        role.bind(config)

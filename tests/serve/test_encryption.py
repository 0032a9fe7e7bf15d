"""HTTP over TLS, and who shows a certificate."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from gateway.config.trust import CertificateRole, Credentials, Role
from gateway.config.types import Config
from gateway.errors import StartError
from gateway.serve.description.table import ROUTES
from gateway.serve.encryption import CurrentContext
from tests.certificates import Authority, Identity
from tests.serve.authentication.showing import new_token, shown
from tests.serve.builders import operation
from tests.serve.description.described import address
from tests.serve.events.listening import Parser
from tests.serve.implementer import Implementer
from tests.serve.running import PATIENCE_S, Client, serving
from tests.serve.test_routes import fill


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def server(authority: Authority) -> Identity:
    return authority.issue("server")


@pytest.fixture
async def config(config: Config, authority: Authority, server: Identity, implementer: Implementer) -> Config:
    fill(implementer)
    await implementer.start()
    return replace(config, http_tls=server.listener(authority.file))


def trusting(authority: Authority, own: Identity | None = None, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """Of a client that trusts an authority, and may show a certificate."""
    context = ssl.create_default_context(cafile=authority.file)
    if own is not None:
        context.load_cert_chain(own.cert_file, own.key_file)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_everything_is_answered_over_tls(config: Config, authority: Authority, version: ssl.TLSVersion) -> None:
    async with serving(config, tls=trusting(authority, version=version)) as client:
        for route in ROUTES:
            for method in route.methods:
                if route.method == "GET":
                    assert await client.status(address(route), method=method) in {200, 404}
        many = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20 + b"GET /livez HTTP/1.0\r\n\r\n"
        assert (await client.exchange(many)).count(b'{"status":"alive"}') == 21


async def test_events_come_over_tls(config: Config, authority: Authority, implementer: Implementer) -> None:
    async with serving(config, tls=trusting(authority)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port, ssl=client.tls)
        writer.write(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        parser = Parser()
        async with asyncio.timeout(PATIENCE_S):
            await reader.readuntil(b"\r\n\r\n")
            while len(parser.events) < 3:
                implementer.set(operations=[operation(20 + len(parser.events))])
                parser.feed(await reader.read(65_536))
        writer.transport.abort()
    assert parser.events[0].type == "snapshot"


async def test_before_tls_1_2_nothing_is_spoken_and_plaintext_is_not_answered_and_no_line_is_logged(
    config: Config, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(config, tls=trusting(authority)) as client:
        before = len(caplog.records)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old = trusting(authority, version=ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Client(client.port, tls=old).get("/livez")
        # A TLS alert, or nothing.
        assert (await Client(client.port).exchange(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"))[:1] in {b"", b"\x15"}
        stranger = Authority(authority.file.parent, "other")
        with pytest.raises(ssl.SSLCertVerificationError):
            await Client(client.port, tls=trusting(stranger)).get("/livez")
        assert (await client.get("/livez")).status == 200
    assert [record.message for record in caplog.records[before:] if record.levelno >= logging.WARNING] == []


async def test_browsers_are_told_to_stay_with_tls_but_for_localhost(config: Config, authority: Authority) -> None:
    async with serving(config, tls=trusting(authority)) as client:
        assert "Strict-Transport-Security" not in (await client.get("/livez")).headers
        for head in (
            "GET /livez HTTP/1.1\r\nHost: gateway.example.org",
            "GET /nothing HTTP/1.1\r\nHost: gateway.example.org:50062",
        ):
            answer = await client.exchange(f"{head}\r\nConnection: close\r\n\r\n".encode())
            assert b"\r\nStrict-Transport-Security: max-age=31536000\r\n" in answer
    async with serving(replace(config, http_tls=None)) as plain:
        answer = await plain.exchange(b"GET /livez HTTP/1.1\r\nHost: gateway.example.org\r\nConnection: close\r\n\r\n")
        assert b"Strict-Transport-Security" not in answer


@pytest.mark.parametrize("key_type", list(trustme.KeyType))
async def test_a_renewed_certificate_is_shown_to_the_next_connection_and_open_ones_go_on(
    config: Config, authority: Authority, monkeypatch: pytest.MonkeyPatch, key_type: trustme.KeyType
) -> None:
    monkeypatch.setattr("gateway.tls._LOOK_S", 0.0)
    async with serving(config, tls=trusting(authority)) as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", client.port, ssl=client.tls)
        before = writer.get_extra_info("peercert")["serialNumber"]
        authority.issue("server", key_type=key_type)
        _, later = await asyncio.open_connection("127.0.0.1", client.port, ssl=client.tls)
        assert later.get_extra_info("peercert")["serialNumber"] != before
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert await reader.readuntil(b"}")
        for each in (writer, later):
            each.close()
            await each.wait_closed()


async def test_a_certificate_that_is_spoiled_later_changes_nothing(
    config: Config, authority: Authority, server: Identity, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.tls._LOOK_S", 0.0)
    async with serving(config, tls=trusting(authority)) as client:
        server.key_file.write_text("nothing")
        assert (await client.get("/livez")).status == 200
    assert "gateway.http_tls.key_file" in caplog.text


def test_what_cannot_be_used_is_told_at_start(server: Identity) -> None:
    server.cert_file.unlink()
    with pytest.raises(StartError, match=r"gateway\.http_tls\.cert_file: .*No such file"):
        CurrentContext(server.listener())


def known(config: Config, *entries: CertificateRole) -> Config:
    return replace(config, credentials=Credentials(certificates=entries))


async def test_a_certificate_is_as_good_as_a_token_and_none_is_needed_for_one(config: Config, authority: Authority) -> None:
    grafana = authority.issue("grafana", "x.example.org", common_name="grafana")
    subject = x509.load_pem_x509_certificate(grafana.cert_file.read_bytes()).subject.rfc4514_string()
    assert subject.startswith("CN=grafana,")
    entries = CertificateRole(Role.OPERATOR, san="DNS:deploy.example.org"), CertificateRole(Role.READER, subject=subject)
    config = known(config, *entries)
    token = new_token(config)
    shows = {
        "deploy": trusting(authority, authority.issue("deploy", "deploy.example.org")),
        "grafana": trusting(authority, grafana),
        "other": trusting(authority, authority.issue("other", "other.example.org")),
        "nothing": trusting(authority),
    }
    statuses: dict[str, int] = {}
    async with serving(config, tls=shows["deploy"]) as client:
        for name, context in shows.items():
            asking = Client(client.port, tls=context)
            lines = {"": "", " and a token": shown(token), " and a bad token": shown("nlg_")}
            statuses |= {f"{name}{what}": await asking.status("/api/v1", headers=line) for what, line in lines.items()}
            assert await asking.status("/livez") == 200
    assert statuses == {
        "deploy": 200,
        "deploy and a token": 200,
        "deploy and a bad token": 401,
        "grafana": 200,
        "grafana and a token": 200,
        "grafana and a bad token": 401,
        "other": 401,
        "other and a token": 200,
        "other and a bad token": 401,
        "nothing": 401,
        "nothing and a token": 200,
        "nothing and a bad token": 401,
    }


async def test_a_certificate_that_no_authority_here_signed_or_that_has_ended_is_not_spoken_with(
    config: Config, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    theirs = Authority(tmp_path / "theirs")
    shutil.copy(theirs.file, tmp_path / "theirs.pem")
    ended = authority.issue("ended", "deploy.example.org", not_after=datetime.now(UTC) - timedelta(days=1))
    config = known(config, CertificateRole(Role.READER, san="DNS:deploy.example.org"))
    async with serving(config, tls=trusting(authority)) as client:
        for identity in (theirs.issue("deploy", "deploy.example.org"), ended):
            # With TLS 1.3 a client hears of it only when it reads.
            with suppress(ssl.SSLError, ConnectionError):
                asking = Client(client.port, tls=trusting(authority, identity))
                assert await asking.exchange(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n") == b""
        assert (await client.get("/livez")).status == 200

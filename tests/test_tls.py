from __future__ import annotations

import contextlib
import logging
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from trustme import KeyType

from gateway.config.trust import DialTls, ListenerTls
from gateway.errors import StartError
from gateway.tls import DialContext, ListenerContext
from tests.certificates import Authority, Identity, encrypt

SETTING = "gateway.taps[execution].tls"


class _Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def _shake(listener: ssl.SSLContext, dial: ssl.SSLContext, server_name: str) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends, after a handshake in memory."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = dial.wrap_bio(down, up, server_hostname=server_name)
    server = listener.wrap_bio(up, down, server_side=True)
    for _ in range(5):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    client.do_handshake()
    server.do_handshake()
    return client, server


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
@pytest.mark.parametrize("oldest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_ends_agree_on_names_and_protocols(authority: Authority, name: str, oldest: ssl.TLSVersion) -> None:
    listener = ListenerContext(authority.issue("own").listener(), SETTING, alpn=("h2", "http/1.1")).current()
    listener.maximum_version = oldest
    dial = DialContext(authority.dial(), SETTING, alpn=("h2",))
    client, server = _shake(listener, dial.current(), dial.server_name(name))
    assert (client.selected_alpn_protocol(), server.selected_alpn_protocol()) == ("h2", "h2")


def test_without_alpn_nothing_is_agreed_on(authority: Authority) -> None:
    listener = ListenerContext(authority.issue("own").listener(), SETTING, alpn=("h2",))
    client, _ = _shake(listener.current(), DialContext(authority.dial(), SETTING).current(), "localhost")
    assert client.selected_alpn_protocol() is None


def test_older_than_tls_1_2_is_refused(authority: Authority) -> None:
    listener = ListenerContext(authority.issue("own").listener(), SETTING)
    dial = DialContext(authority.dial(), SETTING)
    assert listener.current().minimum_version == dial.current().minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_certificate_for_another_name_is_refused_unless_that_name_is_given(authority: Authority) -> None:
    listener = ListenerContext(authority.issue("own", "scheduler.internal").listener(), SETTING).current()
    dial = DialContext(authority.dial(), SETTING)
    with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
        _shake(listener, dial.current(), dial.server_name("127.0.0.1"))
    dial = DialContext(authority.dial("scheduler.internal"), SETTING)
    _shake(listener, dial.current(), dial.server_name("127.0.0.1"))


def test_an_authority_that_is_not_ours_is_refused(authority: Authority, tmp_path: Path) -> None:
    listener = ListenerContext(authority.issue("own").listener(), SETTING).current()
    with pytest.raises(ssl.SSLCertVerificationError):
        _shake(listener, DialContext(Authority(tmp_path, "other").dial(), SETTING).current(), "localhost")
    with pytest.raises(ssl.SSLCertVerificationError):
        # The system's authorities.
        _shake(listener, DialContext(DialTls(), SETTING).current(), "localhost")


def test_peers_show_certificates_where_they_are_asked_for(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    listener = ListenerContext(authority.issue("own").listener(other.file), SETTING).current()
    listener.maximum_version = ssl.TLSVersion.TLSv1_2
    _shake(listener, DialContext(other.issue("peer").dial(authority.file), SETTING).current(), "localhost")
    for without in (authority.dial(), authority.issue("foreign").dial(authority.file)):
        with pytest.raises(ssl.SSLError):
            _shake(listener, DialContext(without, SETTING).current(), "localhost")


def _spoil_with(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _unlink(path: Path) -> None:
    path.unlink()


def _replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\nM", b"\nA", 1))


_DAMAGED = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("key", "spoil", "words"),
    [
        ("cert_file", _unlink, "No such file or directory"),
        ("key_file", _unlink, "No such file or directory"),
        ("client_ca_file", _unlink, "No such file or directory"),
        ("cert_file", _replace_by_directory, "Is a directory"),
        ("cert_file", _spoil_with(b""), "no certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it"),
        ("client_ca_file", _spoil_with(b"\x30\x82"), "no certificate in PEM form (-----BEGIN CERTIFICATE-----) is in it"),
        ("cert_file", _spoil_with(_DAMAGED), "certificate 1 in it is damaged"),
        ("client_ca_file", _spoil_with(_DAMAGED), "certificate 1 in it is damaged"),
        ("key_file", _spoil_with(b"hello"), "no private key in PEM form (-----BEGIN PRIVATE KEY-----) is in it"),
        ("key_file", _cut, "the private key cannot be used: "),
        ("key_file", encrypt, "the key is encrypted, and nobody is asked for a passphrase: store it plain"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_setting(
    authority: Authority, key: str, spoil: Callable[[Path], object], words: str
) -> None:
    tls = authority.issue("own").listener(authority.file)
    path: Path = getattr(tls, key)
    spoil(path)
    with pytest.raises(StartError) as error:
        ListenerContext(tls, SETTING)
    assert str(error.value).startswith(f"{SETTING}.{key}: {path}: {words}")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(authority: Authority) -> None:
    tls = authority.issue("own").listener()
    tls.key_file.chmod(0)
    with pytest.raises(StartError, match=r"key_file: .*: Permission denied"):
        ListenerContext(tls, SETTING)


@pytest.mark.parametrize("key_type", [KeyType.ECDSA, KeyType.RSA])
def test_a_key_of_another_certificate_is_an_error_that_names_both(authority: Authority, key_type: KeyType) -> None:
    own, other = authority.issue("own"), authority.issue("other", key_type=key_type)
    words = f"{SETTING}.key_file: {other.key_file}: the key does not belong to the certificate in {own.cert_file}"
    with pytest.raises(StartError) as error:
        ListenerContext(ListenerTls(own.cert_file, other.key_file), SETTING)
    assert str(error.value) == words
    with pytest.raises(StartError) as error:
        DialContext(Identity(own.cert_file, other.key_file).dial(authority.file), SETTING)
    assert str(error.value) == words


def test_the_second_certificate_of_a_chain_may_be_damaged_too(authority: Authority) -> None:
    own = authority.issue("own")
    own.cert_file.write_bytes(own.cert_file.read_bytes() + _DAMAGED)
    with pytest.raises(StartError, match="certificate 2 in it is damaged"):
        ListenerContext(own.listener(), SETTING)


def _serial(context: ssl.SSLContext, authority: Authority) -> object:
    """Of the certificate that a context shows."""
    client, _ = _shake(context, DialContext(authority.dial(), SETTING).current(), "localhost")
    shown = client.getpeercert()
    assert shown is not None
    return shown["serialNumber"]


def test_changed_files_are_read_again_and_looked_at_once_a_second(authority: Authority) -> None:
    clock = _Clock()
    listener = ListenerContext(authority.issue("own").listener(), SETTING, monotonic=clock)
    before = listener.current()
    first = _serial(before, authority)
    clock.now += 1
    assert listener.current() is before
    authority.issue("own")
    assert listener.current() is before
    clock.now += 1
    assert listener.current() is not before
    assert _serial(listener.current(), authority) != first
    assert _serial(before, authority) == first


def test_a_file_that_was_put_in_place_of_another_is_seen(authority: Authority, tmp_path: Path) -> None:
    """As Kubernetes does it: the names stay, the directory behind a link is another one."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Authority(tmp_path / name).issue("own")
    link = tmp_path / "current"
    link.symlink_to("one")
    clock = _Clock()
    tls = ListenerTls(link / "own.pem", link / "own.key", link / "ca.pem")
    listener = ListenerContext(tls, SETTING, monotonic=clock)
    before = listener.current()
    link.unlink()
    link.symlink_to("two")
    clock.now += 1
    assert listener.current() is not before


def test_what_got_worse_is_said_once_and_the_old_stays_in_use(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = _Clock()
    own = authority.issue("own")
    dial = DialContext(own.dial(authority.file), SETTING, monotonic=clock)
    before = dial.current()
    good = own.key_file.read_bytes()
    own.key_file.unlink()
    for _ in range(3):
        clock.now += 1
        assert dial.current() is before
    own.key_file.write_bytes(b"half")
    for _ in range(3):
        clock.now += 1
        assert dial.current() is before
    still = "what was read before stays in use"
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [
        f"{SETTING}.key_file: {own.key_file}: No such file or directory; {still}",
        f"{SETTING}.key_file: {own.key_file}: no private key in PEM form (-----BEGIN PRIVATE KEY-----) is in it; {still}",
    ]
    own.key_file.write_bytes(good)
    clock.now += 1
    assert dial.current() is not before


def _issued_until(authority: Authority, left: timedelta) -> Identity:
    return authority.issue("own", not_after=datetime.now(UTC) + left)


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(days=13, hours=12), "the certificate ends at "),
        (timedelta(hours=1), "the certificate ends at "),
        (timedelta(hours=-1), "the certificate ended at "),
    ],
)
def test_a_certificate_that_ends_soon_is_warned_of_once_a_day(
    authority: Authority, caplog: pytest.LogCaptureFixture, left: timedelta, words: str
) -> None:
    clock = _Clock()
    own = _issued_until(authority, left)
    listener = ListenerContext(own.listener(), SETTING, monotonic=clock)
    for hours in range(1, 49):
        listener.look()
        assert len(caplog.records) == (hours - 1) // 24 + 1
        clock.now += 3600
    (said, _) = caplog.records
    assert said.levelno == logging.WARNING
    assert said.getMessage().startswith(f"{SETTING}.cert_file: {own.cert_file}: {words}20")


def test_a_certificate_with_time_left_is_not_mentioned_until_two_weeks_before_its_end(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    clock, wall = _Clock(), _Clock()
    end = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
    own = authority.issue("own", not_after=end)
    listener = ListenerContext(own.listener(), SETTING, monotonic=clock, unix=wall)
    wall.now = (end - timedelta(days=14)).timestamp()
    listener.look()
    assert not caplog.records
    clock.now += 86_400
    wall.now += 1
    listener.look()
    assert "ends at 2049-12-31T23:59:59Z: renew it" in caplog.text


@pytest.mark.parametrize("year", [2049, 2050, 2200])
def test_ends_are_read_in_both_forms_of_time(authority: Authority, caplog: pytest.LogCaptureFixture, year: int) -> None:
    end = datetime(year, 2, 3, 4, 5, 6, tzinfo=UTC)
    tls = authority.issue("own", not_after=end).listener()
    ListenerContext(tls, SETTING, unix=end.timestamp).look()
    assert f"the certificate ended at {year}-02-03T04:05:06Z" in caplog.text


def test_a_renewed_certificate_that_ends_soon_is_warned_of_at_once(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = _Clock()
    listener = ListenerContext(authority.issue("own").listener(), SETTING, monotonic=clock)
    listener.look()
    _issued_until(authority, timedelta(days=2))
    clock.now += 1
    listener.look()
    assert "the certificate ends at" in caplog.text


def test_of_a_chain_the_first_end_counts_and_of_authorities_the_last(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Trusted authorities that have ended are usual in bundles, and harm nobody while another one is left."""
    soon = _issued_until(authority, timedelta(days=2)).cert_file.read_bytes()
    own = authority.issue("own")
    trusted = authority.file.with_name("bundle.pem")
    trusted.write_bytes(soon + authority.file.read_bytes())
    DialContext(own.dial(trusted), SETTING).look()
    assert not caplog.records
    own.cert_file.write_bytes(own.cert_file.read_bytes() + soon)
    trusted.write_bytes(soon)
    DialContext(own.dial(trusted), SETTING).look()
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [f"{SETTING}.ca_file", f"{SETTING}.cert_file"]


def test_a_reading_of_the_files_is_said(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    clock = _Clock()
    own = authority.issue("own")
    listener = ListenerContext(own.listener(), SETTING, monotonic=clock)
    authority.issue("own")
    clock.now += 1
    with caplog.at_level(logging.INFO):
        listener.look()
    assert [record.getMessage() for record in caplog.records] == [f"{SETTING}: read again: {own.cert_file}, {own.key_file}"]

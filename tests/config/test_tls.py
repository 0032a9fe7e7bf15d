from pathlib import Path

import pytest

from gateway.config.trust import DialTls, ListenerTls
from tests.config.files import loaded, problems, tap

LISTENER = {"cert_file": "/c.pem", "key_file": "/k.pem"}


def test_what_listens_has_a_certificate_and_its_key_and_may_ask_for_its_peers(tmp_path: Path) -> None:
    (plain,) = loaded(tmp_path, {"gateway": {"taps": [tap(tls=LISTENER)]}}).taps
    assert plain.tls == ListenerTls(Path("/c.pem"), Path("/k.pem"))
    (mutual,) = loaded(tmp_path, {"gateway": {"taps": [tap(tls={**LISTENER, "client_ca_file": "/a.pem"})]}}).taps
    assert mutual.tls == ListenerTls(Path("/c.pem"), Path("/k.pem"), Path("/a.pem"))
    assert problems(tmp_path, {"gateway": {"taps": [tap(tls={"certfile": "/c.pem"})]}}) == [
        'gateway.taps[0].tls.certfile: "/c.pem": no such key; the nearest is cert_file',
        "gateway.taps[0].tls.cert_file: missing: a PEM file with the certificate and its chain",
        "gateway.taps[0].tls.key_file: missing: the PEM file of its private key",
    ]


def test_what_is_dialled_may_say_nothing_and_of_a_certificate_both_halves(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"gateway": {"taps": [tap(upstream_tls={})]}}).taps[0].upstream_tls == DialTls()
    assert loaded(tmp_path, {"gateway": {"taps": [tap(upstream_tls=None)]}}).taps[0].upstream_tls is None
    assert problems(tmp_path, {"gateway": {"taps": [tap(upstream_tls={"key_file": "/k"})]}}) == [
        "gateway.taps[0].upstream_tls.cert_file: missing: a PEM file with key_file's certificate"
    ]
    assert problems(tmp_path, {"gateway": {"taps": [tap(upstream_tls={"cert_file": "/c"}, trust_all_peers=True)]}}) == [
        "gateway.taps[0].upstream_tls.key_file: missing: the PEM file of cert_file's private key"
    ]


def test_files_are_found_from_where_the_command_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (relative,) = loaded(tmp_path, {"gateway": {"taps": [tap(upstream_tls={"ca_file": "tls/ca.pem"})]}}).taps
    assert relative.upstream_tls == DialTls(tmp_path / "tls" / "ca.pem")


def test_a_cas_that_has_tls_is_not_read_unless_that_is_said(tmp_path: Path) -> None:
    """Without `cas` it is where clients execute, and that is dialled in plaintext."""
    assert loaded(tmp_path, {"gateway": {"taps": [tap()]}}).cas is not None
    assert loaded(tmp_path, {"gateway": {"taps": [tap(upstream_tls={})]}}).cas is None


def test_our_certificate_is_not_everybodys_unless_that_is_meant(tmp_path: Path) -> None:
    dial = {"cert_file": "/c", "key_file": "/k"}
    right = "taps[].tls.client_ca_file beside it: whoever connects here would speak to NativeLink with the gateway's right"
    assert problems(tmp_path, {"gateway": {"taps": [tap(tls=LISTENER, upstream_tls=dial)]}}) == [
        f'gateway.taps[0].upstream_tls.cert_file: "/c": {right}, unless trust_all_peers: true says that this is meant'
    ]
    assert loaded(tmp_path, {"gateway": {"taps": [tap(upstream_tls=dial, trust_all_peers=True)]}}).taps[0].trust_all_peers
    assert problems(tmp_path, {"gateway": {"taps": [tap(trust_all_peers="yes")]}}) == [
        'gateway.taps[0].trust_all_peers: "yes": true or false'
    ]

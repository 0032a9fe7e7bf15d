from pathlib import Path

import pytest

from gateway.config.trust import CertificateRole, Credentials, Jwt, ListenerTls, Role
from gateway.config.types import Authentication
from tests.config.files import loaded, problems


def gateway(authentication: str = "auto", **credentials: object) -> dict[str, object]:
    return {"gateway": {"authentication": authentication, "credentials": credentials}}


def test_nothing_is_configured_unless_it_is_said(tmp_path: Path) -> None:
    for config in (loaded(tmp_path), loaded(tmp_path, gateway()), loaded(tmp_path, {"gateway": {"credentials": None}})):
        assert config.authentication is Authentication.AUTO
        assert config.credentials == Credentials()
        assert config.tokens_file == config.state_dir / "tokens.json"


def test_what_is_said_counts_and_files_are_absolute(tmp_path: Path) -> None:
    config = loaded(tmp_path, gateway(tokens_file="tokens.json", local_read=True))
    assert config.credentials.local_read
    assert config.tokens_file == Path.cwd() / "tokens.json"
    assert loaded(tmp_path, gateway("required", tokens_file="${T:-/t}")).tokens_file == Path("/t")


def test_what_means_nothing_or_is_wrong_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path, gateway("required", local_read=True)) == [
        'gateway.credentials.local_read: true: false: with gateway.authentication "required" it means nothing'
    ]
    assert problems(tmp_path, gateway(tokens_file=5, local_read="yes", nothing="x")) == [
        "gateway.credentials.tokens_file: 5: a string",
        'gateway.credentials.local_read: "yes": true or false',
        'gateway.credentials.nothing: "x": no such key; the nearest is tokens_file',
    ]


ISSUER = {"issuer": "https://issuer.example", "audience": "gateway"}
TLS = {"cert_file": "/c", "key_file": "/k", "client_ca_file": "/a"}


def test_an_issuer_has_its_keys_in_a_file_or_at_an_address(tmp_path: Path) -> None:
    config = loaded(tmp_path, gateway(jwt={**ISSUER, "jwks_file": "/j"}))
    assert config.credentials.jwt == Jwt("https://issuer.example", "gateway", Path("/j"), None, "role", 30)
    whole = {**ISSUER, "jwks_url": "https://issuer.example/keys?x=1", "role_claim": "realm_access.roles", "clock_skew_s": 0}
    config = loaded(tmp_path, gateway(jwt=whole))
    assert config.credentials.jwt == Jwt(
        "https://issuer.example", "gateway", None, "https://issuer.example/keys?x=1", "realm_access.roles", 0
    )
    assert loaded(tmp_path, gateway(jwt=None)).credentials.jwt is None


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://issuer.example/keys",
            "http://127.0.0.1.example.org/",
            "https://",
            "https:///keys",
            "file:///keys",
            "issuer.example",
        ),
        *(
            "https://user:secret@issuer.example/",
            "https://issuer.example/#a",
            "https://[::1/",
            "https://a:0/",
            "https://a b/",
            "https://é/",
        ),
    ],
)
def test_keys_that_somebody_on_the_way_could_replace_are_not_fetched(tmp_path: Path, url: str) -> None:
    (problem,) = problems(tmp_path, gateway(jwt={**ISSUER, "jwks_url": url}))
    assert problem.endswith("https://HOST/PATH without a user, or http:// on loopback")


@pytest.mark.parametrize("url", ["http://localhost:8080/keys", "http://127.0.0.1/", "http://[::1]:1/"])
def test_on_loopback_they_may_come_in_plaintext(tmp_path: Path, url: str) -> None:
    assert loaded(tmp_path, gateway(jwt={**ISSUER, "jwks_url": url})).credentials.jwt is not None


def test_an_issuer_that_is_not_whole_is_told(tmp_path: Path) -> None:
    assert problems(tmp_path, gateway(jwt={})) == [
        "gateway.credentials.jwt.issuer: missing: what the issuer calls itself, `iss` of its tokens",
        "gateway.credentials.jwt.audience: missing: what the issuer calls the gateway, `aud` of its tokens",
        "gateway.credentials.jwt.jwks_file: missing: a file with the issuer's keys, a JSON Web Key Set, or jwks_url",
    ]
    both = {**ISSUER, "jwks_file": "/j", "jwks_url": "https://issuer.example/", "clock_skew_s": 601, "role_claim": "a" * 257}
    assert [each.partition(": ")[0].rpartition(".")[2] for each in problems(tmp_path, gateway(jwt=both))] == [
        "jwks_url",
        "role_claim",
        "clock_skew_s",
    ]


def test_certificates_have_a_role_by_subject_or_by_name_and_need_who_signs_them(tmp_path: Path) -> None:
    entries = [{"subject": "CN=grafana", "role": "reader"}, {"san": "URI:spiffe://example.org/deploy", "role": "operator"}]
    value = gateway(certificates=entries)
    assert problems(tmp_path, value) == [
        "gateway.http_tls.client_ca_file: missing: a PEM file with who signs gateway.credentials.certificates"
    ]
    value["gateway"] = {"credentials": {"certificates": entries}, "http_tls": TLS}
    config = loaded(tmp_path, value)
    assert config.http_tls == ListenerTls(Path("/c"), Path("/k"), Path("/a"))
    assert config.credentials.certificates == (
        CertificateRole(Role.READER, subject="CN=grafana"),
        CertificateRole(Role.OPERATOR, san="URI:spiffe://example.org/deploy"),
    )


def test_certificates_that_fit_nobody_are_told(tmp_path: Path) -> None:
    entries = [
        {"role": "reader"},
        {"subject": "CN=a", "san": "DNS:a", "role": "reader"},
        {"san": "a", "role": "admin"},
        {"san": "IP:"},
    ]
    value = {"gateway": {"credentials": {"certificates": entries}, "http_tls": TLS}}
    told = [each.removeprefix("gateway.credentials.certificates").partition(": ")[::2] for each in problems(tmp_path, value)]
    assert told == [
        ("[0].subject", "missing: the certificate's subject, CN=…,O=… as RFC 4514 writes it, or san"),
        ("[1].san", '"DNS:a": no san beside subject: one of both'),
        ("[2].san", '"a": a name of the certificate: DNS:…, URI:…, IP:…, email:…'),
        ("[2].role", '"admin": one of operator, reader'),
        ("[3].san", '"IP:": a name of the certificate: DNS:…, URI:…, IP:…, email:…'),
        ("[3].role", "missing: reader or operator"),
    ]

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.trust import CertificateRole, Role
from gateway.serve.authentication.caller import Identity, Kind
from gateway.serve.authentication.certificates import Certificates, subject_text

GRAFANA = ((("countryName", "CH"),), (("organizationName", "Example, Inc."),), (("commonName", "grafana"),))
NOW, LATER = 1_640_995_200.0, "Jan  1 00:00:00 2030 GMT"


def peer(subject: Any = GRAFANA, *names: tuple[str, str], not_after: str = LATER) -> dict[str, Any]:
    """As ssl.SSLObject.getpeercert has it."""
    return {"subject": subject, "subjectAltName": names, "notAfter": not_after}


def test_a_subject_is_written_as_rfc_4514_has_it() -> None:
    assert subject_text(GRAFANA) == "CN=grafana,O=Example\\, Inc.,C=CH"
    assert subject_text(((("commonName", "a"), ("userId", "b")),)) == "CN=a+UID=b"
    assert subject_text(()) == ""


ATTRIBUTES = {
    NameOID.COMMON_NAME: "commonName",
    NameOID.ORGANIZATION_NAME: "organizationName",
    NameOID.DOMAIN_COMPONENT: "domainComponent",
}
TEXTS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=20)


@given(st.lists(st.tuples(st.sampled_from([*ATTRIBUTES]), TEXTS), max_size=4))
@example([(NameOID.COMMON_NAME, " ")])
@example([(NameOID.COMMON_NAME, "  ")])
@example([(NameOID.COMMON_NAME, "# ")])
def test_a_subject_is_written_as_cryptography_writes_it(attributes: list[tuple[x509.ObjectIdentifier, str]]) -> None:
    theirs = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes]).rfc4514_string()
    assert subject_text(tuple(((ATTRIBUTES[oid], value),) for oid, value in attributes)) == theirs


def test_the_first_entry_that_fits_counts() -> None:
    known = Certificates(
        [
            CertificateRole(Role.OPERATOR, san="URI:spiffe://example.org/deploy"),
            CertificateRole(Role.READER, subject="CN=grafana,O=Example\\, Inc.,C=CH"),
            CertificateRole(Role.OPERATOR, subject="CN=grafana,O=Example\\, Inc.,C=CH"),
            CertificateRole(Role.READER, san="DNS:Prometheus.example.org"),
            CertificateRole(Role.READER, san="IP:192.0.2.1"),
        ]
    )

    def whose(certificate: dict[str, Any]) -> tuple[str, Role | None] | None:
        found = known.identify(certificate, NOW)
        assert found is None or found.kind is Kind.CERTIFICATE
        return None if found is None else (found.name, found.role)

    assert whose(peer()) == ("CN=grafana,O=Example\\, Inc.,C=CH", Role.READER)
    assert whose(peer((), ("URI", "spiffe://example.org/deploy"))) == ("URI:spiffe://example.org/deploy", Role.OPERATOR)
    assert whose(peer(GRAFANA, ("URI", "spiffe://example.org/deploy"))) == ("CN=grafana,O=Example\\, Inc.,C=CH", Role.OPERATOR)
    assert whose(peer((), ("DNS", "a"), ("DNS", "prometheus.EXAMPLE.org"))) == ("DNS:Prometheus.example.org", Role.READER)
    assert whose(peer((), ("IP Address", "192.0.2.1"))) == ("IP:192.0.2.1", Role.READER)
    for other in (
        peer(()),
        peer(GRAFANA[1:]),
        peer(((("commonName", "grafana,O=Example\\, Inc.,C=CH"),),)),
        peer((), ("DNS", "spiffe://example.org/deploy")),
        peer((), ("URI", "SPIFFE://example.org/deploy")),
        peer((), ("DNS", "x.prometheus.example.org")),
    ):
        assert whose(other) is None


def test_a_certificate_that_has_ended_meanwhile_is_nobodys() -> None:
    known = Certificates([CertificateRole(Role.READER, san="DNS:a")])
    certificate = peer((), ("DNS", "a"), not_after="Jan  1 00:00:00 2022 GMT")
    end = ssl.cert_time_to_seconds(certificate["notAfter"])
    assert known.identify(certificate, end) == Identity("DNS:a", Kind.CERTIFICATE, Role.READER)
    assert known.identify(certificate, end + 1) is None


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J"])
def test_a_name_fits_into_a_line_of_a_log(name: str) -> None:
    known = Certificates([CertificateRole(Role.READER, subject=f"CN={name}")])
    found = known.identify(peer(((("commonName", name),),)), NOW)
    assert found is not None
    assert found.name.isprintable()


def test_nothing_is_known_without_entries(tmp_path: Path) -> None:
    assert Certificates([]).identify(peer(), NOW) is None

"""Certificates: what TLS knows of a peer's certificate comes in, whose it is goes out.

That an authority of `gateway.http_tls.client_ca_file` signed it is TLS's to see to.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from gateway.config.trust import CertificateRole
from gateway.serve.authentication.caller import Identity, Kind, shown

_REMEMBERED = 256
#: As OpenSSL names attributes, and as RFC 4514 (3) does; others keep OpenSSL's name.
_SHORT = {
    "commonName": "CN",
    "localityName": "L",
    "stateOrProvinceName": "ST",
    "organizationName": "O",
    "organizationalUnitName": "OU",
    "countryName": "C",
    "streetAddress": "STREET",
    "domainComponent": "DC",
    "userId": "UID",
}
#: As Python names kinds of names, and as the configuration does.
_KINDS = {"IP Address": "IP"}
_SPECIAL = frozenset(',+"\\<>;')
#: Relative distinguished names: each a sequence of (attribute, value).
Name = tuple[tuple[tuple[str, str], ...], ...]


class Certificates:
    """Whose certificates are known."""

    def __init__(self, entries: Sequence[CertificateRole]) -> None:
        self._entries = tuple(entries)
        # The same few peers ask again and again; bounded, since an authority may sign any number.
        self._look_up = lru_cache(_REMEMBERED)(self._find)

    def identify(self, certificate: Mapping[str, Any], now: float) -> Identity | None:
        """Whose it is; None: nobody's, or not any more.

        Args:
            certificate: as `ssl.SSLObject.getpeercert` has it.
            now: Unix seconds; a connection may outlive the certificate that opened it.
        """
        if now > ssl.cert_time_to_seconds(certificate["notAfter"]):
            return None
        return self._look_up(certificate.get("subject", ()), certificate.get("subjectAltName", ()))

    def _find(self, name: Name, others: tuple[tuple[str, str], ...]) -> Identity | None:
        subject = subject_text(name)
        sans = {_folded(f"{_KINDS.get(kind, kind)}:{value}") for kind, value in others}
        for entry in self._entries:
            if entry.subject == subject if entry.subject is not None else _folded(entry.san or "") in sans:
                return Identity(shown(subject or entry.san or ""), Kind.CERTIFICATE, entry.role)
        return None


def subject_text(name: Name) -> str:
    """As RFC 4514 writes it: the most special first, what could be taken for something else escaped."""
    return ",".join("+".join(f"{_SHORT.get(key, key)}={_escaped(value)}" for key, value in each) for each in reversed(name))


def _escaped(value: str) -> str:
    text = "".join(f"\\{each}" if each in _SPECIAL else each for each in value)
    # Of a single space the end is escaped.
    if text.startswith("#") or (text.startswith(" ") and len(text) > 1):
        text = f"\\{text}"
    if text.endswith(" "):
        text = f"{text[:-1]}\\ "
    return text


def _folded(san: str) -> str:
    """Names of DNS are the same in any case."""
    kind, colon, value = san.partition(":")
    return f"{kind}{colon}{value.lower()}" if kind == "DNS" else san

"""Trust, the part of the resolved configuration that says who may do what: certificates of both sides, tokens, roles.

Files are named here and read by who uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path


class Role(Enum):
    """What somebody may do; the value is the word of configuration and credentials."""

    #: Everything that only shows.
    READER = "reader"
    #: Also what changes NativeLink.
    OPERATOR = "operator"

    def includes(self, other: Role) -> bool:
        """Whether this one may do what the other may."""
        return self is other or self is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class ListenerTls:
    """`tls` of something that listens. Files are PEM, and read again when they change."""

    #: The certificate and its chain.
    cert_file: Path
    #: Of the certificate, not encrypted.
    key_file: Path
    #: Peers must show a certificate of one of these; None: none is asked for.
    client_ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class DialTls:
    """`tls` of something that is dialled. Files are PEM, and read again when they change."""

    #: Who may have signed the other side's certificate; None: whom the system trusts.
    ca_file: Path | None = None
    #: Our own certificate; None: none is shown. With it `key_file`.
    cert_file: Path | None = None
    #: Of our own certificate, not encrypted.
    key_file: Path | None = None
    #: What the other side's certificate has to be for; None: the host that is dialled.
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class Jwt:
    """`gateway.credentials.jwt`: JSON Web Tokens of an issuer, for whom signing keys are asymmetric."""

    #: `iss` of every token.
    issuer: str
    #: What `aud` of every token has to have in it.
    audience: str
    #: The issuer's keys, a JSON Web Key Set; read again when it changes. It or `jwks_url`.
    jwks_file: Path | None = None
    #: Where the issuer has its keys; https, or http on loopback.
    jwks_url: str | None = None
    #: The claim that has the role, or a list with it; of a claim in a claim `outer.inner`.
    role_claim: str = "role"
    #: How far the issuer's clock may be off.
    clock_skew_s: int = 30


@dataclass(frozen=True, slots=True)
class CertificateRole:
    """`gateway.credentials.certificates[]`: what who shows a certificate may do. The first that fits counts."""

    #: What it may do.
    role: Role
    #: The certificate's subject as RFC 4514 writes it, `CN=grafana,O=Example`. It or `san`.
    subject: str | None = None
    #: A name of the certificate: `DNS:…`, `URI:…`, `IP:…` or `email:…`.
    san: str | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """`gateway.credentials`: what is accepted from who asks over HTTP."""

    #: Where tokens are kept; None: in state_dir, as soon as there are any.
    tokens_file: Path | None = None
    #: With `authentication` "auto": peers on this machine read without one, whatever there is.
    local_read: bool = False
    #: None: no JSON Web Tokens.
    jwt: Jwt | None = None
    #: Of certificates that an authority of `http_tls.client_ca_file` signed.
    certificates: tuple[CertificateRole, ...] = ()

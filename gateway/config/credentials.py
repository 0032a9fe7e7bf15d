"""`gateway.credentials` comes in, what is accepted from who asks over HTTP goes out.

Files are named here and read by who uses them.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.config.section import Section
from gateway.config.tls import read_file
from gateway.config.trust import CertificateRole, Credentials, Jwt, Role

_CLAIM_MAX = 256
_SKEW_MAX_S = 600
_NAMES = ("DNS:", "URI:", "IP:", "email:")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def read_credentials(section: Section) -> Credentials:
    """What is not said is as it is without credentials."""
    credentials = Credentials(
        tokens_file=read_file(section, "tokens_file"),
        local_read=section.flag("local_read", default=False),
        jwt=_jwt(section),
        certificates=tuple(found for each in section.sections("certificates") if (found := _certificate(each)) is not None),
    )
    section.end()
    return credentials


def _jwt(owner: Section) -> Jwt | None:
    """None where it is absent, null, or not whole."""
    if not owner.has("jwt"):
        owner.section("jwt")
        return None
    section = owner.section("jwt")
    issuer, audience = section.string("issuer"), section.string("audience")
    section.missing("issuer", "what the issuer calls itself, `iss` of its tokens")
    section.missing("audience", "what the issuer calls the gateway, `aud` of its tokens")
    jwks_file, jwks_url = read_file(section, "jwks_file"), _url(section)
    if section.has("jwks_file") and section.has("jwks_url"):
        section.wrong("jwks_url", "no jwks_url beside jwks_file: one of both")
    elif not section.has("jwks_url"):
        section.missing("jwks_file", "a file with the issuer's keys, a JSON Web Key Set, or jwks_url")
    role_claim = section.string("role_claim") or "role"
    if len(role_claim) > _CLAIM_MAX:
        section.wrong("role_claim", f"a name of {_CLAIM_MAX} characters at most")
    clock_skew_s = section.integer("clock_skew_s", 30, least=0, most=_SKEW_MAX_S)
    section.end()
    if issuer is None or audience is None:
        return None
    return Jwt(issuer, audience, jwks_file, jwks_url, role_claim, clock_skew_s)


def _url(section: Section) -> str | None:
    """Keys that anybody on the way can replace are everybody's credentials."""
    text = section.string("jwks_url")
    if text is None:
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    is_safe = host is not None and (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK))
    is_plain = text.isascii() and text.isprintable() and not set(" #@") & set(text)
    if not is_safe or not is_plain or port == 0:
        section.wrong("jwks_url", "https://HOST/PATH without a user, or http:// on loopback")
        return None
    return text


def _certificate(section: Section) -> CertificateRole | None:
    subject, san = section.string("subject"), section.string("san")
    if san is not None and not (san.startswith(_NAMES) and not san.endswith(":")):
        section.wrong("san", f"a name of the certificate: {', '.join(f'{each}…' for each in _NAMES)}")
    if section.has("subject") and section.has("san"):
        section.wrong("san", "no san beside subject: one of both")
    elif not section.has("san"):
        section.missing("subject", "the certificate's subject, CN=…,O=… as RFC 4514 writes it, or san")
    section.missing("role", "reader or operator")
    role = section.word("role", Role, Role.READER)
    section.end()
    return CertificateRole(role, subject, san) if subject or san else None

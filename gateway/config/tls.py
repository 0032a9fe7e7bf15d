"""The TLS objects of a configuration file, of what listens and of what is dialled.

Files are named here and read by who uses them.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.config.section import Section
from gateway.config.trust import DialTls, ListenerTls


def read_listener_tls(owner: Section, key: str = "tls") -> ListenerTls | None:
    """`{cert_file, key_file, client_ca_file}`; None where it is absent, null, or not whole."""
    if not owner.has(key):
        owner.section(key)
        return None
    section = owner.section(key)
    cert_file, key_file, client_ca_file = (read_file(section, each) for each in ("cert_file", "key_file", "client_ca_file"))
    section.end()
    section.missing("cert_file", "a PEM file with the certificate and its chain")
    section.missing("key_file", "the PEM file of its private key")
    return ListenerTls(cert_file, key_file, client_ca_file) if cert_file and key_file else None


def read_dial_tls(owner: Section, key: str = "tls") -> DialTls | None:
    """`{ca_file, cert_file, key_file, server_name}`; None where it is absent or null: `{}` is TLS with the system's authorities."""
    if not owner.has(key):
        owner.section(key)
        return None
    section = owner.section(key)
    ca_file, cert_file, key_file = (read_file(section, each) for each in ("ca_file", "cert_file", "key_file"))
    server_name = section.string("server_name")
    section.end()
    if cert_file and not key_file:
        section.missing("key_file", "the PEM file of cert_file's private key")
    if key_file and not cert_file:
        section.missing("cert_file", "a PEM file with key_file's certificate")
    return DialTls(ca_file, cert_file, key_file, server_name)


def read_file(section: Section, key: str) -> Path | None:
    """The path of a file; absolute, since the roles run in another directory."""
    text = section.string(key)
    return Path(os.path.abspath(text)) if text else None  # noqa: PTH100 # Path.resolve follows links, which change when certificates are renewed

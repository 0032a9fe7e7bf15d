"""`gateway.introspection` comes in, where `observe` answers and whom `serve` reads goes out."""

from __future__ import annotations

from gateway.config.section import Section
from gateway.config.tls import read_dial_tls, read_listener_tls
from gateway.config.types import Address, Introspection

_BOTH = "introspection goes over TCP with certificates on both sides only"


def read_introspection(section: Section) -> Introspection:
    """Over TCP it is mutual TLS or nothing; only what answers on loopback, as another implementer may, is dialled without."""
    listen, tls = section.address("listen"), read_listener_tls(section)
    endpoint, endpoint_tls = section.address("endpoint"), read_dial_tls(section, "endpoint_tls")
    section.end()
    if listen is not None and (tls is None or tls.client_ca_file is None):
        _wanted(section, "tls", f"{{ cert_file, key_file, client_ca_file }}: {_BOTH}")
        listen = None
    if tls is not None and not section.has("listen"):
        section.missing("listen", "HOST:PORT to answer serve of other machines at, or no tls")
    if endpoint_tls is not None:
        # grpc brings a list of authorities of its own: whom the system trusts, it does not know.
        if endpoint_tls.cert_file is None or endpoint_tls.ca_file is None:
            section.wrong("endpoint_tls", f"{{ ca_file, cert_file, key_file }}: {_BOTH}")
        section.missing("endpoint", "HOST:PORT of gateway.introspection.listen on the machine of observe, or no endpoint_tls")
    elif endpoint is not None and not _is_loopback(endpoint):
        _wanted(section, "endpoint_tls", f"{{ ca_file, cert_file, key_file }}: {_BOTH}, except to this machine's loopback")
    return Introspection(listen, tls, endpoint, endpoint_tls)


def _wanted(section: Section, key: str, right: str) -> None:
    if section.has(key):
        section.wrong(key, right)
    else:
        section.missing(key, right)


def _is_loopback(address: Address) -> bool:
    return address.host in {"localhost", "::1"} or address.host.startswith("127.")

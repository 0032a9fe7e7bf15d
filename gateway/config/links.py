"""`gateway.record_link` comes in, where records come from besides this machine's unix sockets goes out."""

from __future__ import annotations

from gateway.config.section import Section
from gateway.config.tls import read_dial_tls, read_listener_tls
from gateway.config.types import RecordEndpoint, RecordLink

#: Far above any deployment.
_ENDPOINTS_MAX = 64


def read_record_link(section: Section) -> RecordLink:
    """Over TCP the record link is mutual TLS or nothing: what it carries would let anybody read along."""
    listen, tls = section.address("listen"), read_listener_tls(section)
    local = section.flag("local", default=True)
    entries = section.sections("endpoints")
    if len(entries) > _ENDPOINTS_MAX:
        section.wrong("endpoints", f"at most {_ENDPOINTS_MAX} taps")
    endpoints = tuple(each for entry in entries[:_ENDPOINTS_MAX] if (each := _endpoint(entry)) is not None)
    section.end()
    if not local and not section.has("endpoints"):
        section.missing("endpoints", "the record links of taps on other machines, where local is false")
    if listen is not None and (tls is None or tls.client_ca_file is None):
        wanted = "{ cert_file, key_file, client_ca_file }: records go over TCP with certificates on both sides only"
        if section.has("tls"):
            section.wrong("tls", wanted)
        else:
            section.missing("tls", wanted)
        listen = None
    if tls is not None and not section.has("listen"):
        section.missing("listen", "HOST:PORT to publish records at, or no tls")
    return RecordLink(listen, tls, local, endpoints)


def _endpoint(entry: Section) -> RecordEndpoint | None:
    endpoint, tls = entry.address("endpoint"), read_dial_tls(entry)
    entry.end()
    entry.missing("endpoint", "HOST:PORT of gateway.record_link.listen on the tap's machine")
    if tls is None or tls.cert_file is None:
        wanted = "{ cert_file, key_file } and mostly ca_file: records go over TCP with certificates on both sides only"
        if entry.has("tls"):
            entry.wrong("tls", wanted)
        else:
            entry.missing("tls", wanted)
        return None
    return RecordEndpoint(endpoint, tls) if endpoint else None

"""Encryption: `gateway.http_tls` comes in, what makes each new connection's TLS of the files as they are then goes out."""

from __future__ import annotations

import ssl
from typing import Self

from gateway.config.trust import ListenerTls
from gateway.tls import ListenerContext

SETTING = "gateway.http_tls"


class CurrentContext(ssl.SSLContext):
    """What a server takes for its context, whose connections get the one that is current when they come."""

    def __new__(cls, _: ListenerTls) -> Self:
        """Called by Python with the arguments of `__init__`."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, tls: ListenerTls) -> None:
        """Reads the files.

        Raises:
            StartError: they cannot be used.
        """
        # Whoever shows no certificate may show a token, or ask /livez.
        self._listener = ListenerContext(tls, SETTING, alpn=("http/1.1",), is_optional=True)

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Called by the loop for each connection."""
        return self._listener.current().wrap_bio(incoming, outgoing, server_side, server_hostname, session)

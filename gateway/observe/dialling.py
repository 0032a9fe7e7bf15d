"""Where a record link is dialled: a unix socket of this machine, or a tap of another one over mutual TLS."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from gateway.config.types import Config, RecordEndpoint
from gateway.tls import DialContext

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Dial(Protocol):
    """One record link's address; `str` says it to a person."""

    #: What may be wrong when the tap ends the connection without a word.
    hint: str

    async def open(self, limit: int) -> Streams:
        """Connect; `limit` is of the reader's buffer.

        Raises:
            OSError: nobody answers, or with no certificate that we trust.
        """
        ...


class UnixDial:
    """A tap process of this machine."""

    hint = ""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    async def open(self, limit: int) -> Streams:
        """As of Dial."""
        return await asyncio.open_unix_connection(str(self._path), limit=limit)


class TlsDial:
    """A tap process of another machine."""

    # asyncio ends a handshake that fails on the server's side without an alert.
    hint = " before it said anything: the client_ca_file there has to be of the authority of our cert_file"

    def __init__(self, endpoint: RecordEndpoint, setting: str) -> None:
        """`setting` names it in the configuration.

        Raises:
            StartError: a certificate cannot be used.
        """
        self._address = endpoint.endpoint
        self._context = DialContext(endpoint.tls, setting)

    def __str__(self) -> str:
        return str(self._address)

    async def open(self, limit: int) -> Streams:
        """As of Dial."""
        host, port = self._address.host, self._address.port
        context = self._context
        return await asyncio.open_connection(
            host, port, ssl=context.current(), server_hostname=context.server_name(host), limit=limit
        )


def local_names(config: Config) -> list[str]:
    """The record links of this machine's tap processes."""
    return [path.stem for path in config.record_sockets] if config.record_link.local else []


def dials(config: Config) -> dict[str, Dial]:
    """Every record link that is followed, by its name: of a unix socket its file's, of another machine host:port.

    Raises:
        StartError: a certificate cannot be used.
    """
    found: dict[str, Dial] = {}
    if config.record_link.local:
        found.update((path.stem, UnixDial(path)) for path in config.record_sockets)
    for index, endpoint in enumerate(config.record_link.endpoints):
        found[str(endpoint.endpoint)] = TlsDial(endpoint, f"gateway.record_link.endpoints[{index}].tls")
    return found

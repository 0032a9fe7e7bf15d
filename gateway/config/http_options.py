"""`gateway.http` comes in, how many may connect and whose pages may read goes out."""

from __future__ import annotations

import re

from gateway.config.section import Section
from gateway.config.types import HttpOptions

_CONNECTIONS_MAX = 1_000_000
_ORIGINS_MAX = 100
#: RFC 6454 6.2, of a host that browsers would not write in another way.
_ORIGIN = re.compile(r"(?P<scheme>https?)://(?:[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII)
_PORT_MAX = 65_535
_PORTS = {"http": "80", "https": "443"}
_RIGHT = (
    "an origin, https://HOST or https://HOST:PORT (or http): each by name, no *, no path, and no port that its scheme has anyway"
)


def read_http_options(section: Section) -> HttpOptions:
    """What is not said is the default."""
    default = HttpOptions()
    options = HttpOptions(
        connections_per_peer=section.integer("connections_per_peer", default.connections_per_peer, least=1, most=_CONNECTIONS_MAX),
        connections=section.integer("connections", default.connections, least=1, most=_CONNECTIONS_MAX),
        cors_origins=_origins(section),
    )
    section.end()
    return options


def _origins(section: Section) -> tuple[str, ...]:
    """In lower case, as browsers send them."""
    origins: dict[str, None] = {}
    for path, text in section.string_list("cors_origins", 'origins, "https://dash.example"', most=_ORIGINS_MAX):
        origin = text.lower()
        parts = _ORIGIN.fullmatch(origin)
        port = parts["port"] if parts is not None else None
        if parts is None or (port is not None and (port == _PORTS[parts["scheme"]] or int(port) > _PORT_MAX)):
            section.reading.problems.add(path, text, _RIGHT)
        else:
            origins[origin] = None
    return tuple(origins)

"""`gateway.http` comes in, how many may connect goes out."""

from __future__ import annotations

from gateway.config.section import Section
from gateway.config.types import HttpOptions

_CONNECTIONS_MAX = 1_000_000


def read_http_options(section: Section) -> HttpOptions:
    """What is not said is the default."""
    default = HttpOptions()
    options = HttpOptions(
        connections_per_peer=section.integer("connections_per_peer", default.connections_per_peer, least=1, most=_CONNECTIONS_MAX),
        connections=section.integer("connections", default.connections, least=1, most=_CONNECTIONS_MAX),
    )
    section.end()
    return options

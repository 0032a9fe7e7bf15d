"""Asked: a request, as far as handlers look at it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.serve.target import Target


@dataclass(frozen=True, slots=True)
class Asked:
    """What every handler gets."""

    target: Target
    #: Accept; "": none.
    media: str
    #: Accept-Encoding; "": none.
    accepts: str
    #: If-None-Match; None: none.
    if_none_match: str | None
    #: Last-Event-ID; None: none.
    last_event_id: str | None = None

"""Asked: a request, as far as handlers look at it."""

from __future__ import annotations

import msgspec

from gateway.serve.target import Target


class Asked(msgspec.Struct, frozen=True):
    """What every handler gets. A struct, since every request makes one."""

    target: Target
    #: Accept; "": none.
    media: str
    #: Accept-Encoding; "": none.
    accepts: str
    #: If-None-Match; None: none.
    if_none_match: str | None
    #: Last-Event-ID; None: none.
    last_event_id: str | None = None

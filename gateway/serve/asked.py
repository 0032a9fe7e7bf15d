"""Asked: a request, as far as handlers that only read look at it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from aiohttp.hdrs import ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH, LAST_EVENT_ID

from gateway.serve.target import Target


class Asked(msgspec.Struct, frozen=True):
    """What every such handler gets. A struct, since every request makes one; of headers, few are looked at by each."""

    target: Target
    #: What stands for `{id}` in the path; "": nothing.
    id: str
    headers: Mapping[str, str]

    @property
    def media(self) -> str:
        """Accept; "": none."""
        return self.headers.get(ACCEPT, "")

    @property
    def accepts(self) -> str:
        """Accept-Encoding; "": none."""
        return self.headers.get(ACCEPT_ENCODING, "")

    @property
    def if_none_match(self) -> str | None:
        """If-None-Match; None: none."""
        return self.headers.get(IF_NONE_MATCH)

    @property
    def last_event_id(self) -> str | None:
        """Last-Event-ID; None: none."""
        return self.headers.get(LAST_EVENT_ID)

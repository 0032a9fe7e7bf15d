"""Fixed: a body that never changes comes in; replies with it go out, tagged, and compressed for who wants it so."""

from __future__ import annotations

from gateway.serve.asked import Asked
from gateway.serve.encodings import IDENTITY, LEAST_BYTES, choose, compress
from gateway.serve.reply import NOT_MODIFIED, Reply
from gateway.serve.validators import body_tag, has_already


class Fixed:
    """One body; it is short enough to be compressed on the loop, once for each coding."""

    def __init__(self, body: bytes) -> None:
        """Args: JSON."""
        self._body = body
        #: {coding: (entity tag, the body in it)}
        self._twins: dict[str, tuple[str, bytes]] = {}

    def reply(self, asked: Asked) -> Reply:
        """The answer to who asks."""
        coding = choose(asked.accepts) if len(self._body) >= LEAST_BYTES else IDENTITY
        twin = self._twins.get(coding)
        if twin is None:
            body = self._body if coding == IDENTITY else compress(coding, self._body)
            twin = self._twins[coding] = (body_tag(self._body, coding), body)
        tag, body = twin
        reply = Reply(b"", status=NOT_MODIFIED) if has_already(asked.if_none_match, tag) else Reply(body)
        reply.headers["ETag"] = tag
        if coding != IDENTITY and reply.status != NOT_MODIFIED:
            reply.headers["Content-Encoding"] = coding
        return reply

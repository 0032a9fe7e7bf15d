"""Problems: whatever keeps a request from success comes in, `{"error": …}` with its status goes out.

Nowhere else is an error made into an answer.
"""

from __future__ import annotations

import logging

from aiohttp import web

from gateway.serve.reply import Reply
from gateway.serve.shape import ProblemJson, to_json

#: Seconds after which a client that came too early may come again: a snapshot is a matter of one.
RETRY_AFTER_S = 1
#: Of what a client sent, so many characters are repeated to it.
_QUOTED_CHARACTERS = 200

logger = logging.getLogger(__name__)


class ProblemError(Exception):
    """A request that cannot be answered as asked; the text is for the person who sent it."""

    def __init__(self, status: int, text: str, headers: dict[str, str] | None = None, *, closes: bool = False) -> None:
        """Args: status and text; headers besides those of every answer; whether the connection ends with it."""
        super().__init__(text)
        self.status = status
        self.headers = headers
        self.closes = closes

    def reply(self) -> Reply:
        """The answer."""
        reply = problem_reply(self.status, str(self), self.headers)
        if self.closes:
            reply.force_close()
        return reply


def problem_reply(status: int, text: str, headers: dict[str, str] | None = None) -> Reply:
    """The documented body of an error."""
    return Reply(to_json(ProblemJson(text)), status=status, headers=headers)


def bad_request(text: str) -> ProblemError:
    """400: the address says something that is not understood."""
    return ProblemError(400, text)


def not_found(what: str) -> ProblemError:
    """404, in the documented words: `Worker worker-123 not found`."""
    return ProblemError(404, f"{what} not found")


def not_ready(text: str) -> ProblemError:
    """503 with Retry-After."""
    return ProblemError(503, text, {"Retry-After": str(RETRY_AFTER_S)})


def quoted(text: str) -> str:
    """A piece of the request, repeated in an answer: cut to a bound."""
    return text if len(text) <= _QUOTED_CHARACTERS else f"{text[:_QUOTED_CHARACTERS]}…"


def error_reply(request: web.BaseRequest, error: Exception) -> Reply:
    """What is said of whatever was raised: of a problem what it says, of a defect 500 without details, which are in the log."""
    if isinstance(error, ProblemError):
        return error.reply()
    logger.error("a request failed: %s %s", request.method, quoted(request.raw_path), exc_info=error)
    return problem_reply(500, "Internal error; details are in the log of nativelink-gateway serve")

"""Why a question has no answer, and the one place where that becomes a gRPC status.

RefusedError            code and text go to the caller as they are
├── NotFoundError       NOT_FOUND
├── InvalidError        INVALID_ARGUMENT: names the field and what would be right
├── TooSlowError        RESOURCE_EXHAUSTED: a subscriber did not keep up, or one too many came
└── StoppingError       UNAVAILABLE: the process is on its way out
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import grpc

Request = TypeVar("Request")
Answer = TypeVar("Answer")
_Context = grpc.aio.ServicerContext[Request, bytes]


class RefusedError(Exception):
    """Has no answer; the text is for the caller."""

    code = grpc.StatusCode.UNKNOWN


class NotFoundError(RefusedError):
    """Nothing has this id."""

    code = grpc.StatusCode.NOT_FOUND


class InvalidError(RefusedError):
    """The question is wrong."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class TooSlowError(RefusedError):
    """The caller did not take what it asked for."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class StoppingError(RefusedError):
    """Come back to the next process."""

    code = grpc.StatusCode.UNAVAILABLE


def answered(
    handle: Callable[[Request, _Context[Request]], Awaitable[Answer]],
) -> Callable[[Request, _Context[Request]], Awaitable[Answer]]:
    """A handler whose refusals become its call's status."""

    async def call(request: Request, context: _Context[Request]) -> Answer:
        try:
            return await handle(request, context)
        except RefusedError as refused:
            await context.abort(refused.code, str(refused))

    return call

"""Why a question has no answer, and the one place where that becomes a gRPC status.

RefusedError            code and text go to the caller as they are
├── NotFoundError       NOT_FOUND
├── InvalidError        INVALID_ARGUMENT: names the field and what would be right
├── TooSlowError        RESOURCE_EXHAUSTED: a subscriber did not keep up, or one too many came
├── StoppingError       UNAVAILABLE: the process is on its way out
├── NotOfferedError     UNIMPLEMENTED: NativeLink offers no such thing, or nobody said where; says what to do
├── ConflictError       FAILED_PRECONDITION: something that was asked for before stands against it
├── BusyError           ABORTED: the same is under way
├── KeyReusedError      ALREADY_EXISTS: an idempotency key of another request
├── FullError           RESOURCE_EXHAUSTED: as many as are kept
├── NativeLinkError     UNKNOWN: what NativeLink said instead of doing it
└── UnreachableError    UNAVAILABLE: NativeLink does not answer, is not observed, or what is asked for cannot be kept
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


class NotOfferedError(RefusedError):
    """It cannot be done here."""

    code = grpc.StatusCode.UNIMPLEMENTED


class ConflictError(RefusedError):
    """It contradicts what is asked for already."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class BusyError(RefusedError):
    """Come back when the other request is answered."""

    code = grpc.StatusCode.ABORTED


class KeyReusedError(RefusedError):
    """One key is one request."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FullError(RefusedError):
    """There is no room."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class NativeLinkError(RefusedError):
    """NativeLink answered with an error."""

    code = grpc.StatusCode.UNKNOWN


class UnreachableError(RefusedError):
    """Come back later."""

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

"""Answers: what a connection says outside of aiohttp's task for requests, and what it knows of a request that it answers so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.http import RawRequestMessage

if TYPE_CHECKING:
    from gateway.serve.reply import Reply

_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Answers:
    """What is said."""

    #: To a request without a body, of a size that is allowed; None: it has to be waited for.
    at_once: Callable[[web.BaseRequest], Reply | None]
    #: Of bytes that are no request; the error says why.
    unreadable: Callable[[BaseException | None], Reply]
    #: Whole, of a head that is not complete in time, and of one that is too long.
    late: bytes
    long: bytes


@dataclass(slots=True, eq=False, repr=False)
class Known:
    """A request without a body. There may be a token in it: it is not shown."""

    #: With which it came.
    data: bytes
    message: RawRequestMessage
    request: web.BaseRequest


def is_one_head(data: bytes) -> bool:
    """Whether the first empty line is the end."""
    return data.find(_END_OF_HEAD) == len(data) - len(_END_OF_HEAD)

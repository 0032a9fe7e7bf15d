import asyncio
from typing import cast

import pytest
from aiohttp import web

from gateway.serve.problems import answer_problems, bad_request, not_found, not_ready, quoted


def test_a_problem_says_its_status_and_its_text() -> None:
    assert (bad_request("why").status, str(bad_request("why"))) == (400, "why")
    assert (not_found("Worker a").status, str(not_found("Worker a"))) == (404, "Worker a not found")
    assert (not_ready("soon").status, not_ready("soon").headers) == (503, {"Retry-After": "1"})


def test_a_reply_has_the_problems_headers() -> None:
    reply = not_ready("soon").reply()
    assert (reply.status, reply.reason, reply.headers["Retry-After"]) == (503, "Service Unavailable", "1")


def test_what_is_quoted_is_bounded() -> None:
    assert quoted("a" * 200) == "a" * 200
    assert quoted("a" * 201) == "a" * 200 + "…"


async def test_cancellation_is_no_problem() -> None:
    async def cancelled(request: web.BaseRequest) -> web.StreamResponse:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await answer_problems(cancelled)(cast("web.BaseRequest", None))

import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.serve.problems import bad_request, error_reply, not_found, not_ready, quoted


def test_a_problem_says_its_status_and_its_text() -> None:
    assert (bad_request("why").status, str(bad_request("why"))) == (400, "why")
    assert (not_found("Worker a").status, str(not_found("Worker a"))) == (404, "Worker a not found")
    assert (not_ready("soon").status, not_ready("soon").headers) == (503, {"Retry-After": "1"})


def test_a_reply_has_the_problems_headers() -> None:
    reply = not_ready("soon").reply()
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")


def test_what_is_quoted_is_bounded() -> None:
    assert quoted("a" * 200) == "a" * 200
    assert quoted("a" * 201) == "a" * 200 + "…"


def test_a_defect_is_in_the_log_and_not_in_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    request = make_mocked_request("GET", "/api/v1/workers")
    reply = error_reply(request, KeyError("inner"))
    assert (reply.status, b"inner" in reply.unasked()) == (500, False)
    (record,) = caplog.records
    assert record.getMessage() == "a request failed: GET /api/v1/workers"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


def test_a_problem_is_its_own_reply() -> None:
    reply = error_reply(make_mocked_request("GET", "/"), not_ready("soon"))
    assert (reply.status, reply.unasked().endswith(b'{"error":"soon"}')) == (503, True)

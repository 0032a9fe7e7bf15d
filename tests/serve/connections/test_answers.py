import pytest
from aiohttp.test_utils import make_mocked_request

from gateway.serve.connections.answers import Known, is_one_head


@pytest.mark.parametrize(
    ("data", "whether"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"", False),
        (b"\r\n", False),
        (b"GET / HTTP/1.1\r\n", False),
        (b"GET / HTTP/1.1\r\n\r\nG", False),
        (b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", False),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", False),
        (b"POST / HTTP/1.1\r\n\r\n0\r\n\r\n", False),
    ],
)
def test_bytes_are_one_head_or_not(data: bytes, whether: bool) -> None:
    assert is_one_head(data) == whether


def test_what_is_known_of_a_request_is_not_shown() -> None:
    request = make_mocked_request("GET", "/", {"Authorization": "Bearer secret"})
    known = Known(b"GET / HTTP/1.1\r\nAuthorization: Bearer secret\r\n\r\n", request._message, request)
    assert "secret" not in f"{known} {known!r}"

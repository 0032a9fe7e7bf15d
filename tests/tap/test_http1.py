from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tap.http1 import Answered, Http1, NotHttpError, Upgraded

_DRAIN = b"POST /admin/scheduler/S/set_drain_worker/w%d/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def _answered(worker: int, status: int = 200, *, is_grpc: bool = False) -> Answered:
    return Answered(f"POST /admin/scheduler/S/set_drain_worker/w{worker}/1", status, is_grpc)


def test_pipelined_calls_are_answered_in_order() -> None:
    http1 = Http1()
    http1.to_server(_DRAIN % 1 + b"GET /status HTTP/1.1\r\n\r\n" + _DRAIN % 2)
    assert http1.to_client(_OK + _OK + b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n") == [
        _answered(1),
        _answered(2, 500),
    ]


def test_bodies_may_be_chunked() -> None:
    http1 = Http1()
    chunked = b"Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nHTTP/\r\n10\r\n1.1 200 OK\r\n\r\n\r\n\r\n0\r\nTrailer: 1\r\n\r\n"
    http1.to_server((_DRAIN % 1).replace(b"Content-Length: 3\r\n\r\nabc", chunked) + _DRAIN % 2)
    assert http1.to_client(b"HTTP/1.1 200 OK\r\n" + chunked + _OK) == [_answered(1), _answered(2)]


def test_interim_answers_answer_nothing_and_some_answers_have_no_body() -> None:
    http1 = Http1()
    http1.to_server(_DRAIN % 1 + b"HEAD / HTTP/1.1\r\n\r\n" + _DRAIN % 2)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n"
    assert http1.to_client(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n" + head + _OK) == [
        _answered(1, 204),
        _answered(2),
    ]


def test_a_body_without_length_lasts_until_the_end() -> None:
    http1 = Http1()
    http1.to_server(_DRAIN % 1)
    assert http1.to_client(b"HTTP/1.0 200 OK\r\n\r\n") == [_answered(1)]
    assert http1.to_client(b"anything at all" * 99_999) == []


def test_lines_may_end_without_carriage_return_and_begin_with_empty_lines() -> None:
    http1 = Http1()
    http1.to_server((b"\r\n\n" + _DRAIN % 1).replace(b"\r\n", b"\n"))
    assert http1.to_client(_OK.replace(b"\r\n", b"\n")) == [_answered(1)]


@given(st.lists(st.integers(1, 12), max_size=200))
def test_cuts_change_nothing(cuts: list[int]) -> None:
    http1 = Http1()
    requests, answers = _DRAIN % 1 + _DRAIN % 2, _OK + _OK
    found: list[object] = []
    pos = 0
    for cut in [*cuts, len(requests)]:
        http1.to_server(requests[pos : pos + cut])
        pos += cut
    pos = 0
    for cut in [*cuts, len(answers)]:
        found += http1.to_client(answers[pos : pos + cut])
        pos += cut
    assert found == [_answered(1), _answered(2)]


def test_only_posts_to_the_drain_call_are_told() -> None:
    http1 = Http1()
    http1.to_server(b"GET /admin/scheduler/S/set_drain_worker/w/1 HTTP/1.1\r\n\r\nPOST /other HTTP/1.1\r\n\r\n")
    assert http1.to_client(_OK + _OK) == []


@pytest.mark.parametrize(
    "lines",
    [
        b"content-type: application/grpc\r\ngrpc-status: 12\r\n",
        b"Content-Type: Application/gRPC+proto\r\n",
        b"content-type: application/grpc\r\n",
        b"GRPC-Status:0\r\n",
        b"grpc-status:\r\n",
    ],
)
def test_an_answer_of_grpc_is_told_as_such(lines: bytes) -> None:
    http1 = Http1()
    http1.to_server(_DRAIN % 1 + _DRAIN % 2)
    answer = b"HTTP/1.1 200 OK\r\n" + lines + b"Content-Length: 0\r\n\r\n"
    assert http1.to_client(answer + _OK) == [_answered(1, is_grpc=True), _answered(2)]


@pytest.mark.parametrize("line", [b"content-type: text/plain", b"x-grpc-status: 12", b"x: grpc-status: 12", b"grpc-status"])
def test_an_answer_of_nobody_but_http_is_not(line: bytes) -> None:
    http1 = Http1()
    http1.to_server(_DRAIN % 1)
    assert http1.to_client(b"HTTP/1.1 200 OK\r\n" + line + b"\r\nContent-Length: 17\r\n\r\ngrpc-status: 12\r\n") == [_answered(1)]


def test_an_upgrade_gives_over_what_follows() -> None:
    http1 = Http1()
    http1.to_server(b"POST / HTTP/1.1\r\nUpgrade: H2C\r\nHTTP2-Settings: AAMA\r\nContent-Length: 4\r\n\r\nbodyPRI *")
    assert http1.to_client(b"HTTP/1.1 101 Switching Protocols\r\n\r\nrest") == [Upgraded(b"h2c", b"AAMA", b"rest")]
    assert http1.client_rest == b"PRI *"


def test_an_upgrade_that_is_declined_changes_nothing() -> None:
    http1 = Http1()
    http1.to_server(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n" + _DRAIN % 1)
    assert http1.to_client(_OK + _OK) == [_answered(1)]


@pytest.mark.parametrize(
    "bad",
    [
        b"NOT A REQUEST\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"A" * 20_000,
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_not_http1_is_given_up(bad: bytes) -> None:
    with pytest.raises(NotHttpError):
        Http1().to_server(bad)


def test_an_answer_to_nothing_is_given_up() -> None:
    with pytest.raises(NotHttpError):
        Http1().to_client(_OK)


def test_requests_without_answers_are_bounded() -> None:
    with pytest.raises(NotHttpError):
        Http1().to_server(b"GET / HTTP/1.1\r\n\r\n" * 101)


def test_what_a_client_says_before_its_upgrade_is_answered_is_bounded_and_its_body_is_not_kept() -> None:
    upgrade = b"POST / HTTP/1.1\r\nUpgrade: h2c\r\nContent-Length: 1000000\r\n\r\n"
    http1 = Http1()
    http1.to_server(upgrade)
    for _ in range(100):
        http1.to_server(bytes(10_000))
    http1.to_server(b"PRI")
    assert http1.to_client(b"HTTP/1.1 101 Switching Protocols\r\n\r\n") == [Upgraded(b"h2c", b"", b"")]
    assert http1.client_rest == b"PRI"
    http1 = Http1()
    http1.to_server(upgrade)
    for _ in range(106):
        http1.to_server(bytes(10_000))
    with pytest.raises(NotHttpError):
        http1.to_server(bytes(10_000))


def test_requests_that_wait_for_their_answers_are_bounded_in_bytes() -> None:
    long = b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n"
    http1 = Http1()
    for _ in range(6):
        http1.to_server(long)
    assert 60_000 < http1.kept_bytes < 65_536
    http1.to_client(_OK)
    assert http1.kept_bytes < 55_000
    http1.to_server(long)
    with pytest.raises(NotHttpError):
        http1.to_server(long)


def test_a_head_of_many_short_lines_is_counted_with_what_they_cost() -> None:
    Http1().to_server(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 250)
    with pytest.raises(NotHttpError):
        Http1().to_server(b"GET / HTTP/1.1\r\n" + b"a:\r\n" * 500)


def test_an_answer_counts_although_nonsense_comes_with_it() -> None:
    http1 = Http1()
    http1.to_server(_DRAIN % 1 + _DRAIN % 2)
    assert http1.to_client(_OK + b"nonsense\r\n\r\n") == [_answered(1)]
    for more in (http1.to_client, http1.to_server):
        with pytest.raises(NotHttpError):
            more(b"")

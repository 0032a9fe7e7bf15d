from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.serve.problems import ProblemError
from gateway.serve.target import Target, parse_target


@pytest.mark.parametrize(
    ("raw", "target"),
    [
        ("/a/b", Target("/a/b", ())),
        ("/a?x=1&y=2", Target("/a", (("x", "1"), ("y", "2")))),
        ("/a?x=1&x=2", Target("/a", (("x", "1"), ("x", "2")))),
        ("/a?x=&y", Target("/a", (("x", ""), ("y", "")))),
        ("/a?x=a+b%2Bc%26d", Target("/a", (("x", "a b+c&d"),))),
        ("/a%2Fb+c/%C3%A4", Target("/a/b+c/ä", ())),
        ("/a/../b//c/", Target("/a/../b//c/", ())),
        ("//host/a", Target("//host/a", ())),
        ("/a??x=?", Target("/a", (("?x", "?"),))),
        ("http://host:80/a?x=1", Target("/a", (("x", "1"),))),
        ("http://host", Target("/", ())),
        ("*", Target("*", ())),
    ],
)
def test_an_address_is_decoded_once_and_otherwise_left_alone(raw: str, target: Target) -> None:
    assert parse_target(raw) == target


@pytest.mark.parametrize("raw", ["/%ff", "/a?x=%ff", "/\udcff", "/a?\udcff=1", "http://[/a"])
def test_what_cannot_be_text_is_400(raw: str) -> None:
    with pytest.raises(ProblemError) as problem:
        parse_target(raw)
    assert problem.value.status == 400


@given(st.text())
def test_any_text_is_a_target_or_400(raw: str) -> None:
    with suppress(ProblemError):
        parse_target(raw).path.encode()

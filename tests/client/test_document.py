import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.document import Document, NoJsonError, parse_list, parse_object

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "\x1b"]), inner, max_size=3),
    max_leaves=8,
)


def test_values_of_the_kind_that_was_hoped_for() -> None:
    document = Document({"t": "a\x1b", "n": 1.5, "i": 3, "f": False, "l": ["x", 4], "p": {"k": "v", "w": 1}, "r": [{"t": "in"}, 5]})
    assert document.text("t") == "a\\x1b"
    assert (document.number("n"), document.number("i")) == (1.5, 3)
    assert document.flag("f") is False
    assert document.texts("l") == ["x"]
    assert document.pairs("p") == {"k": "v"}
    assert document.inner("p").text("k") == "v"
    assert [each.text("t") for each in document.rows("r")] == ["in"]


@given(_JSON)
def test_any_other_value_is_none_or_empty_and_never_an_error(value: Any) -> None:
    document = Document({"x": value})
    text, number = document.text("x"), document.number("x")
    assert text is None or text.isprintable()
    assert number is None or abs(number) < 2**63
    assert document.flag("x") in {None, True, False}
    assert all(each.isprintable() for each in (*document.texts("x"), *(document.pairs("x") or {})))
    assert document.inner("x").inner("y").rows("z") == []
    assert isinstance(document.rows("x"), list)


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"\xff", b"[" * 100_000, b"NaN", b'{"a": Infinity}', b"1" * 5_000, b"null", b"5"],
    ids=lambda body: body[:9],
)
def test_what_is_no_json_of_that_shape_is_refused(body: bytes) -> None:
    for parse in (parse_object, parse_list):
        with pytest.raises(NoJsonError):
            parse(body)


def test_a_list_is_no_object_and_an_object_is_no_list() -> None:
    assert [each.number("a") for each in parse_list(json.dumps([{"a": 1}, 2]).encode())] == [1]
    assert parse_object(b'{"a": 1e999}').number("a") is None
    with pytest.raises(NoJsonError):
        parse_object(b"[]")
    with pytest.raises(NoJsonError):
        parse_list(b"{}")

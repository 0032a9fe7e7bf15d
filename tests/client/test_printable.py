import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.printable import printable, printable_json


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("//a:b [red]ä 工", "//a:b [red]ä 工"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\nb\tc\r", "a\\x0ab\\x09c\\x0d"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202eevil\u2028", "\\u202eevil\\u2028"),
        ("\U000e0041\ud800", "\\U000e0041\\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(raw: str, shown: str) -> None:
    assert printable(raw) == shown


@given(st.text())
def test_nothing_but_printable_characters_comes_out(text: str) -> None:
    assert printable(text).isprintable()


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_means_the_same_and_has_nothing_but_printable_characters_and_its_own_spaces(value: object) -> None:
    shown = printable_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert json.loads(shown) == value
    assert shown.replace("\n", "").isprintable()

import pytest

from gateway.config.expansion import MissingVariableError, escape, expand


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("plain", "plain"),
        ("${A}", "a"),
        ("$A.$A", "a.a"),
        ("x${A:-default}y", "xay"),
        ("${NONE:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("${NONE:-}", ""),
        ("$$A", "$A"),
        ("100 $ and ${", "100 $ and ${"),
    ],
)
def test_variables_are_replaced(text: str, expanded: str) -> None:
    assert expand(text, {"A": "a", "EMPTY": ""}) == expanded


@pytest.mark.parametrize("text", ["${NONE}", "$NONE"])
def test_a_variable_without_value_and_default_is_named(text: str) -> None:
    with pytest.raises(MissingVariableError) as raised:
        expand(text, {})
    assert raised.value.name == "NONE"


@pytest.mark.parametrize("text", ["", "$", "$$", "${A}", "$A$", "a$$$b"])
def test_what_is_escaped_comes_back_as_it_was(text: str) -> None:
    assert expand(escape(text), {}) == text

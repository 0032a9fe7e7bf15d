import pytest

from gateway.config.problems import Problems, quoted
from gateway.errors import ConfigurationError


def test_without_problems_nothing_is_raised() -> None:
    Problems().raise_any()


def test_a_problem_is_told_once() -> None:
    problems = Problems()
    problems.add("a.b", 1, "2")
    problems.add("a.b", 1, "2")
    with pytest.raises(ConfigurationError) as raised:
        problems.raise_any()
    assert raised.value.problems == ("a.b: 1: 2",)
    assert raised.value.exit_code == 2


def test_a_file_of_nothing_but_mistakes_is_cut_short() -> None:
    problems = Problems()
    for number in range(500):
        problems.missing(f"key{number}", "something")
    with pytest.raises(ConfigurationError) as raised:
        problems.raise_any()
    assert len(raised.value.problems) == 101
    assert raised.value.problems[-1] == "and more: these are the first 100"


def test_a_long_value_is_cut_and_stays_on_one_line() -> None:
    assert quoted("a\nb") == '"a\\nb"'
    assert len(quoted("x" * 500)) == 80

"""Equal words are one object, within bounds."""

from __future__ import annotations

from gateway.words import LENGTH_MAX, TUPLES_MAX, WORDS_MAX, shared, shared_words


def _made(text: str) -> str:
    """An object of its own."""
    return "".join(list(text))


def test_equal_words_are_one_object() -> None:
    first = shared(_made("a word of a test"))
    assert shared(_made("a word of a test")) is first == "a word of a test"


def test_long_words_are_not_kept() -> None:
    first, second = _made("x" * (LENGTH_MAX + 1)), _made("x" * (LENGTH_MAX + 1))
    assert shared(first) is first
    assert shared(second) is second


def test_words_that_nobody_says_any_more_are_forgotten() -> None:
    first = shared(_made("a word of before"))
    for number in range(WORDS_MAX):
        shared(f"word {number} of a test")
    again = _made("a word of before")
    assert again is not first
    assert shared(again) is again


def _several() -> list[str]:
    return [_made("two words"), _made("of a test")]


def test_equal_words_that_belong_together_are_one_object() -> None:
    first = shared_words(_several())
    assert first == ("two words", "of a test")
    assert shared_words(_several()) is first
    assert shared_words(reversed(_several())) == ("of a test", "two words")
    assert shared_words([]) == ()


def test_words_that_are_long_together_are_not_kept() -> None:
    words = ["x" * LENGTH_MAX, "y"]
    first, second = shared_words(words), shared_words(words)
    assert first == second == tuple(words)
    assert first is not second


def test_words_that_nobody_says_together_any_more_are_forgotten() -> None:
    first = shared_words(_several())
    for number in range(TUPLES_MAX):
        shared_words([f"together {number}", "of a test"])
    again = shared_words(_several())
    assert again == first
    assert again is not first

"""What options are given: the text of one comes in, what it says goes out, or the mistake in it."""

from __future__ import annotations

import argparse

_DAY_S = 86_400.0
_INTERVAL_MIN_S = 0.2


def property_value(text: str) -> tuple[str, str]:
    """`NAME=VALUE`, taken apart at the first `=`.

    Raises:
        argparse.ArgumentTypeError: it is nothing of the kind.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text}: NAME=VALUE")
    return name, value


def seconds(text: str) -> float:
    """How long to wait.

    Raises:
        argparse.ArgumentTypeError: it is no number, or longer than a day.
    """
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= _DAY_S:
        raise argparse.ArgumentTypeError(f"{text}: a number of seconds, a day at most")
    return number


def interval(text: str) -> float:
    """How long from one time to the next.

    Raises:
        argparse.ArgumentTypeError: it is no number, or no time that a gateway should be asked at.
    """
    number = seconds(text)
    if number < _INTERVAL_MIN_S:
        raise argparse.ArgumentTypeError(f"{text}: a number of seconds, {_INTERVAL_MIN_S} at least")
    return number

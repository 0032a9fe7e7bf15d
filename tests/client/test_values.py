from __future__ import annotations

import argparse

import pytest

from gateway.client.values import interval, property_value, seconds


def test_a_property_ends_at_its_first_equals_sign_and_its_value_may_be_empty() -> None:
    assert property_value("pool=a=b") == ("pool", "a=b")
    assert property_value("pool=") == ("pool", "")


@pytest.mark.parametrize("text", ["", "pool", "=a"])
def test_a_property_needs_a_name_and_a_value(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="NAME=VALUE"):
        property_value(text)


def test_waiting_takes_up_to_a_day() -> None:
    assert [seconds(text) for text in ("0", "1.5", "86400")] == [0.0, 1.5, 86_400.0]
    for text in ("-1", "soon", "nan", "inf", "86401", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="a day at most"):
            seconds(text)


def test_an_interval_is_no_shorter_than_a_gateway_should_be_asked_at() -> None:
    assert interval("0.2") == 0.2
    for text, words in (("0.1", "0.2 at least"), ("soon", "a day at most")):
        with pytest.raises(argparse.ArgumentTypeError, match=words):
            interval(text)

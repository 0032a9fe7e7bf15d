from __future__ import annotations

import pytest

from gateway.tap.bounds import Budget, Holding, UnreadableError
from gateway.tap.records import OVERLOADED


def test_the_largest_holding_gives_way_to_the_one_that_grows() -> None:
    budget = Budget(100)
    gave_way: list[str] = []

    def give_way(detail: str) -> None:
        gave_way.append(detail)
        large.give_all()

    large = Holding(budget, give_way)
    small = Holding(budget, pytest.fail)
    large.take(90)
    small.take(20)
    assert gave_way == ["more than 100 bytes wait for their rest"]
    assert (budget.used, large.bytes, small.bytes) == (20, 0, 20)
    assert budget.holdings == {small}


def test_the_largest_holding_that_grows_itself_cannot_go_on() -> None:
    holding = Holding(Budget(100), pytest.fail)
    with pytest.raises(UnreadableError) as error:
        holding.take(101)
    assert error.value.reason == OVERLOADED


def test_what_is_given_back_is_free() -> None:
    budget = Budget(100)
    holding = Holding(budget, pytest.fail)
    holding.take(60)
    holding.give(60)
    assert (budget.used, budget.holdings) == (0, set())

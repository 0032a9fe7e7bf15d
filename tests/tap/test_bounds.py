from __future__ import annotations

import pytest

from gateway.tap.bounds import Budget, Holding, UnreadableError
from gateway.tap.records import OVERLOADED


class _Owner:
    """Gives everything back."""

    def __init__(self, budget: Budget) -> None:
        self.holding = Holding(budget, self)
        self.gave_way: list[str] = []

    def give_way(self, detail: str) -> None:
        self.gave_way.append(detail)
        self.holding.give_all()


def test_the_largest_holding_gives_way_to_the_one_that_grows() -> None:
    budget = Budget(100)
    owners = _Owner(budget), _Owner(budget)
    large, small = (owner.holding for owner in owners)
    large.take(90)
    small.take(20)
    assert [owner.gave_way for owner in owners] == [["more than 100 bytes wait for their rest"], []]
    assert (budget.used, large.bytes, small.bytes) == (20, 0, 20)
    assert budget.holdings == {small}


def test_the_largest_holding_that_grows_itself_cannot_go_on() -> None:
    holding = _Owner(Budget(100)).holding
    with pytest.raises(UnreadableError) as error:
        holding.take(101)
    assert error.value.reason == OVERLOADED


def test_what_is_given_back_is_free() -> None:
    budget = Budget(100)
    holding = _Owner(budget).holding
    holding.take(60)
    holding.give(60)
    assert (budget.used, budget.holdings) == (0, set())

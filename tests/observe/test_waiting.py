from __future__ import annotations

import pickle
import random

import pytest

from gateway.model.identity import Properties
from gateway.observe import waiting as module
from gateway.observe.waiting import IDLE_NS, NAME_MAX, NONE, OTHER, SETS_MAX, UNKNOWN, Waiting, name_of


def pool(number: int) -> Properties:
    return (("pool", str(number)),)


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        (None, UNKNOWN),
        ((), NONE),
        ((("b", "2"), ("a", "1")), "a=1,b=2"),
        ((("a", "1"), ("a", "2")), "a=2"),
        ((("", ""),), "="),
    ],
)
def test_a_set_is_named_by_what_it_asks_for(properties: Properties | None, name: str) -> None:
    assert name_of(properties) == name


def test_names_are_cut_and_stay_different() -> None:
    long = [name_of((("image", "x" * 500 + each),)) for each in "ab"]
    assert len(set(long)) == 2
    assert {len(name) for name in long} == {NAME_MAX}
    assert len(name_of((("image", "x" * (NAME_MAX - 6)),))) == NAME_MAX


def test_the_oldest_of_all_and_of_each_set() -> None:
    waiting = Waiting()
    assert waiting.oldest() is None
    waiting.put(1, 50, pool(1), 60)
    waiting.put(2, 40, pool(2), 60)
    waiting.put(3, 45, pool(2), 60)
    waiting.put(4, 70, None, 60)
    assert waiting.oldest() == 40
    assert {name: (len(group), group.oldest()) for name, group in waiting.groups.items()} == {
        UNKNOWN: (1, 70),
        NONE: (0, None),
        OTHER: (0, None),
        "pool=1": (1, 50),
        "pool=2": (2, 40),
    }
    waiting.remove(2, 61)
    assert (waiting.oldest(), waiting.groups["pool=2"].oldest()) == (45, 45)
    waiting.remove(2, 61)
    for arrival in (1, 3, 4):
        waiting.remove(arrival, 62)
    assert waiting.oldest() is None


def test_what_it_asks_for_may_be_told_later_and_it_has_waited_all_the_same() -> None:
    waiting = Waiting()
    waiting.put(1, 10, None, 20)
    waiting.put(1, 30, pool(1), 30)
    waiting.put(1, 40, pool(1), 40)
    assert (len(waiting.groups[UNKNOWN]), waiting.groups["pool=1"].oldest()) == (0, 10)


def test_there_are_so_many_sets_and_the_rest_is_other_until_a_set_was_idle_for_an_hour() -> None:
    waiting = Waiting()
    for number in range(100):
        waiting.put(number, number, pool(number), 100)
    assert len(waiting.groups) == SETS_MAX + 3
    assert (len(waiting.groups[OTHER]), waiting.groups[OTHER].oldest()) == (100 - SETS_MAX, SETS_MAX)
    waiting.remove(5, 200)
    waiting.put(101, 300, pool(101), 200 + IDLE_NS - 1)
    assert "pool=101" not in waiting.groups
    waiting.put(102, 300, pool(102), 200 + IDLE_NS)
    assert len(waiting.groups) == SETS_MAX + 3
    assert ("pool=5" in waiting.groups, len(waiting.groups["pool=102"])) == (False, 1)
    # Where it waits it stays, though there is room by then.
    waiting.remove(102, 300 + IDLE_NS)
    assert len(waiting.groups[OTHER]) == 100 - SETS_MAX + 1


def test_one_that_waits_for_ever_keeps_nothing_of_those_that_pass_it() -> None:
    waiting = Waiting()
    waiting.put(0, 0, (), 0)
    for number in range(1, 10_000):
        waiting.put(number, number, (), number)
        waiting.remove(number, number)
    assert len(waiting.groups[NONE]._heap) <= module._GONE_MAX + 3
    assert waiting.oldest() == 0


def test_it_is_what_a_walk_of_all_would_find_also_after_it_was_saved() -> None:
    rng = random.Random(3)
    waiting, truth = Waiting(), dict[int, int]()
    for step in range(3_000):
        arrival = rng.randrange(60)
        if rng.random() < 0.5:
            truth.setdefault(arrival, rng.randrange(1_000))
            waiting.put(arrival, truth[arrival], rng.choice([None, (), *map(pool, range(30))]), step)
        else:
            truth.pop(arrival, None)
            waiting.remove(arrival, step)
        if step % 500 == 0:
            waiting = pickle.loads(pickle.dumps(waiting))  # noqa: S301 # its own
        assert waiting.oldest() == min(truth.values(), default=None)
        assert sum(map(len, waiting.groups.values())) == len(truth)

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.query.order import OrderKey
from gateway.query.page import BadPageTokenError, Page, decode_token, encode_token, page


def own_key(row: OrderKey) -> OrderKey:
    return row


def rows_of(*numbers: int) -> list[OrderKey]:
    return [(number, 0) for number in numbers]


def test_a_page_has_its_rows_the_total_and_the_way_on() -> None:
    rows = rows_of(1, 2, 3, 4, 5)
    first = page(rows, own_key, limit=2)
    assert (list(first.rows), first.total) == (rows_of(1, 2), 5)
    second = page(rows, own_key, limit=2, after=decode_token(first.next_token, 2))
    assert (list(second.rows), second.total) == (rows_of(3, 4), 5)
    third = page(rows, own_key, limit=2, after=decode_token(second.next_token, 2))
    assert third == Page(rows_of(5), "", 5)


def test_a_page_that_ends_with_the_list_leads_nowhere() -> None:
    assert page(rows_of(1, 2), own_key, limit=2).next_token == ""
    assert page([], own_key, limit=2) == Page([], "", 0)
    assert page(rows_of(1), own_key, limit=9, after=(1, 0)) == Page([], "", 1)


def test_limit_0_is_only_the_total() -> None:
    assert page(rows_of(1, 2), own_key, limit=0) == Page([], "", 2)


def test_the_empty_token_is_the_beginning() -> None:
    assert decode_token("", 4) is None


@given(st.lists(st.integers(-(2**70), 2**73), min_size=1, max_size=4).map(tuple))
def test_a_token_is_its_key_again_and_goes_into_an_address_as_it_is(key: OrderKey) -> None:
    token = encode_token(key)
    assert decode_token(token, len(key)) == key
    assert token.replace("-", "").replace("_", "").isalnum()
    assert token.isascii()


@pytest.mark.parametrize("token", ["?", "=", "a", "AAAA", "MTIz", "LQ", "MSwyLA", "MSwyLDM", "é", "A" * 10_000, "MSwy\n"])
def test_a_token_of_no_answer_is_refused(token: str) -> None:
    with pytest.raises(BadPageTokenError):
        decode_token(token, 2)


@given(st.text())
def test_any_text_is_a_key_or_refused(token: str) -> None:
    try:
        key = decode_token(token, 2)
    except BadPageTokenError:
        return
    assert key is None or len(key) == 2


@given(
    start=st.sets(st.integers(0, 200), max_size=60),
    limit=st.integers(1, 20),
    seed=st.integers(0, 2**32),
    churn=st.integers(0, 10),
)
def test_pages_repeat_none_and_skip_none_that_stayed_while_others_come_and_go(
    start: set[int], limit: int, seed: int, churn: int
) -> None:
    chance = random.Random(seed)
    present = set(start)
    stayed = set(start)
    seen: list[OrderKey] = []
    token = ""
    while True:
        answer = page(sorted(rows_of(*present)), own_key, limit=limit, after=decode_token(token, 2))
        assert answer.total == len(present)
        seen += answer.rows
        if not answer.next_token:
            break
        token = answer.next_token
        for _ in range(churn):
            number = chance.randrange(200)
            if chance.random() < 0.5:
                present.add(number)
            else:
                present.discard(number)
                stayed.discard(number)
    assert seen == sorted(set(seen))
    assert set(rows_of(*stayed)) <= set(seen)

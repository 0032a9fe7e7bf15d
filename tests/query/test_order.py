from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.query.order import OPERATION_KEY_LENGTH, STAGES, WORKER_KEY_LENGTH, OrderKey, operation_order, worker_order

SECOND = 1_000_000_000
LAST_TIMESTAMP = 253_402_300_799 * SECOND + 999_999_999


def key(
    stage: str,
    arrival: int = 1,
    *,
    priority: int | None = 0,
    insert: int | None = 0,
    assigned: int | None = None,
    finished: int | None = None,
) -> OrderKey:
    return operation_order(stage, priority=priority, insert_at=insert, assigned_at=assigned, finished_at=finished, arrival=arrival)


def is_ascending(*keys: OrderKey) -> bool:
    return all(before < after for before, after in pairwise(keys))


def test_workers_go_by_connection_time_then_arrival_and_an_unknown_time_is_last() -> None:
    assert is_ascending(
        worker_order(1, 9), worker_order(2, 3), worker_order(2, 4), worker_order(LAST_TIMESTAMP, 1), worker_order(None, 0)
    )


def test_stages_come_executing_cache_check_unknown_queued_completed() -> None:
    assert STAGES == ("Executing", "CacheCheck", "Unknown", "Queued", "Completed")
    assert is_ascending(*(key(stage, arrival) for stage, arrival in zip(STAGES, (5, 4, 3, 2, 1), strict=True)))


def test_executing_goes_by_assignment_ascending_and_an_unknown_one_is_last() -> None:
    assert is_ascending(
        key("Executing", 7, assigned=1),
        key("Executing", 2, assigned=2),
        key("Executing", 3, assigned=2),
        key("Executing", 1, assigned=LAST_TIMESTAMP),
        key("Executing", 0, assigned=None),
        key("CacheCheck", 0),
    )


def test_the_queue_goes_by_priority_descending_then_whole_seconds_of_insertion_then_arrival() -> None:
    assert is_ascending(
        key("Queued", 9, priority=2, insert=5 * SECOND),
        key("Queued", 8, priority=0, insert=1 * SECOND),
        key("Queued", 3, priority=0, insert=2 * SECOND + 900),
        key("Queued", 4, priority=0, insert=2 * SECOND),
        key("Queued", 1, priority=0, insert=None),
        key("Queued", 1, priority=-1, insert=0),
        key("Queued", 0, priority=None, insert=1),
        key("Queued", 0, priority=None, insert=None),
    )


def test_completed_goes_by_finish_descending_and_an_unknown_one_is_last() -> None:
    assert is_ascending(
        key("Completed", 5, finished=LAST_TIMESTAMP),
        key("Completed", 6, finished=2),
        key("Completed", 7, finished=2),
        key("Completed", 1, finished=1),
        key("Completed", 0, finished=None),
    )


def test_cache_check_and_unknown_go_by_arrival() -> None:
    assert is_ascending(key("CacheCheck", 1, priority=0, insert=9), key("CacheCheck", 2, priority=9, insert=1))
    assert is_ascending(key("Unknown", 1, assigned=9), key("Unknown", 2, assigned=1))


def test_a_stage_that_is_none_of_the_documented_words_is_refused() -> None:
    with pytest.raises(KeyError):
        key("queued")


_times = st.none() | st.integers(0, LAST_TIMESTAMP)


@given(
    stage=st.sampled_from(STAGES),
    priority=st.none() | st.integers(-(2**31), 2**31 - 1),
    insert=_times,
    assigned=_times,
    finished=_times,
    arrival=st.integers(0, 2**64 - 1),
)
def test_a_key_is_numbers_of_the_stated_count_and_ends_in_the_arrival(
    stage: str, priority: int | None, insert: int | None, assigned: int | None, finished: int | None, arrival: int
) -> None:
    made = key(stage, arrival, priority=priority, insert=insert, assigned=assigned, finished=finished)
    assert len(made) == OPERATION_KEY_LENGTH
    assert made[-1] == arrival
    assert all(isinstance(number, int) for number in made)
    assert len(worker_order(insert, arrival)) == WORKER_KEY_LENGTH

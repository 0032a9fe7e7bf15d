from operator import attrgetter

from hypothesis import given
from hypothesis import strategies as st

from gateway.query.order import OrderKey
from gateway.query.page import page
from gateway.serve.indexes import Ids, SortedRows, page_of
from gateway.serve.rows import WorkerRow


def row(arrival: int, key: int = 0, *ids: str) -> WorkerRow:
    return WorkerRow(arrival, (key, arrival), b"{}", ids)


def test_rows_are_in_order_whatever_came_and_went_in_between() -> None:
    rows: SortedRows[WorkerRow] = SortedRows(1)
    first, second, third = row(1, 5), row(2, 3), row(3, 4)
    rows.add(first, 2)
    rows.add(second, 2)
    assert rows.rows() == [second, first]
    rows.add(third, 3)
    rows.remove(second, 4)
    assert rows.rows() == [third, first]
    assert (len(rows), rows.revision) == (2, 4)


@given(
    keys=st.lists(st.lists(st.integers(0, 5), max_size=6), max_size=4),
    limit=st.integers(0, 9),
    after=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 6), st.integers(0, 30)),
)
def test_a_page_of_several_lists_is_that_of_the_one_that_they_are(
    keys: list[list[int]], limit: int, after: OrderKey | None
) -> None:
    lists: list[SortedRows[WorkerRow]] = []
    whole: list[WorkerRow] = []
    for number, second in enumerate(keys):
        rows: SortedRows[WorkerRow] = SortedRows(1)
        for key in second:
            whole.append(WorkerRow(len(whole), (number, key, len(whole)), b"{}", ()))
            rows.add(whole[-1], 1)
        lists.append(rows)
    whole.sort(key=attrgetter("key"))
    expected = page(whole, attrgetter("key"), limit=limit, after=after)
    found = page_of(lists, limit=limit, after=after)
    assert (found.rows, found.next_token, found.total) == (expected.rows, expected.next_token, expected.total)


def test_an_id_of_several_rows_is_the_last_ones_and_then_the_one_befores() -> None:
    ids: Ids[WorkerRow] = Ids()
    first, second, third = row(1, 0, "a", "x"), row(2, 0, "a", "y"), row(3, 0, "a")
    for each in (first, second, third):
        ids.add(each)
    assert ids.get("a") is third
    ids.remove(second)
    assert ids.get("a") is third
    assert ids.get("y") is None
    ids.remove(third)
    assert ids.get("a") is first
    ids.remove(first)
    assert ids.get("a") is ids.get("x") is None
    ids.add(second)
    assert ids.get("a") is second

from gateway.serve.indexes import Ids, SortedRows
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
    rows.remove(2, 4)
    assert rows.rows() == [third, first]
    assert (len(rows), rows.revision) == (2, 4)


def test_a_row_in_the_place_of_another_takes_its_own_place_in_the_order() -> None:
    rows: SortedRows[WorkerRow] = SortedRows(1)
    for each in (row(1, 1), row(2, 2), row(3, 3)):
        rows.add(each, 1)
    assert [each.arrival for each in rows.rows()] == [1, 2, 3]
    rows.remove(1, 2)
    rows.add(row(1, 9), 2)
    rows.remove(1, 3)
    rows.add(row(1, 8), 3)
    assert [each.key for each in rows.rows()] == [(2, 2), (3, 3), (8, 1)]


def test_a_row_that_nobody_saw_come_and_go_leaves_nothing() -> None:
    rows: SortedRows[WorkerRow] = SortedRows(1)
    rows.add(row(1), 1)
    rows.remove(1, 2)
    assert rows.rows() == []


def test_a_list_that_was_given_out_is_never_edited() -> None:
    rows: SortedRows[WorkerRow] = SortedRows(1)
    rows.add(row(1), 1)
    given = rows.rows()
    rows.add(row(2), 2)
    rows.remove(1, 2)
    rows.rows()
    assert [each.arrival for each in given] == [1]
    assert rows.rows() is rows.rows()


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

from gateway.model import few
from gateway.model.events import Stage
from gateway.model.few import Few
from gateway.model.halves import Row


def row(arrival: int, queued_at: int | None = None) -> Row:
    return Row(arrival=arrival, key=None, stage=Stage.QUEUED, load_at=0, queued_at=queued_at)


def test_one_row_is_kept_as_it_is_and_several_by_number() -> None:
    one, two, three = row(1), row(2), row(3)
    kept: Few = None
    assert (list(few.rows(kept)), few.found(kept, 1, few.ARRIVAL)) == ([], None)
    kept = few.added(kept, one, few.ARRIVAL)
    assert kept is one
    assert (list(few.rows(kept)), few.found(kept, 1, few.ARRIVAL), few.found(kept, 2, few.ARRIVAL)) == ([one], one, None)
    for more in (two, three):
        kept = few.added(kept, more, few.ARRIVAL)
    assert (list(few.rows(kept)), few.found(kept, 2, few.ARRIVAL), few.found(kept, 4, few.ARRIVAL)) == (
        [one, two, three],
        two,
        None,
    )
    kept = few.without(few.without(kept, one, few.ARRIVAL), two, few.ARRIVAL)
    assert kept is three
    assert few.without(kept, three, few.ARRIVAL) is None


def test_of_equal_numbers_the_first_row_stays() -> None:
    one, same, other = row(1, 7), row(2, 7), row(3, 8)
    assert few.added(one, same, few.QUEUED_AT) is one
    kept = few.added(few.added(one, other, few.QUEUED_AT), same, few.QUEUED_AT)
    assert list(few.rows(kept)) == [one, other]


def test_what_is_not_there_can_be_taken_away() -> None:
    one, same, other = row(1, 7), row(2, 7), row(3, 8)
    assert few.without(None, one, few.QUEUED_AT) is None
    assert few.without(one, same, few.QUEUED_AT) is one
    kept = few.added(one, other, few.QUEUED_AT)
    assert list(few.rows(few.without(kept, same, few.QUEUED_AT))) == [one, other]
    assert list(few.rows(few.without(kept, row(4), few.QUEUED_AT))) == [one, other]

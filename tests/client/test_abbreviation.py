from hypothesis import given
from hypothesis import strategies as st

from gateway.client.abbreviation import abbreviations


def test_ids_keep_as_much_of_their_beginning_as_tells_them_apart() -> None:
    ids = ["0196a3f2-7c5e-7d11", "0196a3f2-7c5f-7d11", "0196a3f2-8c5e-7d11"]
    assert [abbreviations(ids)[each] for each in ids] == ["0196a3f2-7c5e…", "0196a3f2-7c5f…", "0196a3f2-8c5e…"]


def test_a_short_id_and_one_that_would_hardly_get_shorter_stay_whole() -> None:
    assert abbreviations(["worker-1", "0196a3f2-7c5"]) == {"worker-1": "worker-1", "0196a3f2-7c5": "0196a3f2-7c5"}
    assert abbreviations(["worker-1", "0196a3f2-7c5e"])["0196a3f2-7c5e"] == "0196a3f2…"
    assert abbreviations([]) == {}


@given(st.lists(st.text("ab…", max_size=20)))
def test_no_two_ids_are_shown_as_the_same(ids: list[str]) -> None:
    short = abbreviations(ids)
    assert short.keys() == set(ids)
    assert len(set(short.values())) == len(short)
    assert all(len(short[each]) <= len(each) for each in ids)
